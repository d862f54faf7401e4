"""Whether a process has nothing to do: all its threads sleep in the kernel.

**Invariant:** a thread that could run, whether it has a core or not, is never taken for asleep.
"""

from __future__ import annotations

import os
import time

from .problem import Problem

PATIENCE_SECONDS = 60.0


class Sleeper:
    """A process of which one waits until it sleeps."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.states: dict[str, int] = {}

    def __enter__(self) -> Sleeper:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self.states.values():
            os.close(file)
        self.states.clear()

    def wait_until_asleep(self) -> None:
        """Returns once every thread sleeps: the last event was dealt with to its end."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        self.look_for_threads()
        while not self.is_asleep():
            os.sched_yield()
            if time.monotonic() > deadline:
                raise Problem("the service is busy without end", "Its log and callgrind's output say with what.")

    def look_for_threads(self) -> None:
        threads = set(os.listdir(f"/proc/{self.pid}/task"))
        for gone in self.states.keys() - threads:
            os.close(self.states.pop(gone))
        for new in threads - self.states.keys():
            self.states[new] = os.open(f"/proc/{self.pid}/task/{new}/stat", os.O_RDONLY)

    def is_asleep(self) -> bool:
        try:
            return all(state_of(os.pread(file, 512, 0)) == b"S" for file in self.states.values())
        except ProcessLookupError:
            # One of them has ended; the others are looked at anew.
            self.look_for_threads()
            return False


def state_of(stat: bytes) -> bytes:
    """The letter after the name in parentheses, which may itself hold parentheses and spaces."""
    return stat[stat.rindex(b")") + 2 :][:1]
