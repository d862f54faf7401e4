"""The faults by name: what each does, and what it allows.

**Invariant:** what is not allowed here is wrong; `/json` and `/plaintext` are answered with 200 through all of it.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..problem import Problem
from . import by_clients, on_database, on_service
from .house import House
from .timeline import Allowance

# No fault takes longer than this until all is undone, the restart of PostgreSQL on a busy machine included.
MOST_SECONDS = 60.0

EVERY_TABLE = frozenset({"db", "queries", "updates", "fortunes", "cached"})
WORLD = EVERY_TABLE - {"fortunes"}


@dataclass(frozen=True)
class Fault:
    """One thing that happens."""

    what: str
    make: Callable[[House, random.Random], Awaitable[str]]
    allows: Allowance = Allowance()
    # It needs more memory than everyday life: the first deck begins with those, so that they are no news later.
    swells: bool = False
    # Processes of the service are others afterwards.
    renews: bool = False
    # A single process has nobody who would start it again.
    needs_several: bool = False


UNAVAILABLE = Allowance(refused=EVERY_TABLE)
# Where every core is busy a request waits in the kernel too, before its deadline begins.
OVERLOADED = Allowance(refused=EVERY_TABLE, late=True)
FAULTS = {
    "restart-immediate": Fault("PostgreSQL restarted, `-m immediate`", on_database.restart_immediate, UNAVAILABLE),
    "restart-fast": Fault("PostgreSQL restarted, `-m fast`", on_database.restart_fast, UNAVAILABLE),
    "kill-backend": Fault("a session of PostgreSQL killed with -9", on_database.kill_backend, UNAVAILABLE),
    "kill-postmaster": Fault("PostgreSQL killed with -9", on_database.kill_postmaster, UNAVAILABLE),
    "hang": Fault("all processes of PostgreSQL stopped (SIGSTOP)", on_database.hang, UNAVAILABLE),
    "lock": Fault("`LOCK TABLE world`", on_database.lock_table, UNAVAILABLE),
    "rename": Fault("table `world` not there", on_database.rename_table, Allowance(refused=WORLD)),
    "connection-limit": Fault(
        "sessions ended, and hardly any more allowed (53300)", on_database.limit_connections, UNAVAILABLE
    ),
    "read-only": Fault(
        "PostgreSQL read-only (25006)", on_database.read_only, Allowance(refused=frozenset({"updates"}))
    ),
    "kill-process": Fault(
        "a process of the service killed with -9",
        on_service.kill_process,
        Allowance(loses=True),
        renews=True,
        needs_several=True,
    ),
    "reload": Fault("SIGHUP", on_service.reload, Allowance(cuts_heads=True), renews=True),
    "resize": Fault("the pools made smaller, larger, and as before", on_service.resize_pool),
    "pause": Fault("the pools paused and resumed", on_service.pause_pool, UNAVAILABLE),
    "descriptors": Fault("no descriptor left for a process", on_service.starve_of_descriptors, Allowance(late=True)),
    "half-heads": Fault("2 000 connections with half a head", by_clients.half_heads, swells=True),
    "deep-updates": Fault("500 updates of 20 rows in one write", by_clients.deep_updates, swells=True),
    "overload": Fault(
        "200 clients ask for 500 rows each without a pause", by_clients.overload, OVERLOADED, swells=True
    ),
}


def choose(names: str | None, processes: int) -> dict[str, Fault]:
    """All, or those named, `lock,hang`; of a single process those that it can take."""
    wanted = names.split(",") if names else list(FAULTS)
    if strangers := [name for name in wanted if name not in FAULTS]:
        raise Problem(f"there is no fault {strangers[0]!r}", f"SOAK_FAULTS takes some of: {' '.join(FAULTS)}.")
    chosen = {name: FAULTS[name] for name in wanted if processes > 1 or not FAULTS[name].needs_several}
    if not chosen:
        raise Problem("a single process has nobody to start it again", "Give it two: SOAK_PROCESSES=2.")
    return chosen
