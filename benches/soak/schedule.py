"""Which fault comes when: decks that are shuffled by a seed, so that each fault comes as often as any other.

**Invariant:** the same seed and the same faults give the same order, whatever happened meanwhile.
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Iterator, Sequence

from ..problem import Problem

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
# The part of a run in which no process is replaced, so that what they have can be compared.
STEADY = (0.2, 0.9)
# A shorter run has no such part: it would be too short to say anything.
STEADY_FROM_SECONDS = 300


def decks(names: Sequence[str], dice: random.Random, first: Collection[str] = ()) -> Iterator[str]:
    """Names without end, each once before any comes again; some may be the first of the first deck."""
    while True:
        deck = list(names)
        dice.shuffle(deck)
        yield from sorted(deck, key=lambda name: name not in first)
        first = ()


def steady_part(seconds: float) -> tuple[float, float]:
    """From when to when no process may be replaced; empty in a short run."""
    return (STEADY[0] * seconds, STEADY[1] * seconds) if seconds >= STEADY_FROM_SECONDS else (0.0, 0.0)


def read_length(text: str) -> int:
    """`90s`, `30m`, `8h`; a bare number is seconds."""
    found = re.fullmatch(r"(\d+)([smh]?)", text)
    if found is None or int(found[1]) == 0:
        raise Problem(f"{text!r} is no length of time", "SOAK takes one like 90s, 30m or 8h.")
    return int(found[1]) * UNITS[found[2]]
