"""The yardstick: PostgreSQL's own pgbench, prepared single-row selects over the same socket.

It says in which mood the machine is: figures of two days compare by their ratio to it.

**Invariant:** it is never measured at the same time as a target, and where it is missing nothing else is.
"""

from __future__ import annotations

import re
from pathlib import Path

from .children import Children
from .postgres import Postgres, program
from .problem import Problem

SCRIPT = Path(__file__).with_name("select.sql")
CLIENTS, THREADS = 8, 2
GRACE_SECONDS = 30.0


def run(children: Children, database: Postgres, seconds: int) -> float | None:
    """Selects a second, or none where pgbench is not installed."""
    pgbench = program(database.programs, "pgbench")
    if pgbench is None or seconds < 1:
        return None
    words = [pgbench, "-n", "-M", "prepared", "-f", str(SCRIPT), f"-c{CLIENTS}", f"-j{THREADS}", f"-T{seconds}"]
    child = children.start("pgbench", words, environment=database.environment("unix"))
    ended = child.has_ended(within=seconds + GRACE_SECONDS)
    children.stop(child)
    text = child.log.read_text(errors="replace")
    rate = parse(text)
    if not ended or rate is None:
        raise Problem(f"pgbench failed:\n{child.last_words()}", "YARDSTICK=0 measures without it.")
    return rate


def parse(text: str) -> float | None:
    """`tps = 137012.5 (without initial connection time)`; before PostgreSQL 14 there is also one that includes it."""
    found = re.findall(r"^tps = ([\d.]+) \((?:without|excluding)", text, re.MULTILINE)
    return float(found[-1]) if found else None
