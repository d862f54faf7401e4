"""The runs, and the figures made of them; this is the shape of results.json.

**Invariant:** every figure can be made again from the runs, which are kept with all that the generator said.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..accounting import Usage
from ..pairing import Spread, spread
from .arrangement import Arrangement
from .generator import Load
from .plan import Cell
from .skew import AcceptSkew


@dataclass(frozen=True)
class Look:
    """A server at one moment of a run."""

    at: float
    usage: Usage
    resident_bytes: int


@dataclass(frozen=True)
class Run:
    """One run of one arrangement in one cell: CPU used in some seconds of it, bytes resident at their end."""

    round: int
    load: Load
    server: Usage
    seconds: float
    resident_bytes: int
    skew: AcceptSkew
    # Idle connections that did not answer again afterwards.
    lost: int = 0

    @staticmethod
    def between(number: int, load: Load, first: Look, last: Look, skew: AcceptSkew, lost: int) -> Run:
        return Run(number, load, last.usage.since(first.usage), last.at - first.at, last.resident_bytes, skew, lost)

    @property
    def server_us(self) -> float:
        """CPU microseconds a request, of those that were answered in those seconds at the rate of the whole run."""
        answered = self.load.requests_per_second * self.seconds
        return self.server.seconds * 1e6 / answered if answered else 0.0

    @property
    def failures(self) -> int:
        return self.load.errors + self.load.not_2xx + self.lost


@dataclass(frozen=True)
class Summary:
    """An arrangement in a cell: medians over the rounds."""

    requests_per_second: Spread
    p50_us: float
    p99_us: float
    active_fraction: float
    highest_over_mean: float
    jain: float
    server_us: float
    resident_bytes: int
    failures: int


def active_fraction(requests_per_second: float, mean_us: float, connections: int) -> float:
    """Throughput × mean latency ÷ connections: the share that waits for an answer at any moment (Little's law)."""
    return requests_per_second * mean_us / 1e6 / max(connections, 1)


def summarise(cell: Cell, runs: list[Run]) -> Summary:
    def middle(figure: Callable[[Run], float]) -> float:
        return statistics.median(figure(run) for run in runs)

    return Summary(
        requests_per_second=spread([run.load.requests_per_second for run in runs]),
        p50_us=middle(lambda run: run.load.p50_us),
        p99_us=middle(lambda run: run.load.p99_us),
        active_fraction=middle(
            lambda run: active_fraction(run.load.requests_per_second, run.load.mean_us, cell.active)
        ),
        highest_over_mean=middle(lambda run: run.skew.highest_over_mean),
        jain=middle(lambda run: run.skew.jain),
        server_us=middle(lambda run: run.server_us),
        resident_bytes=round(middle(lambda run: run.resident_bytes)),
        failures=sum(run.failures for run in runs),
    )


@dataclass
class Results:
    """A whole comparison."""

    facts: dict[str, Any]
    settings: dict[str, Any]
    arrangements: list[Arrangement]
    runs: dict[Cell, dict[str, list[Run]]] = field(default_factory=dict)
    complete: bool = False

    def add(self, cell: Cell, arrangement: Arrangement, run: Run) -> None:
        self.runs.setdefault(cell, {}).setdefault(arrangement.name, []).append(run)

    def summaries(self, cell: Cell) -> dict[str, Summary]:
        """Those that have run, in the order in which they were chosen."""
        runs = self.runs.get(cell, {})
        names = [arrangement.name for arrangement in self.arrangements if runs.get(arrangement.name)]
        return {name: summarise(cell, runs[name]) for name in names}

    @property
    def failures(self) -> int:
        """Requests and idle connections of all runs that were not answered as they should have been."""
        return sum(run.failures for by_name in self.runs.values() for runs in by_name.values() for run in runs)

    def document(self) -> dict[str, Any]:
        return {
            "facts": self.facts,
            "settings": self.settings,
            "complete": self.complete,
            "arrangements": [{**asdict(one), "flags": list(one.flags)} for one in self.arrangements],
            "cells": [
                {
                    **asdict(cell),
                    "path": cell.route.path,
                    "summaries": {name: asdict(summary) for name, summary in self.summaries(cell).items()},
                    "runs": {name: [asdict(run) for run in runs] for name, runs in by_name.items()},
                }
                for cell, by_name in self.runs.items()
            ],
        }

    def write(self, path: Path) -> None:
        """Beside its place and then into it: what was measured before an interruption stays whole."""
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(self.document(), indent=1) + "\n")
        fresh.replace(path)
