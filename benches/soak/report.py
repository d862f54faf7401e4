"""What a soak came to: report.json with everything, README.md for people, and a few lines for the terminal.

**Invariant:** whether it passed is decided in `failures`, and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .drift import JUDGED_FROM_SECONDS, MEANT_TO_BE_JUDGED_FROM_SECONDS, Drift, compare
from .ledger import Ledger
from .sampler import Sample
from .timeline import Window

BECAME = ("answered", "refused", "lost", "given up", "wrong")
MEANING = {
    "answered": "with 200, and right",
    "refused": "with 503 and `Retry-After`, while a fault was in force that allows it",
    "lost": "not answered, since the process that held the connection was killed",
    "given up": "left by a client that meant to",
    "wrong": "anything else",
}


@dataclass
class Happened:
    """One fault, and what came of it. Times are in seconds; `log_lines` and `wrong` count from before it."""

    name: str
    what: str
    detail: str
    at: float
    seconds: float
    window: Window
    log_lines: int
    wrong: int

    def document(self) -> dict[str, Any]:
        return {
            "fault": self.name,
            "detail": self.detail,
            "at": round(self.at, 3),
            "seconds": round(self.seconds, 3),
            "refused": self.window.refused,
            "lost": self.window.lost,
            "recovered_after": round(self.window.recovered_after, 3),
            "log_lines": self.log_lines,
            "wrong": self.wrong,
        }


@dataclass
class Results:
    """A whole run."""

    facts: dict[str, str | int | bool]
    seed: int
    planned: int
    processes: int
    ledger: Ledger
    happened: list[Happened] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    # Those at the ends of the silences.
    settled: list[Sample] = field(default_factory=list)
    seconds: float = 0.0
    complete: bool = False
    log: str = ""
    # From when to when drift is looked at, in seconds since the beginning; empty until each fault was met.
    steady: tuple[float, float] = (0.0, 0.0)

    def drifts(self) -> dict[str, Drift | None]:
        return compare(self.samples, self.settled, *self.steady)

    def failures(self) -> list[str]:
        found = [f"{self.ledger.wrong} things were wrong"] if self.ledger.wrong else []
        unjudged = self.unjudged()
        if unjudged is None:
            for name, drift in self.drifts().items():
                why = "nothing to compare" if drift is None else drift.failure()
                if why:
                    found.append(f"{name}: {describe(drift)}, {why}")
        elif self.complete and self.planned >= MEANT_TO_BE_JUDGED_FROM_SECONDS:
            found.append(unjudged)
        return found

    def unjudged(self) -> str | None:
        """That nobody was to conclude anything from drift, and why, where that is so."""
        begin, end = self.steady
        if self.complete and end - begin >= JUDGED_FROM_SECONDS:
            return None
        why = "" if self.complete else ", and it was ended before its time"
        return f"drift was not judged: {end - begin:.0f} s of {JUDGED_FROM_SECONDS}{why}"

    def document(self) -> dict[str, Any]:
        ledger = self.ledger
        return {
            "machine": self.facts,
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "processes": self.processes,
            "complete": self.complete,
            "failures": self.failures(),
            "requests": {"sent": sum(ledger.sent.values())} | {name: ledger.count(name) for name in BECAME},
            "statuses": {str(status): count for status, count in sorted(ledger.statuses.items())},
            "routes": {
                route: {"sent": sent} | dict(ledger.became.get(route, {}))
                for route, sent in sorted(ledger.sent.items())
            },
            "connections": ledger.connections,
            "heads_answered_with_408": ledger.heads_timed_out,
            "rows_held_against_the_truth": ledger.truth.judged,
            "slowest_in_calm_seconds": round(ledger.slowest_in_calm, 3),
            "clients_late_by_at_most_seconds": round(ledger.pulse.worst, 3),
            "drift_unjudged": self.unjudged(),
            "steady_seconds": [round(at, 1) for at in self.steady],
            "drift": {
                name: drift
                and {
                    "early": drift.early,
                    "late": drift.late,
                    "share": round(drift.share, 5),
                    "error": round(drift.error, 5),
                    "moments": drift.moments,
                }
                for name, drift in self.drifts().items()
            },
            "settled": {
                "columns": ["seconds", "memory KiB by process"],
                "rows": [[round(one.at, 1), list(one.anonymous_kib.values())] for one in self.settled],
            },
            "wrong": {"count": ledger.wrong, "told": ledger.told},
            "faults": [one.document() for one in self.happened],
            "samples": {
                "columns": ["seconds", "memory KiB by process", "descriptors", "clients", "sessions"],
                "rows": [
                    [
                        round(one.at, 1),
                        list(one.anonymous_kib.values()),
                        one.descriptors,
                        one.clients,
                        one.sessions,
                    ]
                    for one in self.samples
                ],
            },
        }


def write(folder: Path, results: Results) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    document = results.document()
    samples = document.pop("samples")
    rows = ",\n  ".join(json.dumps(row) for row in samples["rows"])
    told = json.dumps(document, indent=1)[:-2]
    columns = json.dumps(samples["columns"])
    text = f'{told},\n "samples": {{"columns": {columns}, "rows": [\n  {rows}\n ]}}\n}}\n'
    (folder / "report.json").write_text(text)
    (folder / "README.md").write_text(page(results))
    (folder / "service.log").write_text(results.log)


def line(one: Happened) -> str:
    """A fault in a line, for the terminal."""
    parts = [f"{one.at:6.0f} s  {one.name}"]
    parts.extend([f"({one.detail})"] if one.detail else [])
    parts.append(f"for {one.seconds:.2f} s: {one.window.refused} refused, {one.window.lost} lost,")
    parts.append(
        f"recovered after {one.window.recovered_after * 1000:.0f} ms, {one.log_lines} lines of log, {one.wrong} wrong"
    )
    return " ".join(parts)


def summary(results: Results) -> str:
    ledger = results.ledger
    counts = ", ".join(f"{ledger.count(name)} {name}" for name in BECAME if name != "wrong")
    lines = [
        f"{len(results.happened)} faults in {results.seconds:.0f} s; {sum(ledger.sent.values())} requests sent: "
        f"{counts}, {ledger.wrong} wrong",
        f"{ledger.truth.judged} rows held against the truth; "
        f"the slowest answer in calm took {ledger.slowest_in_calm * 1000:.0f} ms",
        *(f"{name}: {describe(drift)}" for name, drift in results.drifts().items()),
        *(f"  wrong: {trouble}" for trouble in ledger.told[:20]),
    ]
    if not results.complete:
        lines.append("it was ended before its time")
    unjudged = results.unjudged()
    if unjudged:
        lines.append(unjudged)
    verdict = results.failures()
    lines.append("it did not hold: " + "; ".join(verdict) if verdict else "it held")
    return "\n".join(lines)


def describe(drift: Drift | None) -> str:
    if drift is None:
        return "too short a run to tell"
    return f"{drift.early:.0f} early, {drift.late:.0f} late ({drift.share:+.2%} ± {drift.error:.2%})"


def page(results: Results) -> str:
    ledger = results.ledger
    parts = ["# Soak\n"]
    verdict = results.failures()
    if not results.complete:
        parts.append("**Not complete: it was ended before its time.**\n")
    parts.append("**It did not hold: " + "; ".join(verdict) + ".**\n" if verdict else "It held: nothing was wrong.\n")
    unjudged = results.unjudged()
    if unjudged and unjudged not in verdict:
        parts.append(f"{unjudged[0].upper()}{unjudged[1:]}.\n")
    parts.append(f"`{results.facts['command']}`: {results.processes} processes, {results.seconds:.0f} s.\n")
    parts.append(
        "## Requests\n\n| | | |\n|---|---:|---|\n"
        + f"| sent | {sum(ledger.sent.values())} | over {ledger.connections} connections |"
    )
    parts.extend(f"| {name} | {ledger.count(name)} | {MEANING[name]} |" for name in BECAME)
    parts.append(
        f"\n{ledger.truth.judged} rows were held against what PostgreSQL says each row had been at that moment. "
        f"{ledger.heads_timed_out} half heads were answered with 408. The slowest answer in calm took "
        f"{ledger.slowest_in_calm * 1000:.0f} ms; the clients themselves were late by "
        f"{ledger.pulse.worst * 1000:.0f} ms at most, which is not counted against it.\n"
    )
    columns = ["sent", *BECAME]
    parts.append(f"| route | {' | '.join(columns)} |\n|---{'|---:' * len(columns)}|")
    for route, sent in sorted(ledger.sent.items()):
        became: Mapping[str, int] = ledger.became.get(route, {})
        parts.append(f"| {route} | {sent} | " + " | ".join(str(became.get(name, 0)) for name in BECAME) + " |")
    parts.append(drift_table(results))
    parts.append(fault_table(results))
    if ledger.told:
        parts.append("## What was wrong\n\n" + "\n".join(f"- {trouble}" for trouble in ledger.told) + "\n")
    parts.append("## Machine\n\n| | |\n|---|---|")
    parts.extend(f"| {name.replace('_', ' ')} | {value} |" for name, value in results.facts.items())
    return "\n".join(parts) + "\n"


def drift_table(results: Results) -> str:
    begin, end = results.steady
    rows = "\n".join(
        f"| {name} | {drift.early:.0f} | {drift.late:.0f} | {drift.share:+.2%} | ± {drift.error:.2%} |"
        for name, drift in results.drifts().items()
        if drift
    )
    if not rows:
        return "\n## Drift\n\nThe run was too short to tell.\n"
    return (
        f"\n## Drift\n\nLooked at from {begin:.0f} s, when the processes had met every fault, to {end:.0f} s; in that "
        "time none was replaced. Memory is what the processes have that no file stands behind, without huge pages, "
        "at the ends of the silences; descriptors are those that are neither a client's connection nor a session with "
        "PostgreSQL. The medians of the first third of that time and of the last are compared.\n\n"
        f"| | first third | last third | grew by | by chance |\n|---|---:|---:|---:|---:|\n{rows}\n"
    )


def fault_table(results: Results) -> str:
    heads = ("at", "fault", "", "lasted", "refused", "lost", "recovered after", "log lines", "wrong")
    lines = [f"## Faults\n\n| {' | '.join(heads)} |", "|---:|---|---|---:|---:|---:|---:|---:|---:|"]
    for one in results.happened:
        window = one.window
        lines.append(
            f"| {one.at:.0f} s | {one.what} | {one.detail} | {one.seconds:.2f} s | {window.refused} | {window.lost} "
            f"| {window.recovered_after * 1000:.0f} ms | {one.log_lines} | {one.wrong} |"
        )
    return "\n".join(lines) + "\n"
