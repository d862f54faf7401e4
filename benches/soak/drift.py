"""What became of memory and descriptors while no process was replaced.

In the middle of things a process has what its clients and sessions need just then. So memory is compared between
moments that are alike: at the end of each silence, when a crowd has come and gone, the sessions have begun anew, and
the allocator was seen to give back what is free. Medians are compared: in some silences a page of the allocator is
kept by a single object, in others it is not.

**Invariant:** figures of different processes are never compared.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .sampler import Sample

MOST_DRIFT = 0.01
# A steady part that is shorter has too few such moments: its drift is told, and not judged.
JUDGED_FROM_SECONDS = 600


@dataclass(frozen=True)
class Drift:
    """One figure, early and late; `share` is how much of the first the last has more."""

    early: float
    late: float

    @property
    def share(self) -> float:
        return self.late / self.early - 1


def compare(
    samples: Sequence[Sample], settled: Sequence[Sample], begin: float, end: float
) -> dict[str, Drift | None]:
    """Of those between two moments, the first third and the last: of descriptors all samples, of memory those that
    were taken when the service had settled. Nothing where one third has none, or where a process was replaced."""
    return {
        "memory, KiB": of(settled, begin, end, lambda sample: sample.memory_kib),
        "descriptors": of(samples, begin, end, lambda sample: sample.rest),
    }


def of(samples: Sequence[Sample], begin: float, end: float, figure: Callable[[Sample], int]) -> Drift | None:
    third = (end - begin) / 3
    early = [one for one in samples if begin <= one.at < begin + third]
    late = [one for one in samples if end - third <= one.at < end]
    if not (early and late) or len({tuple(one.anonymous_kib) for one in early + late}) > 1:
        return None
    return Drift(*(statistics.median(figure(one) for one in some) for some in (early, late)))
