"""What was measured, and the figures made of it; this is the shape of results.json.

**Invariant:** every figure here can be made again from the runs, which are kept whole.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .accounting import Usage
from .pairing import Spread, ratio_spread, spread
from .plan import Cell
from .wrk import Load


@dataclass(frozen=True)
class Run:
    """One run of one target."""

    pair: int
    load: Load
    server: Usage
    postgres: Usage

    def micros(self, seconds: float) -> float:
        """CPU seconds as microseconds a request."""
        return seconds * 1e6 / max(self.load.requests, 1)

    @property
    def server_us(self) -> float:
        return self.micros(self.server.seconds)

    @property
    def errors(self) -> int:
        return self.load.socket_errors + self.load.not_2xx


@dataclass(frozen=True)
class Summary:
    """A target in a cell. Times are medians in microseconds, CPU a request; ratios are to the first target."""

    requests_per_second: Spread
    ratio: Spread | None
    p50_us: float
    p99_us: float
    errors: int
    server_us: float
    server_user_us: float
    server_system_us: float
    cpu_ratio: Spread | None
    postgres_us: float
    generator_us: float
    switches: float


@dataclass
class Measured:
    """A cell's runs, by target, and the yardstick around it."""

    cell: Cell
    runs: dict[str, list[Run]] = field(default_factory=dict)
    yardstick: list[float] = field(default_factory=list)

    def summaries(self) -> dict[str, Summary]:
        names = [name for name, runs in self.runs.items() if runs]
        return {name: summarise(self.runs[name], next(iter(self.runs.values()))) for name in names}


def summarise(runs: list[Run], base: list[Run]) -> Summary:
    def rate(run: Run) -> float:
        return run.load.requests_per_second

    def cpu(run: Run) -> float:
        return run.server_us

    def compared(figure: Callable[[Run], float]) -> Spread | None:
        return ratio_spread({run.pair: figure(run) for run in runs}, {run.pair: figure(run) for run in base})

    def middle(figure: Callable[[Run], float]) -> float:
        return statistics.median(figure(run) for run in runs)

    return Summary(
        requests_per_second=spread([rate(run) for run in runs]),
        ratio=compared(rate),
        p50_us=middle(lambda run: run.load.p50_us),
        p99_us=middle(lambda run: run.load.p99_us),
        errors=sum(run.errors for run in runs),
        server_us=middle(cpu),
        server_user_us=middle(lambda run: run.micros(run.server.user)),
        server_system_us=middle(lambda run: run.micros(run.server.system)),
        cpu_ratio=compared(cpu),
        postgres_us=middle(lambda run: run.micros(run.postgres.seconds)),
        generator_us=middle(lambda run: run.micros(run.load.usage.seconds)),
        switches=middle(lambda run: run.server.switches / max(run.load.requests, 1)),
    )


@dataclass
class Results:
    """A whole measurement."""

    facts: dict[str, Any]
    settings: dict[str, Any]
    measured: list[Measured] = field(default_factory=list)
    complete: bool = False

    def document(self) -> dict[str, Any]:
        return {
            "facts": self.facts,
            "settings": self.settings,
            "complete": self.complete,
            "cells": [
                {
                    "route": measured.cell.route.name,
                    "path": measured.cell.route.path,
                    "depth": measured.cell.route.depth,
                    "connections": measured.cell.connections,
                    "yardstick_per_second": measured.yardstick,
                    "summaries": {name: asdict(summary) for name, summary in measured.summaries().items()},
                    "runs": {name: [asdict(run) for run in runs] for name, runs in measured.runs.items()},
                }
                for measured in self.measured
            ],
        }

    def write(self, path: Path) -> None:
        """Beside its place and then into it: what was measured before an interruption stays whole."""
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(self.document(), indent=1) + "\n")
        fresh.replace(path)
