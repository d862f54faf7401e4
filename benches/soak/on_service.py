"""Faults of the service's own processes, and changes to it while it runs.

**Invariant:** each ends only when as many processes serve as before, with the limits and the pool of before.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import signal

from ..ownership import client_ports
from .house import House, until

PAUSED_SECONDS = 2.0
STARVED_SECONDS = 4.0
# The first three are open as long as the process runs.
STARVED_TO = 3
# Database connections for each core: fewer, more, and what the settings say.
SIZES = ("1", "6", "4")
BETWEEN_SIZES_SECONDS = 1.0


async def kill_process(house: House, dice: random.Random) -> str:
    """Held still first, so that what it holds is known when it dies."""
    before = house.servers()
    victim = dice.choice(before)
    os.kill(victim, signal.SIGSTOP)
    held = client_ports(victim, house.port)
    if house.window is not None:
        house.window.ports |= held
    os.kill(victim, signal.SIGKILL)
    await until(
        lambda: victim not in (now := house.servers()) and len(now) == len(before),
        "another process to be started",
        house.child.last_words,
    )
    return f"it held {len(held)} connections"


async def reload(house: House, _: random.Random) -> str:
    """Several processes are replaced one after the other; a single one reads its settings anew and stays."""
    before = set(house.servers())
    os.kill(house.child.pid, signal.SIGHUP)
    if house.processes > 1:
        await until(
            lambda: len(now := set(house.servers())) == len(before) and not now & before,
            "all processes to be replaced",
            house.child.last_words,
        )
    return f"{len(before)} processes" if house.processes > 1 else "one process, which stays"


async def resize_pool(house: House, _: random.Random) -> str:
    for size in SIZES:
        await house.pool("resize", size)
        await asyncio.sleep(BETWEEN_SIZES_SECONDS)
    return ", ".join(f"{size} for each core" for size in SIZES)


async def pause_pool(house: House, _: random.Random) -> str:
    try:
        await house.pool("pause")
        await asyncio.sleep(PAUSED_SECONDS)
    finally:
        await house.pool("resume")
    return f"{PAUSED_SECONDS:.0f} s"


async def starve_of_descriptors(house: House, dice: random.Random) -> str:
    """No descriptor can be opened, not even in place of one that is closed: who comes waits in the kernel."""
    victim = dice.choice(house.servers())
    before = resource.prlimit(victim, resource.RLIMIT_NOFILE)
    try:
        resource.prlimit(victim, resource.RLIMIT_NOFILE, (STARVED_TO, before[1]))
        await asyncio.sleep(STARVED_SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(victim, resource.RLIMIT_NOFILE, before)
    return f"{STARVED_SECONDS:.0f} s"
