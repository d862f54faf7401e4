"""Medians, spreads, and ratios pair by pair.

A machine's mood moves every target at once: two runs side by side say more about each other than two medians do. So a
ratio is made within each pair, and the median is taken of the ratios.

**Invariant:** only runs of the same pair are divided by each other.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """A median with the least and the most that were seen."""

    median: float
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def ratios(values: Mapping[int, float], base: Mapping[int, float]) -> list[float]:
    """Each pair's value over the base's of the same pair; pairs that only one of them has are left out."""
    return [value / base[pair] for pair, value in sorted(values.items()) if base.get(pair)]


def ratio_spread(values: Mapping[int, float], base: Mapping[int, float]) -> Spread | None:
    """None where no pair has both."""
    found = ratios(values, base)
    return spread(found) if found else None
