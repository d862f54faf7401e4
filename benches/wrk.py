"""wrk, the load generator: its command line, its CPU time, and what its text says.

**Invariant:** what wrk printed is kept beside the figures that were read from it.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from .accounting import Usage, process_usage
from .children import Children
from .plan import Cell
from .problem import Problem

THREADS = 2
PIPELINE = Path(__file__).with_name("pipeline.lua")
# How much longer than its duration wrk may take to connect and to end.
GRACE_SECONDS = 30.0
UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6, "h": 3600e6}


@dataclass(frozen=True)
class Load:
    """What one run of wrk saw."""

    requests: int
    requests_per_second: float
    p50_us: float
    p99_us: float
    socket_errors: int
    not_2xx: int
    usage: Usage


def check_wrk() -> None:
    if shutil.which("wrk") is None:
        raise Problem(
            "wrk is missing", "Debian, Ubuntu: apt-get install wrk; macOS: brew install wrk; Fedora: dnf install wrk."
        )


def command(cell: Cell, url: str, seconds: float) -> list[str]:
    threads = min(THREADS, cell.connections)
    words = [
        "wrk",
        f"-t{threads}",
        f"-c{cell.connections}",
        f"-d{max(1, round(seconds))}s",
        "--latency",
        "--timeout",
        "8s",
    ]
    if cell.route.depth > 1:
        return [*words, "-s", str(PIPELINE), url, "--", str(cell.route.depth)]
    return [*words, url]


def run(children: Children, cell: Cell, url: str, seconds: float) -> Load:
    """Loads a server for some seconds."""
    child = children.start("wrk", command(cell, url, seconds))
    if not child.has_ended(within=seconds + GRACE_SECONDS):
        raise Problem(
            f"wrk did not end {GRACE_SECONDS:.0f} s after its time", "Is the server still answering? Its log says."
        )
    usage = process_usage(child.pid)
    children.stop(child)
    text = child.log.read_text(errors="replace")
    if child.process.returncode != 0:
        raise Problem(f"wrk failed:\n{child.last_words()}", f"Its command was: {' '.join(command(cell, url, seconds))}")
    return parse(text, usage)


def parse(text: str, usage: Usage) -> Load:
    """Reads what wrk prints with --latency."""
    requests = re.search(r"^\s*(\d+) requests in ", text, re.MULTILINE)
    rate = re.search(r"^Requests/sec:\s+([\d.]+)", text, re.MULTILINE)
    if requests is None or rate is None:
        raise Problem(
            f"wrk printed something else than results:\n{text.strip()}", "Try the wrk of your distribution, 4.1 or 4.2."
        )
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    not_2xx = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return Load(
        requests=int(requests[1]),
        requests_per_second=float(rate[1]),
        p50_us=percentile(text, 50),
        p99_us=percentile(text, 99),
        socket_errors=sum(int(number) for number in errors.groups()) if errors else 0,
        not_2xx=int(not_2xx[1]) if not_2xx else 0,
        usage=usage,
    )


def percentile(text: str, percent: int) -> float:
    """A line of the latency distribution, in microseconds; 0 where wrk had too little to say."""
    found = re.search(rf"^\s*{percent}%\s+([\d.]+)(us|ms|s|m|h)$", text, re.MULTILINE)
    return float(found[1]) * UNITS[found[2]] if found else 0.0
