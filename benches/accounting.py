"""CPU time and context switches of processes, read from /proc.

The times are what the kernel calls utime and stime, in ticks of 10 ms; over a run of five seconds that is fine
enough. A process's children count from the moment the kernel adds them to it, which is when they were waited for:
what a backend of PostgreSQL used before it ended is in its postmaster's account.

**Invariant:** a process that ends between two readings is counted once: with its parent, not also as itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# A reading during which a process came or went is made again.
READINGS = 10


@dataclass(frozen=True)
class Usage:
    """Seconds of CPU in user space and in the kernel, and how often a thread gave up its core."""

    user: float
    system: float
    switches: int = 0

    @property
    def seconds(self) -> float:
        return self.user + self.system

    def since(self, before: Usage) -> Usage:
        return Usage(self.user - before.user, self.system - before.system, self.switches - before.switches)


@dataclass(frozen=True)
class Stat:
    """What is used of /proc/PID/stat; times are in ticks, `waited_*` are those of children that ended."""

    pid: int
    parent: int
    session: int
    user: int
    system: int
    waited_user: int
    waited_system: int


def parse_stat(text: str) -> Stat:
    """The second field is a name in parentheses, which may itself hold parentheses and spaces."""
    start, _, rest = text.rpartition(")")
    fields = rest.split()
    return Stat(
        pid=int(start.split(" ", 1)[0]),
        parent=int(fields[1]),
        session=int(fields[3]),
        user=int(fields[11]),
        system=int(fields[12]),
        waited_user=int(fields[13]),
        waited_system=int(fields[14]),
    )


def parse_switches(text: str) -> int:
    """Voluntary and other switches of one thread, from its `status`."""
    return sum(int(line.split()[1]) for line in text.splitlines() if "ctxt_switches:" in line)


def family(root: int, stats: Iterable[Stat]) -> list[Stat]:
    """A process, its descendants, and whatever else is in its session."""
    found: dict[int, Stat] = {}
    children: dict[int, list[Stat]] = {}
    waiting: list[Stat] = []
    for stat in stats:
        children.setdefault(stat.parent, []).append(stat)
        if root in (stat.pid, stat.session):
            waiting.append(stat)
    while waiting:
        stat = waiting.pop()
        if stat.pid not in found:
            found[stat.pid] = stat
            waiting.extend(children.get(stat.pid, []))
    return list(found.values())


def total(members: Iterable[Stat], switches: int = 0) -> Usage:
    members = list(members)
    user = sum(stat.user + stat.waited_user for stat in members)
    system = sum(stat.system + stat.waited_system for stat in members)
    return Usage(user / TICKS_PER_SECOND, system / TICKS_PER_SECOND, switches)


def family_usage(root: int) -> Usage:
    """What a process and all that belongs to it have used so far."""
    members = family(root, read_all())
    for _ in range(READINGS):
        again = family(root, read_all())
        if who(again) == who(members):
            break
        members = again
    return total(members, sum(read_switches(stat.pid) for stat in members))


def process_usage(pid: int) -> Usage:
    """What one process alone has used; it may have ended, as long as nobody has collected it."""
    stat = parse_stat(Path(f"/proc/{pid}/stat").read_text())
    return Usage(stat.user / TICKS_PER_SECOND, stat.system / TICKS_PER_SECOND)


def who(members: Iterable[Stat]) -> dict[int, tuple[int, int]]:
    """The processes and what they were given by children; equal in two readings when none came or went between them."""
    return {stat.pid: (stat.waited_user, stat.waited_system) for stat in members}


def read_all() -> list[Stat]:
    stats = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stats.append(parse_stat(Path(f"/proc/{name}/stat").read_text()))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return stats


def read_switches(pid: int) -> int:
    """Over all threads that live; those that ended took their count with them."""
    switches = 0
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            switches += parse_switches(Path(f"/proc/{pid}/task/{thread}/status").read_text())
    except (FileNotFoundError, ProcessLookupError):
        pass
    return switches
