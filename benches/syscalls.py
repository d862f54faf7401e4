"""`make syscalls`: how many system calls of each kind a request costs, counted by strace.

A keep-alive connection should cost one read and one write a request, and a batch of queries one of each beside them.

**Invariant:** a route that answers from memory and makes more than one read or more than one write fails.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

from . import builds, postgres
from .children import Children
from .instructions import COUNTED, FROM_MEMORY, Case
from .problem import Problem
from .stand import Stand, Tool

REQUESTS = 200
# How long strace may take to write its table once the service has ended.
TABLE_SECONDS = 10.0
# In a process group of its own (-DD), so that it outlives the service and writes its table.
STRACE = Tool("strace", lambda out: ["strace", "-DD", "-f", "-c", "-o", str(out)])
READS, WRITES = ("recvfrom", "read", "recvmsg", "readv"), ("sendto", "write", "sendmsg", "writev")
# The share of a call that a tick of the service's clocks may add.
SLACK = 0.05
# % time, seconds, microseconds a call, calls, errors if there are any, name.
LINE = re.compile(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", re.MULTILINE)


def run(arguments: argparse.Namespace) -> int:
    """Counts, prints, and returns the exit code."""
    if shutil.which("strace") is None:
        raise Problem("strace is missing", "Debian, Ubuntu: apt-get install strace; Fedora: dnf install strace.")
    binary = Path(arguments.binary) if arguments.binary else builds.build_counted()
    complaints = []
    with tempfile.TemporaryDirectory(prefix="plimsoll-syscalls-") as logs, Children(Path(logs)) as children:
        with postgres.serve(children) as database:
            stand = Stand(children, database, binary, Path(logs), STRACE)
            for name in arguments.routes or COUNTED:
                calls = per_request(stand, COUNTED[name])
                print(line(name, calls), flush=True)
                complaints += complain(name, calls)
    for complaint in complaints:
        print(f"syscalls: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


def per_request(stand: Stand, case: Case) -> dict[str, float]:
    """Calls a request, with start and end subtracted."""
    more, fewer = (read(stand.run(case.path, count, case.settings)) for count in (2 * REQUESTS, REQUESTS))
    names = sorted(more.keys() | fewer.keys())
    return {name: (more.get(name, 0) - fewer.get(name, 0)) / REQUESTS for name in names}


def read(file: Path) -> dict[str, int]:
    """strace's table, once it is whole."""
    deadline = time.monotonic() + TABLE_SECONDS
    while not file.exists() or not (text := file.read_text()).rstrip().endswith("total"):
        if time.monotonic() > deadline:
            raise Problem("strace wrote no table", "Where tracing is forbidden (ptrace_scope, seccomp) it cannot run.")
        time.sleep(0.02)
    return parse(text)


def parse(table: str) -> dict[str, int]:
    """Calls by name."""
    return {name: int(calls) for calls, name in LINE.findall(table) if name != "total"}


def line(name: str, calls: dict[str, float]) -> str:
    shown = sorted(((count, call) for call, count in calls.items() if count >= SLACK), reverse=True)
    return f"  {name:<16} " + "  ".join(f"{call} {count:.2f}" for count, call in shown)


def complain(name: str, calls: dict[str, float]) -> list[str]:
    """What a route from memory does too often."""
    if name not in FROM_MEMORY:
        return []
    kinds = {"reads": READS, "writes": WRITES}
    sums = {kind: sum(calls.get(call, 0.0) for call in names) for kind, names in kinds.items()}
    return [f"{name} makes {count:.2f} {kind} a request" for kind, count in sums.items() if count > 1 + SLACK]
