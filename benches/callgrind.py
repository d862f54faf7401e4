"""What a request costs under callgrind, in instructions and in calls of the allocator.

**Invariant:** what is counted is the service's own instructions in user space, and its own calls of the allocator, from
its start to its end.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from . import callgrind_file
from .callgrind_file import Counts
from .children import Children
from .postgres import Postgres
from .problem import Problem
from .stand import Stand, Tool

CALLGRIND = Tool("callgrind", lambda out: ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"])


def check_valgrind() -> None:
    if shutil.which("valgrind") is None:
        raise Problem("valgrind is missing", "Debian, Ubuntu: apt-get install valgrind; Fedora: dnf install valgrind.")


class Counter:
    """Counts what one binary executes in front of one database."""

    def __init__(self, children: Children, database: Postgres, binary: Path, folder: Path) -> None:
        self.stand = Stand(children, database, binary, folder, CALLGRIND)

    def per_request(self, path: str, requests: int, settings: Mapping[str, str]) -> Counts:
        """What a request costs, with start and end subtracted."""
        more, fewer = (
            callgrind_file.read(self.stand.run(path, count, settings)) for count in (2 * requests, requests)
        )
        return Counts(
            (more.instructions - fewer.instructions) / requests, (more.allocations - fewer.allocations) / requests
        )
