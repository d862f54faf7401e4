"""Memory and descriptors of the whole service, looked at once a second.

Memory is what its processes have to themselves and no file stands behind (`Anonymous` in smaps_rollup, proc(5)). Of
the descriptors, those of connections that clients hold and of sessions with PostgreSQL come and go with the load; the
rest must not.

**Invariant:** a look in which a process came or went is not kept.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ..ownership import connections

CONNECTED = "03"


@dataclass(frozen=True)
class Sample:
    """One look; `at` is seconds since the beginning."""

    at: float
    # By process, the one that was started first.
    anonymous_kib: dict[int, int]
    descriptors: int
    clients: int
    sessions: int

    @property
    def memory_kib(self) -> int:
        return sum(self.anonymous_kib.values())

    @property
    def rest(self) -> int:
        """Descriptors that are neither a client's connection nor a session with PostgreSQL."""
        return self.descriptors - self.clients - self.sessions


def look(at: float, pids: list[int], port: int, database_socket: Path) -> Sample | None:
    """Nothing where a process ended meanwhile."""
    try:
        memory = {pid: anonymous(Path(f"/proc/{pid}/smaps_rollup").read_text()) for pid in pids}
        descriptors = sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)
    except (FileNotFoundError, ProcessLookupError):
        return None
    clients = len(connections(Path("/proc/net/tcp").read_text(), port))
    sessions = connected(Path("/proc/net/unix").read_text(), str(database_socket))
    return Sample(at, memory, descriptors, clients, sessions)


def anonymous(rollup: str) -> int:
    """KiB; a process that is ending has none."""
    found = re.search(r"^Anonymous:\s+(\d+) kB$", rollup, re.MULTILINE)
    return int(found[1]) if found else 0


def connected(table: str, path: str) -> int:
    """How many connections were accepted at this path, from `/proc/net/unix` (proc(5))."""
    rows = (line.split() for line in table.splitlines()[1:])
    return sum(1 for row in rows if len(row) == 8 and row[5] == CONNECTED and row[7] == path)
