"""What a server has resident: all its processes together.

The kernel's own part of a connection, its socket, is in no process's account and not counted here.

**Invariant:** a page that several processes share counts once: their proportional shares (proc(5), Pss) are added.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..accounting import family, read_all


def resident_bytes(root: int) -> int:
    """Of a process and all that belongs to it."""
    total = 0
    for member in family(root, read_all()):
        try:
            total += parse(Path(f"/proc/{member.pid}/smaps_rollup").read_text())
        except (FileNotFoundError, ProcessLookupError):
            # It ended just now, and holds nothing.
            continue
    return total


def parse(rollup: str) -> int:
    """The proportional share, in bytes; a process that is ending has none."""
    found = re.search(r"^Pss:\s+(\d+) kB$", rollup, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
