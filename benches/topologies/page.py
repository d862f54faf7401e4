"""The page in Markdown: a table for each cell, and what it was measured with.

**Invariant:** it only shows what `figures` worked out.
"""

from __future__ import annotations

from ..report import figures as shown
from .figures import Results, Summary
from .plan import WORKLOADS, Cell

HEADS = (
    "topology",
    "req/s",
    "least–most",
    "p50",
    "p99",
    "active fraction",
    "accept skew",
    "server µs",
    "memory",
    "failed",
)


def render(results: Results) -> str:
    """The whole page."""
    parts = ["# Topologies, side by side\n"]
    if not results.complete:
        parts.append("**Not complete: this is what was measured before it ended.**\n")
    parts.append(introduction(results))
    parts.append(arrangements(results))
    parts.extend(section(results, cell) for cell in results.runs)
    parts.append(machine(results))
    return "\n".join(parts)


def introduction(results: Results) -> str:
    settings = results.settings
    return (
        f"{settings['rounds']} rounds of {settings['seconds']} s for each figure, each in a freshly started server "
        f"after a warm-up of {settings['warmup_seconds']} s; within a round topologies follow each other cell by cell, "
        "and the order turns round from round to round. The generator, `plimsoll load`, and PostgreSQL share the cores "
        "with the server.\n\n"
        "Figures are medians. CPU time is that of all the server's processes over most of the run, in microseconds a "
        "request; memory is their proportional share (Pss), without the kernel's sockets, while the load is on. "
        "Active fraction is throughput × mean latency ÷ active connections: the share of them that waits for an answer "
        "at any moment; a run of only a few latencies understates it. Accept skew is the most connections that one "
        "worker took over the mean, and Jain's index in brackets: 1 is even. Idle connections were answered once "
        "before, and asked again after the load; one that is lost counts as failed. `results.json` holds every run and "
        "all that the generator said.\n"
    )


def arrangements(results: Results) -> str:
    lines = ["## What was compared\n", "| topology | known as | flags |", "|---|---|---|"]
    lines.extend(f"| {one.name} | {one.known_as} | `{' '.join(one.flags)}` |" for one in results.arrangements)
    return "\n".join(lines) + "\n"


def section(results: Results, cell: Cell) -> str:
    _, meaning = WORKLOADS[cell.workload]
    lines = [f"## {cell.title}\n", f"{meaning}.\n", f"| {' | '.join(HEADS)} |", f"|---{'|---:' * (len(HEADS) - 1)}|"]
    lines.extend(f"| {name} | {' | '.join(columns(one))} |" for name, one in results.summaries(cell).items())
    return "\n".join(lines) + "\n"


def columns(summary: Summary) -> list[str]:
    """In the order of HEADS, after the name."""
    return [
        shown.rate(summary.requests_per_second.median),
        shown.rates(summary.requests_per_second),
        shown.latency(summary.p50_us),
        shown.latency(summary.p99_us),
        f"{summary.active_fraction:.3f}",
        f"{summary.highest_over_mean:.2f} ({summary.jain:.2f})",
        shown.micros(summary.server_us),
        mebibytes(summary.resident_bytes),
        str(summary.failures),
    ]


def mebibytes(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"


def machine(results: Results) -> str:
    lines = ["## Machine and command\n", "| | |", "|---|---|"]
    lines.extend(f"| {name.replace('_', ' ')} | {value} |" for name, value in results.facts.items())
    return "\n".join(lines) + "\n"
