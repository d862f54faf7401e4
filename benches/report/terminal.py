"""Tables on the terminal, one for each cell, printed as soon as it is measured.

**Invariant:** colours are used only where standard output is a terminal and NO_COLOR is not set, and never carry a
meaning that the text does not.
"""

from __future__ import annotations

import os
import statistics
import sys

from ..results import Measured, Results, Summary
from . import figures

COLUMNS = (
    "req/s",
    "spread",
    "ratio",
    "p50",
    "p99",
    "server µs",
    "user+sys",
    "CPU ratio",
    "PostgreSQL µs",
    "wrk µs",
    "switches",
    "errors",
)


def print_cell(measured: Measured) -> None:
    print()
    print(style(title(measured), "1"))
    summaries = measured.summaries()
    rows = [[name, *columns(summary)] for name, summary in summaries.items()]
    heads = ["", *COLUMNS]
    widths = [max(len(row[at]) for row in [heads, *rows]) for at in range(len(heads))]
    print(style(line(heads, widths), "2"))
    for row, summary in zip(rows, summaries.values(), strict=True):
        # A run with errors measured something else than the others.
        print(style(line(row, widths), "31") if summary.errors else line(row, widths))


def title(measured: Measured) -> str:
    route = measured.cell.route
    parts = [f"{route.path}, {measured.cell.connections} connections"]
    if route.depth > 1:
        parts.append(f"{route.depth} deep")
    pairs = max((len(runs) for runs in measured.runs.values()), default=0)
    parts.append(f"{pairs} {'pair' if pairs == 1 else 'pairs'}")
    if measured.yardstick:
        parts.append(f"pgbench {figures.rate(statistics.mean(measured.yardstick))}/s beside it")
    return ", ".join(parts)


def columns(summary: Summary) -> list[str]:
    """In the order of COLUMNS."""
    return [
        figures.rate(summary.requests_per_second.median),
        figures.rates(summary.requests_per_second),
        figures.ratio(summary.ratio),
        figures.latency(summary.p50_us),
        figures.latency(summary.p99_us),
        figures.micros(summary.server_us),
        f"{figures.micros(summary.server_user_us)}+{figures.micros(summary.server_system_us)}",
        figures.ratio(summary.cpu_ratio),
        figures.micros(summary.postgres_us),
        figures.micros(summary.generator_us),
        f"{summary.switches:.2f}",
        str(summary.errors),
    ]


def line(cells: list[str], widths: list[int]) -> str:
    first, *rest = (
        text.ljust(width) if at == 0 else text.rjust(width)
        for at, (text, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *rest])


def print_facts(results: Results) -> None:
    print()
    for name, value in results.facts.items():
        print(style(f"{name.replace('_', ' '):>12}  {value}", "2"))


def style(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text
