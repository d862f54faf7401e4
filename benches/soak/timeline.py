"""Which fault is in force when, and what it allows to become of a request.

**Invariant:** outside of every fault and of its promised recovery, a request is answered with 200 within a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# After a fault, all is well again within this: the promise of docs/reliability.md.
RECOVERY_SECONDS = 1.0
# In calm an answer takes no longer.
CALM_SECONDS = 1.0
# The service's deadline for a request, and what its clock and ours may add to it.
DEADLINE_SECONDS = 3.0
DEADLINE_SLACK_SECONDS = 0.5


@dataclass(frozen=True)
class Allowance:
    """What may become of requests while a fault is in force."""

    # Routes that may be answered with 503.
    refused: frozenset[str] = frozenset()
    # A process is killed: what it held goes with it.
    loses: bool = False
    # An answer may come after the deadline, since that begins only when the request is accepted and read.
    late: bool = False
    # A head that is not whole yet may be cut off, since the process that was reading it leaves.
    cuts_heads: bool = False


@dataclass
class Window:
    """One fault, from its first moment to the end of it."""

    name: str
    allows: Allowance
    begin: float
    end: float | None = None
    refused: int = 0
    lost: int = 0
    # How long after the end the last request was sent that was not answered with 200.
    recovered_after: float = 0.0
    # Client ports of connections that a killed process held.
    ports: set[int] = field(default_factory=set)

    def touches(self, sent: float, answered: float) -> bool:
        return self.begin <= answered and (self.end is None or sent <= self.end + RECOVERY_SECONDS)


@dataclass(frozen=True)
class Outcome:
    """What became of a request; times are monotonic. `began` is when it was first in line, `status` none without an
    answer."""

    route: str
    port: int
    sent: float
    began: float
    answered: float
    status: int | None
    how: str = ""
    # How late the clients themselves were meanwhile.
    lag: float = 0.0


class Timeline:
    """All faults so far."""

    def __init__(self) -> None:
        self.windows: list[Window] = []

    def open(self, name: str, allows: Allowance, now: float) -> Window:
        window = Window(name, allows, now)
        self.windows.append(window)
        return window

    def touching(self, sent: float, answered: float) -> list[Window]:
        # Faults do not overlap, and nothing is sent long before it is answered: the last few are enough.
        return [window for window in self.windows[-4:] if window.touches(sent, answered)]

    def judge(self, outcome: Outcome) -> tuple[str, str]:
        """Answered, refused, lost or wrong; and in the last case, what is."""
        windows = self.touching(outcome.sent, outcome.answered)
        names = " and ".join(window.name for window in windows) or "calm"
        took = outcome.answered - outcome.began - outcome.lag
        if outcome.status is None:
            for window in windows:
                if window.allows.loses and outcome.port in window.ports:
                    note(window, outcome)
                    window.lost += 1
                    return "lost", ""
            return "wrong", f"/{outcome.route} was not answered ({outcome.how}) in {names}"
        if took > DEADLINE_SECONDS + DEADLINE_SLACK_SECONDS and not any(window.allows.late for window in windows):
            return "wrong", f"/{outcome.route} was answered with {outcome.status} after {took:.2f} s in {names}"
        if outcome.status == 200:
            if took > CALM_SECONDS and not windows:
                return "wrong", f"/{outcome.route} took {took:.2f} s in calm"
            return "answered", ""
        for window in windows:
            if outcome.status == 503 and outcome.route in window.allows.refused:
                note(window, outcome)
                window.refused += 1
                return "refused", ""
        return "wrong", f"/{outcome.route} was answered with {outcome.status} in {names}"


def note(window: Window, outcome: Outcome) -> None:
    """Trouble of a request that was sent after the end of a fault belongs to its recovery."""
    if window.end is not None:
        window.recovered_after = max(window.recovered_after, outcome.sent - window.end)
