"""The arrangements that are compared, each one setting of ours.

**Invariant:** an arrangement is told by its flags alone; nothing else differs between two servers of a comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..problem import Problem


@dataclass(frozen=True)
class Arrangement:
    """Processes, workers in each, and how connections come to them."""

    name: str
    known_as: str
    processes: int
    workers: int
    accept: str
    dispatch: str = "pipelined"

    @property
    def flags(self) -> tuple[str, ...]:
        """What `plimsoll serve` is given."""
        return (
            "--processes",
            str(self.processes),
            "--workers",
            str(self.workers),
            "--accept",
            self.accept,
            "--dispatch",
            self.dispatch,
            "--lab",
        )


def arrangements(cores: int) -> dict[str, Arrangement]:
    """All that are compared, by name; N is the number of cores, and 2 where there is but one."""
    several = max(cores, 2)
    # Each process of the prefork has one database connection to itself: the pool of 4 a core is split over them.
    prefork = 4 * several
    every = (
        Arrangement("1x1", "single event loop", 1, 1, "reuseport"),
        Arrangement("1xN", "several event loops, even by the kernel (the default)", 1, several, "reuseport"),
        Arrangement("1xN-shared", "several event loops, whoever is free first", 1, several, "shared"),
        Arrangement("1xN-handoff", "reactor with a worker pool", 1, several, "handoff"),
        Arrangement("Nx1", "prefork, a listener for each process", several, 1, "reuseport"),
        Arrangement("Nx1-shared", "prefork, one listener for all", several, 1, "shared"),
        Arrangement("prefork", "many small processes, one database connection each", prefork, 1, "shared", "exclusive"),
    )
    return {arrangement.name: arrangement for arrangement in every}


def choose(names: Sequence[str], cores: int) -> list[Arrangement]:
    """Those of these names, in this order."""
    known = arrangements(cores)
    if strangers := [name for name in names if name not in known]:
        raise Problem(f"there is no topology {strangers[0]}", f"TOPOLOGIES takes some of: {' '.join(known)}.")
    if len(set(names)) < len(names):
        raise Problem("a topology is named twice", "Name each once.")
    return [known[name] for name in names]
