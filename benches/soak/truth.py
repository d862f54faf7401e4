"""Which numbers each row of `world` has had, and so which number a read may have found.

A trigger keeps every number that was written, with the moment; `cluster` reads them from PostgreSQL. A row is locked
from before that moment until its transaction has committed, so that of one row's numbers each was committed before
the next one's moment. From this follows what a read between two moments may see: nothing newer than its end, and
nothing older than the last number that was certainly committed when it began, which is the last one whose writing had
been answered with 200 by then, or the last but one.

**Invariant:** a number is called wrong only if no order of what happened allows it; an update that was answered with
200 and that the table does not know is called lost.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from .answers import ROWS, Row

# Numbers that were replaced this long ago are remembered only as having been there: no request lasts so long.
REMEMBERED_SECONDS = 120.0


@dataclass(frozen=True)
class Observation:
    """Rows that an answer held, between two moments of the wall clock. `kind` is a read, an update, or the cache's."""

    kind: str
    rows: list[Row]
    sent: float
    answered: float


@dataclass
class History:
    """One row's numbers in the order of their writing."""

    at: list[float] = field(default_factory=list)
    number: list[int] = field(default_factory=list)
    # When the writing had been answered; infinite where it was not, or was answered with 503.
    answered: list[float] = field(default_factory=list)
    # A bit for each number that was there before.
    before: int = 0

    def add(self, at: float, number: int) -> None:
        place = bisect.bisect_right(self.at, at)
        self.at.insert(place, at)
        self.number.insert(place, number)
        self.answered.insert(place, math.inf)

    def acknowledge(self, number: int, sent: float, answered: float) -> bool:
        """Finds the writing that an answered update stands for."""
        for place in range(bisect.bisect_left(self.at, sent), bisect.bisect_right(self.at, answered)):
            if self.number[place] == number and self.answered[place] == math.inf:
                self.answered[place] = answered
                return True
        return False

    def may_read(self, number: int, sent: float, answered: float) -> bool:
        last = bisect.bisect_right(self.at, sent) - 1
        # The last one's own moment has passed, but its commit may have come later, unless it was answered.
        oldest = last if last <= 0 or self.answered[last] <= sent else last - 1
        return number in self.number[max(oldest, 0) : bisect.bisect_right(self.at, answered)]

    def may_cache(self, number: int, answered: float) -> bool:
        """What was read through once may be told for ever."""
        return bool(self.before >> number & 1) or number in self.number[: bisect.bisect_right(self.at, answered)]

    def forget(self, moment: float) -> None:
        """Keeps two from before the moment: the last, and the one that a read may see while the last commits."""
        surplus = bisect.bisect_right(self.at, moment) - 2
        for number in self.number[: max(surplus, 0)]:
            self.before |= 1 << number
        if surplus > 0:
            del self.at[:surplus], self.number[:surplus], self.answered[:surplus]


class Truth:
    """All rows, and what is still to be judged."""

    def __init__(self) -> None:
        self.rows = {row: History() for row in range(1, ROWS + 1)}
        self.waiting: list[Observation] = []
        self.judged = 0

    def begin(self, table: Iterable[Row]) -> None:
        """What stood in the table before anything was asked."""
        for row, number in table:
            self.rows[row].add(-math.inf, number)
            self.rows[row].answered[-1] = -math.inf

    def observe(self, observation: Observation) -> None:
        self.waiting.append(observation)

    def learn(self, written: Iterable[tuple[int, int, float]]) -> None:
        """What was written: row, number, moment."""
        for row, number, at in written:
            self.rows[row].add(at, number)

    def take(self, until: float) -> list[Observation]:
        """What can be judged once all is known that was written until a moment; updates first, for they bound what
        may be read."""
        ready = [observation for observation in self.waiting if observation.answered <= until]
        self.waiting = [observation for observation in self.waiting if observation.answered > until]
        return sorted(ready, key=lambda observation: observation.kind != "update")

    def judge(self, ready: Iterable[Observation]) -> list[str]:
        """What is wrong with these, in the order that `take` gave them."""
        wrong = []
        for observation in ready:
            self.judged += len(observation.rows)
            wrong.extend(self.troubles(observation))
        return wrong

    def forget(self, moment: float) -> None:
        for history in self.rows.values():
            history.forget(moment)

    def troubles(self, observation: Observation) -> list[str]:
        sent, answered = observation.sent, observation.answered
        wrong = []
        for row, number in observation.rows:
            history = self.rows[row]
            if observation.kind == "update":
                if not history.acknowledge(number, sent, answered):
                    wrong.append(f"row {row}: {number} was answered as written, and the table never had it")
            elif observation.kind == "cached":
                if not history.may_cache(number, answered):
                    wrong.append(f"row {row}: the cache says {number}, which it never was")
            elif not history.may_read(number, sent, answered):
                wrong.append(f"row {row}: {number} was read, which it was not then; last it was {history.number[-3:]}")
        return wrong

    def differs(self, table: dict[int, int]) -> list[str]:
        """What stands in the table when nobody writes any more must be what was written last."""
        if table.keys() != self.rows.keys():
            return [f"the table has {len(table)} rows, not the {len(self.rows)} it began with"]
        return [
            f"row {row} is {table[row]}, and {history.number[-1]} was written last"
            for row, history in self.rows.items()
            if table[row] != history.number[-1]
        ]
