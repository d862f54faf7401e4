"""Faults that clients make: too many, too slow, too much at once.

**Invariant:** every connection that is opened here is closed here, and what it was sent is checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import select
import socket
import time

from .answers import target
from .crowd import REAPED_WITHIN_SECONDS
from .house import HEADER_TIMEOUT_SECONDS, House
from .wire import Connection

HALF_HEADS = 2_000
# So many are opened between two looks at everything else.
AT_ONCE = 50
HALF_A_HEAD = b"GET /json HTTP/1.1\r\nHost: localhost\r\nX-"
DEEP, DEEP_ROWS = 500, 20
OVERLOADING, OVERLOAD_ROWS, OVERLOAD_SECONDS = 200, 500, 5.0


async def half_heads(house: House, _: random.Random) -> str:
    """Each must be answered with 408 and closed by its deadline and two seconds."""
    opened: dict[int, socket.socket] = {}
    said: dict[int, bytes] = {}
    try:
        begun = await open_half_heads(house.port, opened)
        within = begun + HEADER_TIMEOUT_SECONDS + REAPED_WITHIN_SECONDS
        await read_until_closed(opened, said, within)
    finally:
        left = len(opened)
        for one in opened.values():
            one.close()
    took = time.monotonic() - begun
    timed_out = sum(words.startswith(b"HTTP/1.1 408 ") for words in said.values())
    house.ledger.heads_timed_out += timed_out
    if left or timed_out < HALF_HEADS:
        house.ledger.complain(f"of {HALF_HEADS} half heads {timed_out} were answered with 408, {left} still open")
    return f"{HALF_HEADS}, all gone {took:.1f} s after the last was opened"


async def open_half_heads(port: int, opened: dict[int, socket.socket]) -> float:
    """Gives the moment when the last was opened."""
    for number in range(HALF_HEADS):
        one = socket.create_connection(("127.0.0.1", port), timeout=5)
        one.setblocking(False)
        one.send(HALF_A_HEAD)
        opened[one.fileno()] = one
        if number % AT_ONCE == 0:
            await asyncio.sleep(0.005)
    return time.monotonic()


async def read_until_closed(opened: dict[int, socket.socket], said: dict[int, bytes], deadline: float) -> None:
    poll = select.poll()
    for descriptor in opened:
        poll.register(descriptor, select.POLLIN)
    while opened and time.monotonic() < deadline:
        for descriptor, _ in poll.poll(0)[:AT_ONCE]:
            one = opened[descriptor]
            received = b""
            with contextlib.suppress(OSError):
                received = one.recv(4096)
            said[descriptor] = said.get(descriptor, b"") + received
            if not received:
                poll.unregister(descriptor)
                opened.pop(descriptor).close()
        await asyncio.sleep(0.005)


async def deep_updates(house: House, _: random.Random) -> str:
    connection = await Connection.open(house.port, house.ledger)
    if connection is None:
        return "no connection"
    began = time.monotonic()
    answers = await connection.ask_all([target("updates", str(DEEP_ROWS), DEEP_ROWS) for _ in range(DEEP)])
    connection.close()
    return f"{len(answers)} of {DEEP} answered in {time.monotonic() - began:.1f} s"


async def overload(house: House, _: random.Random) -> str:
    """As fast as they are answered, and much more work than there is capacity for."""
    until = time.monotonic() + OVERLOAD_SECONDS
    statuses = await asyncio.gather(*(press(house, until) for _ in range(OVERLOADING)))
    answered = [status for some in statuses for status in some]
    return (
        f"{OVERLOADING} clients for {OVERLOAD_SECONDS:.0f} s: {len(answered)} answers, {answered.count(200)} with 200"
    )


async def press(house: House, until: float) -> list[int]:
    statuses: list[int] = []
    connection = await Connection.open(house.port, house.ledger)
    while connection is not None and connection.is_usable() and time.monotonic() < until:
        answer = await connection.ask(target("queries", str(OVERLOAD_ROWS), OVERLOAD_ROWS))
        if answer is not None:
            statuses.append(answer.status)
    if connection is not None:
        connection.close()
    return statuses
