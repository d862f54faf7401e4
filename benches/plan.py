"""What is measured, and in which order: routes, connections, and whose turn it is.

**Invariant:** within a pair each target runs once, and the order turns round from pair to pair, so that a machine
that gets slower or faster favours nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .problem import Problem


@dataclass(frozen=True)
class Route:
    """One kind of request; `path` is ours, other servers may name another."""

    name: str
    path: str
    # Requests that are sent at once, before their answers are read.
    depth: int = 1


ROUTES = {
    route.name: route
    for route in (
        Route("json", "/json"),
        Route("plaintext", "/plaintext", depth=16),
        Route("db", "/db"),
        Route("queries", "/queries?queries=20"),
        Route("updates", "/updates?queries=20"),
        Route("fortunes", "/fortunes"),
        Route("cached", "/cached-queries?count=20"),
    )
}


@dataclass(frozen=True)
class Cell:
    """A route at a number of connections: what one table shows."""

    route: Route
    connections: int


@dataclass(frozen=True)
class Turn:
    """One run of one target."""

    cell: Cell
    pair: int
    target: int


def cells(routes: Sequence[str], connections: Sequence[int]) -> list[Cell]:
    for name in routes:
        if name not in ROUTES:
            raise Problem(f"there is no route {name}", f"ROUTES takes some of: {' '.join(ROUTES)}.")
    return [Cell(ROUTES[name], number) for name in routes for number in connections]


def turns(cell: Cell, pairs: int, targets: int) -> Iterator[Turn]:
    for pair in range(pairs):
        order = range(targets) if pair % 2 == 0 else reversed(range(targets))
        yield from (Turn(cell, pair, target) for target in order)
