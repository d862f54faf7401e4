"""What is measured of each arrangement, and in which order.

**Invariant:** within a round each arrangement runs once in each cell, and the order turns round from round to round, so
that a machine that gets slower or faster favours nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..plan import ROUTES, Route
from ..problem import Problem

WORKLOADS = {
    "db": (ROUTES["db"], "I/O: a query"),
    "wait": (Route("wait", "/lab/wait?ms=10"), "I/O: 10 ms of another machine"),
    "json": (ROUTES["json"], "CPU: as little as a request can be"),
    "burn": (Route("burn", "/lab/burn?bits=12"), "CPU: 4096 hashes on the average"),
}


@dataclass(frozen=True)
class Cell:
    """A workload over so many active connections, beside so many that are held idle."""

    workload: str
    active: int
    idle: int = 0

    @property
    def route(self) -> Route:
        return WORKLOADS[self.workload][0]

    @property
    def title(self) -> str:
        beside = f" beside {grouped(self.idle)} idle ones" if self.idle else ""
        return f"{self.route.path}, {grouped(self.active)} active connections{beside}"


def grouped(number: int) -> str:
    """`16 000`."""
    return f"{number:,}".replace(",", " ")


@dataclass(frozen=True)
class Turn:
    """One run: an arrangement, by its place among those chosen, in a cell."""

    round: int
    cell: Cell
    arrangement: int


@dataclass(frozen=True)
class Wishes:
    """What the command line asks for."""

    workloads: Sequence[str]
    connections: Sequence[int]
    held_workloads: Sequence[str]
    held: int


def cells(wishes: Wishes) -> list[Cell]:
    """Every workload at every number of connections; then some over the fewest beside the idle ones."""
    for name in (*wishes.workloads, *wishes.held_workloads):
        if name not in WORKLOADS:
            raise Problem(f"there is no workload {name}", f"WORKLOADS takes some of: {' '.join(WORKLOADS)}.")
    active = [Cell(name, number) for name in wishes.workloads for number in wishes.connections]
    few = min(wishes.connections)
    return active + [Cell(name, few, wishes.held) for name in wishes.held_workloads if wishes.held]


def turns(cells: Sequence[Cell], rounds: int, arrangements: int) -> Iterator[Turn]:
    for number in range(rounds):
        order = range(arrangements) if number % 2 == 0 else range(arrangements - 1, -1, -1)
        for cell in cells:
            yield from (Turn(number, cell, arrangement) for arrangement in order)
