"""What became of memory and descriptors while no process was replaced.

In the middle of things a process has what its clients and sessions need just then. So memory is compared between
moments that are alike: at the end of each silence, when a crowd has come and gone, the sessions have begun anew, and
the allocator was seen to give back what is free. Even there it differs by some in a hundred, up and down: the
allocator gives back pieces of 64 KiB, each of which a single object can keep. So medians are compared, and how far
chance can have moved them is worked out from how far those moments lie apart: the more there are, the less.

**Invariant:** figures of different processes are never compared.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .sampler import Sample

MOST_DRIFT = 0.01
# Beyond this chance is no excuse: a leak must not hide in the noise that it comes with.
MOST_BY_CHANCE = 0.03
# Where chance can have moved it by more than this, the run has decided nothing;
WIDEST_ERROR = 0.02
# nor where there are fewer moments than these in either third: few that happen to agree look certain.
LEAST_MOMENTS = 5
# A steady part that is shorter has too few such moments: its drift is told, and not judged.
JUDGED_FROM_SECONDS = 600
# A run that was to be so long is there to be judged.
MEANT_TO_BE_JUDGED_FROM_SECONDS = 1_800

# A normal distribution's standard deviation by its median absolute deviation, which outliers do not move; the standard
# error of its median by that of its mean, the square root of pi/2; and how many of those 95 of 100 lie within.
DEVIATION_BY_MAD, MEDIAN_BY_MEAN, WITHIN_95 = 1.4826, 1.2533, 1.96


@dataclass(frozen=True)
class Drift:
    """One figure, early and late; `share` is how much of the first the last has more, and `error` by how much chance
    can have moved that, in 95 of 100 runs. `moments` is in how many it was looked at, in the third that has fewer."""

    early: float
    late: float
    error: float
    moments: int

    @property
    def share(self) -> float:
        return self.late / self.early - 1

    def is_too_much(self) -> bool:
        """Whether it is beyond what is promised, and not by chance, or beyond what chance may be blamed for."""
        return self.share - self.error >= MOST_DRIFT or self.share >= MOST_BY_CHANCE

    def why_undecided(self) -> str | None:
        """Why nothing follows from it, if nothing does."""
        if self.moments < LEAST_MOMENTS:
            return f"{self.moments} moments a third, and {LEAST_MOMENTS} are needed"
        if self.error > WIDEST_ERROR:
            return f"chance can have moved it by more than {WIDEST_ERROR:.0%}"
        return None

    def failure(self) -> str | None:
        """Why a run that is judged by it has not passed, if it has not."""
        if self.is_too_much():
            return "too much"
        why = self.why_undecided()
        return why and f"not decided: {why}"


def compare(
    samples: Sequence[Sample], settled: Sequence[Sample], begin: float, end: float
) -> dict[str, Drift | None]:
    """Of those between two moments, the first third and the last: of descriptors all samples, of memory those that
    were taken when the service had settled. Nothing where one third has none, or where a process was replaced."""
    memory = thirds(settled, begin, end)
    every = thirds(samples, begin, end)
    return {
        "memory, KiB": memory and between(*([one.memory_kib for one in some] for some in memory)),
        "descriptors": every and exactly(*([one.rest for one in some] for some in every)),
    }


def thirds(samples: Sequence[Sample], begin: float, end: float) -> tuple[list[Sample], list[Sample]] | None:
    third = (end - begin) / 3
    early = [one for one in samples if begin <= one.at < begin + third]
    late = [one for one in samples if end - third <= one.at < end]
    if not (early and late) or len({tuple(one.anonymous_kib) for one in early + late}) > 1:
        return None
    return early, late


def between(early: Sequence[float], late: Sequence[float]) -> Drift:
    before, after = statistics.median(early), statistics.median(late)
    error = WITHIN_95 * math.hypot(error_of_median(early), error_of_median(late)) / before
    return Drift(before, after, error, min(len(early), len(late)))


def exactly(early: Sequence[float], late: Sequence[float]) -> Drift:
    """Of what chance does not move."""
    return Drift(statistics.median(early), statistics.median(late), 0.0, min(len(early), len(late)))


def error_of_median(figures: Sequence[float]) -> float:
    """Its standard error."""
    middle = statistics.median(figures)
    deviation = DEVIATION_BY_MAD * statistics.median(abs(figure - middle) for figure in figures)
    return MEDIAN_BY_MEAN * deviation / math.sqrt(len(figures))
