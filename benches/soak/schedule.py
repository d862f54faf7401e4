"""Which fault comes when: decks that are shuffled by a seed, so that each fault comes as often as any other.

**Invariant:** the same seed and the same faults give the same order, whatever happened meanwhile, up to the end of the
part in which no process is replaced.
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Iterator, Sequence

from ..problem import Problem

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
# From this part of a run on, processes may be replaced again.
STEADY_UNTIL = 0.9


class Order:
    """Faults without end. In the first deck those come first that replace processes, and then those that need much
    memory: so behind it the processes that are there have met each fault but their own end, and what they needed for
    it is no news any more. From there on none is replaced, until a moment that is given."""

    def __init__(self, names: Sequence[str], renewing: Collection[str], swelling: Collection[str], seed: int) -> None:
        dice = random.Random(seed)
        opening = list(names)
        dice.shuffle(opening)
        self.opening = sorted(opening, key=lambda name: (name not in renewing, name not in swelling))
        self.steady = decks([name for name in names if name not in renewing] or names, dice)
        self.every = decks(names, dice)
        # When the first deck was at its end.
        self.steady_from: float | None = None

    def next(self, now: float, until: float) -> str:
        if self.opening:
            return self.opening.pop(0)
        if self.steady_from is None:
            self.steady_from = now
        # What begins before the steady part ends before it too.
        return next(self.steady if now < until else self.every)


def decks(names: Sequence[str], dice: random.Random) -> Iterator[str]:
    """Names without end, each once before any comes again."""
    while True:
        deck = list(names)
        dice.shuffle(deck)
        yield from deck


def read_length(text: str) -> int:
    """`90s`, `30m`, `8h`; a bare number is seconds."""
    found = re.fullmatch(r"(\d+)([smh]?)", text)
    if found is None or int(found[1]) == 0:
        raise Problem(f"{text!r} is no length of time", "SOAK takes one like 90s, 30m or 8h.")
    return int(found[1]) * UNITS[found[2]]
