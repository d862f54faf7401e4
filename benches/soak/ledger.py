"""What became of every request, counted.

**Invariant:** a request that was sent ends in exactly one of: answered with 200, refused as a fault allows, lost with
a killed process, given up by a client that meant to, or wrong.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from dataclasses import dataclass, field

from .answers import Answer, Target, WrongAnswer, check
from .timeline import Outcome, Timeline
from .truth import Observation, Truth

# Of what is wrong, so much is told in words; all of it is counted.
MOST_TOLD = 200
KINDS = {"updates": "update", "cached": "cached"}
# How often the clients look whether they themselves are late, and how long that is remembered.
BEAT_SECONDS = 0.02
BEATS_REMEMBERED_SECONDS = 30.0


@dataclass(frozen=True)
class Sent:
    """A request under way, by the wall clock and by the one that never jumps."""

    target: Target
    wall: float
    at: float


@dataclass
class Pulse:
    """How late the event loop of the clients is: what they waited for themselves is no fault of the service."""

    beats: deque[tuple[float, float]] = field(default_factory=deque)
    worst: float = 0.0
    # When the next beat should be.
    due: float = math.inf

    async def beat(self) -> None:
        while True:
            self.due = time.monotonic() + BEAT_SECONDS
            await asyncio.sleep(BEAT_SECONDS)
            now = time.monotonic()
            late = now - self.due
            if late > BEAT_SECONDS:
                self.beats.append((now, late))
                self.worst = max(self.worst, late)
            while self.beats and self.beats[0][0] < now - BEATS_REMEMBERED_SECONDS:
                self.beats.popleft()

    def late_between(self, begin: float, end: float) -> float:
        """After a stall answers are read before the beat that notices it, which is then overdue."""
        overdue = max(end - self.due, 0.0)
        return overdue + sum(late for at, late in self.beats if at > begin and at - late < end)


class Ledger:
    """Counts, and hands on what has to be judged later."""

    def __init__(self, timeline: Timeline, truth: Truth) -> None:
        self.timeline, self.truth = timeline, truth
        self.pulse = Pulse()
        self.fortunes = b""
        self.sent: Counter[str] = Counter()
        self.became: dict[str, Counter[str]] = {}
        self.statuses: Counter[int] = Counter()
        self.wrong = 0
        self.told: list[str] = []
        self.slowest_in_calm = 0.0
        self.heads_timed_out = 0
        self.connections = 0

    def begin(self, target: Target) -> Sent:
        self.sent[target.route] += 1
        return Sent(target, time.time(), time.monotonic())

    def answered(self, sent: Sent, port: int, answer: Answer, began: float | None = None) -> None:
        """`began` is when the answer before it came, on a connection where requests stand in line."""
        wall, now = time.time(), time.monotonic()
        began = max(sent.at, began or sent.at)
        self.statuses[answer.status] += 1
        lag = self.pulse.late_between(began, now)
        outcome = Outcome(sent.target.route, port, sent.at, began, now, answer.status, lag=lag)
        became, trouble = self.timeline.judge(outcome)
        try:
            rows = check(sent.target, answer, self.fortunes, sent.wall, wall)
        except WrongAnswer as wrong:
            became, trouble, rows = "wrong", trouble or str(wrong), []
        if rows:
            kind = KINDS.get(sent.target.route, "read")
            self.truth.observe(Observation(kind, rows, sent.wall, wall))
        if not self.timeline.touching(sent.at, now):
            self.slowest_in_calm = max(self.slowest_in_calm, now - began)
        self.settle(sent, became, trouble)

    def unanswered(self, sent: Sent, port: int, how: str) -> None:
        now = time.monotonic()
        became, trouble = self.timeline.judge(Outcome(sent.target.route, port, sent.at, sent.at, now, None, how))
        self.settle(sent, became, trouble)

    def given_up(self, sent: Sent) -> None:
        self.settle(sent, "given up", "")

    def settle(self, sent: Sent, became: str, trouble: str) -> None:
        self.became.setdefault(sent.target.route, Counter())[became] += 1
        if became == "wrong":
            self.complain(trouble)

    def complain(self, trouble: str) -> None:
        """Something is wrong that belongs to no request, or to one that was counted."""
        self.wrong += 1
        if len(self.told) < MOST_TOLD:
            windows = self.timeline.windows
            since = (
                f"{time.monotonic() - windows[-1].begin:.2f} s after {windows[-1].name} began"
                if windows
                else "at first"
            )
            self.told.append(f"{trouble} ({since})")

    def count(self, became: str) -> int:
        return sum(counts[became] for counts in self.became.values())

    @property
    def under_way(self) -> int:
        return sum(self.sent.values()) - sum(sum(counts.values()) for counts in self.became.values())
