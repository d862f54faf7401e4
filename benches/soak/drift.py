"""What became of memory and descriptors while no process was replaced.

After the calm behind each fault there is a muster: all clients hold their connections, nobody asks, and what the
processes have is looked at. The allocator hands out memory in pages of 64 KiB and more, which a single object keeps,
so that one muster differs from the next by some in a hundred, up and down, whatever was given back
(`docs/reliability.md`). What a leak raises is the floor: the least that a process had in any muster of the first
third, and in any of the last.

**Invariant:** figures of different processes are never compared.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .sampler import Sample

MOST_DRIFT = 0.01
# A run that is shorter has too few musters for a floor: its drift is told, and not judged.
JUDGED_FROM_SECONDS = 1_200


@dataclass(frozen=True)
class Muster:
    """What a number of looks in stillness came to."""

    at: float
    # The least of each process.
    memory_kib: dict[int, int]
    # Descriptors that are neither a client's connection nor a session with PostgreSQL.
    descriptors: float


@dataclass(frozen=True)
class Drift:
    """One figure, early and late; `share` is how much of the first the last has more."""

    early: float
    late: float

    @property
    def share(self) -> float:
        return self.late / self.early - 1


def muster(samples: Sequence[Sample]) -> Muster | None:
    """Nothing where processes changed meanwhile."""
    pids = {tuple(sample.anonymous_kib) for sample in samples}
    if len(pids) != 1:
        return None
    least = {pid: min(sample.anonymous_kib[pid] for sample in samples) for pid in pids.pop()}
    return Muster(samples[-1].at, least, statistics.median(sample.rest for sample in samples))


def compare(musters: Sequence[Muster], begin: float, end: float) -> dict[str, Drift | None]:
    """Of those between two moments. Nothing where there are too few, or where a process was replaced."""
    steady = [one for one in musters if begin <= one.at <= end]
    third = len(steady) // 3
    if third == 0 or len({tuple(one.memory_kib) for one in steady}) > 1:
        return {"memory, KiB": None, "descriptors": None}
    early, late = steady[:third], steady[-third:]
    return {
        "memory, KiB": Drift(floor(early), floor(late)),
        "descriptors": Drift(*(statistics.median(one.descriptors for one in some) for some in (early, late))),
    }


def floor(musters: Sequence[Muster]) -> float:
    """The sum of what each process had at least."""
    return sum(min(one.memory_kib[pid] for one in musters) for pid in musters[0].memory_kib)
