"""What became of memory and descriptors while no process was replaced.

The allocator gives memory back in pieces of 64 KiB, each of which a single object can keep, and buffers that had to
grow stay as they are until their connection ends, so that what a process has goes up and down by some in a hundred.
What a leak raises is the floor: the least that a process had at any moment of the first third, and of the last.

**Invariant:** figures of different processes are never compared.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .sampler import Sample

MOST_DRIFT = 0.01
# A run that is shorter has too few moments of each kind for a floor: its drift is told, and not judged.
JUDGED_FROM_SECONDS = 1_200


@dataclass(frozen=True)
class Drift:
    """One figure, early and late; `share` is how much of the first the last has more."""

    early: float
    late: float

    @property
    def share(self) -> float:
        return self.late / self.early - 1


def compare(samples: Sequence[Sample], begin: float, end: float) -> dict[str, Drift | None]:
    """Of those between two moments. Nothing where one third has none, or where a process was replaced."""
    third = (end - begin) / 3
    early = [one for one in samples if begin <= one.at < begin + third]
    late = [one for one in samples if end - third <= one.at < end]
    if not (early and late) or len({tuple(one.anonymous_kib) for one in early + late}) > 1:
        return {"memory, KiB": None, "descriptors": None}
    return {
        "memory, KiB": Drift(floor(early), floor(late)),
        "descriptors": Drift(*(statistics.median(one.rest for one in some) for some in (early, late))),
    }


def floor(samples: Sequence[Sample]) -> float:
    """The sum of what each process had at least."""
    return sum(min(one.anonymous_kib[pid] for one in samples) for pid in samples[0].anonymous_kib)
