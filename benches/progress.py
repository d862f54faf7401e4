"""The line that says how far a measurement is and when it will be done.

**Invariant:** it goes to standard error, and rewrites itself only where that is a terminal.
"""

from __future__ import annotations

import sys
import time


class Progress:
    """Counts steps of about the same length."""

    def __init__(self, steps: int, seconds_each: float) -> None:
        self.steps, self.done = steps, 0
        # What a step takes before there is one to go by.
        self.guess = seconds_each
        self.begin = time.monotonic()
        self.is_live = sys.stderr.isatty()

    def show(self, what: str) -> None:
        """Says what is being done now."""
        text = f"[{self.done + 1}/{self.steps}] {what}, {describe_seconds(self.remaining())} left"
        if self.is_live:
            sys.stderr.write(f"\r\x1b[K{text}")
        else:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def step(self) -> None:
        self.done += 1

    def clear(self) -> None:
        if self.is_live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def remaining(self) -> float:
        each = (time.monotonic() - self.begin) / self.done if self.done else self.guess
        return each * (self.steps - self.done)


def describe_seconds(seconds: float) -> str:
    """`45 s`, `12 min`, `1 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
