"""Which process holds which connection, as the kernel knows it.

**Invariant:** nothing is asked of the processes themselves.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

ESTABLISHED = "01"


def children_of(pid: int) -> list[int]:
    """The processes that this one started and that have not ended."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def client_ports(pid: int, server_port: int) -> set[int]:
    """The client's port of each connection with `server_port` that the process holds."""
    held = inodes_of(pid)
    return {client for client, inode in connections(Path("/proc/net/tcp").read_text(), server_port) if inode in held}


def inodes_of(pid: int) -> set[int]:
    """The sockets among a process's descriptors."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(descriptor))
        except FileNotFoundError:
            continue
        if found:
            inodes.add(int(found[1]))
    return inodes


def connections(table: str, server_port: int) -> list[tuple[int, int]]:
    """Client's port and socket of each established connection with this local port, from `/proc/net/tcp` (proc(5))."""
    found = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        local, remote = (int(fields[at].split(":")[1], 16) for at in (1, 2))
        if local == server_port and fields[3] == ESTABLISHED:
            found.append((remote, int(fields[9])))
    return found
