"""Faults of PostgreSQL, made for real.

**Invariant:** each ends only when PostgreSQL accepts and every setting is as it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal

from .. import postgres
from ..problem import Problem
from .house import House, until

LOCK_SECONDS = 5.0
RENAMED_SECONDS = 2.0
LIMITED_SECONDS = 3.0
READ_ONLY_SECONDS = 3.0
# Some hangs are shorter than a request's deadline and some longer.
HANG_SECONDS = (1.0, 4.5)

TERMINATE = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{postgres.USER}'"


async def restart_immediate(house: House, _: random.Random) -> str:
    await house.cluster.end(signal.SIGQUIT)
    await house.cluster.begin()
    return ""


async def restart_fast(house: House, _: random.Random) -> str:
    await house.cluster.end(signal.SIGINT)
    await house.cluster.begin()
    return ""


async def kill_postmaster(house: House, _: random.Random) -> str:
    await house.cluster.end(signal.SIGKILL)
    await house.cluster.begin()
    return ""


async def kill_backend(house: House, dice: random.Random) -> str:
    """PostgreSQL ends every other session too and recovers, since memory that they share may be damaged."""
    sessions = await house.cluster.sessions()
    if not sessions:
        return "there was no session"
    os.kill(dice.choice(sessions), signal.SIGKILL)
    await until(lambda: not any(map(is_there, sessions)), "the sessions to end", house.cluster.child.last_words)
    await house.cluster.wait_until_accepting()
    return f"one of {len(sessions)}"


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def hang(house: House, dice: random.Random) -> str:
    seconds = dice.uniform(*HANG_SECONDS)
    try:
        house.cluster.hold_still(True)
        await asyncio.sleep(seconds)
    finally:
        house.cluster.hold_still(False)
    return f"{seconds:.1f} s"


async def lock_table(house: House, _: random.Random) -> str:
    await house.cluster.sql(
        f"BEGIN; LOCK TABLE world IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep({LOCK_SECONDS}); COMMIT"
    )
    return f"{LOCK_SECONDS:.0f} s"


async def rename_table(house: House, _: random.Random) -> str:
    try:
        await house.cluster.sql("ALTER TABLE world RENAME TO world_away")
        await asyncio.sleep(RENAMED_SECONDS)
    finally:
        await house.cluster.sql("ALTER TABLE IF EXISTS world_away RENAME TO world")
    return f"{RENAMED_SECONDS:.0f} s"


async def limit_connections(house: House, dice: random.Random) -> str:
    most = dice.randint(0, 3)
    role = postgres.USER
    try:
        await house.cluster.sql(f"ALTER ROLE {role} CONNECTION LIMIT {most}; {TERMINATE}")
        await asyncio.sleep(LIMITED_SECONDS)
    finally:
        with contextlib.suppress(Problem):
            await house.cluster.sql(f"ALTER ROLE {role} CONNECTION LIMIT -1")
    await house.cluster.wait_until_accepting()
    return f"{most} for {LIMITED_SECONDS:.0f} s"


async def read_only(house: House, _: random.Random) -> str:
    """For sessions that are open too, which a setting of the database or the role would not reach."""
    try:
        await house.cluster.sql("ALTER SYSTEM SET default_transaction_read_only = on")
        await house.cluster.sql("SELECT pg_reload_conf()")
        await asyncio.sleep(READ_ONLY_SECONDS)
    finally:
        await house.cluster.sql("ALTER SYSTEM RESET default_transaction_read_only")
        await house.cluster.sql("SELECT pg_reload_conf()")
    return f"{READ_ONLY_SECONDS:.0f} s"
