"""Clients that account for every request: each holds one keep-alive connection, asks, waits for the answer, and thinks.

**Invariant:** each request sent ends in exactly one count: answered with 200, answered otherwise, or unanswered.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections import Counter
from dataclasses import dataclass, field

PATIENCE_SECONDS = 10.0
# How long to wait before another attempt where nobody listens.
BETWEEN_ATTEMPTS_SECONDS = 0.02


@dataclass
class Account:
    """What became of requests and connection attempts."""

    answered: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    refused: int = 0
    # Client ports of the connections that failed with a request under way, and how.
    unanswered: list[tuple[int, str]] = field(default_factory=list)

    @property
    def not_ok(self) -> int:
        return sum(count for status, count in self.statuses.items() if status != 200)


class Clients:
    """A number of clients, each a task of its own."""

    def __init__(self, port: int, paths: list[str], number: int, think_seconds: float) -> None:
        self.port, self.paths, self.think_seconds = port, paths, think_seconds
        self.account = Account()
        self.number = number
        self.tasks: list[asyncio.Task[None]] = []
        self.stopping = False

    def start(self) -> None:
        self.tasks = [asyncio.create_task(self.live(random.Random(seed))) for seed in range(self.number)]

    async def stop(self) -> None:
        """Lets each finish its request."""
        self.stopping = True
        await asyncio.gather(*self.tasks)

    async def live(self, dice: random.Random) -> None:
        while not self.stopping:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                self.account.refused += 1
                await asyncio.sleep(BETWEEN_ATTEMPTS_SECONDS)
                continue
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                await self.use(reader, writer, dice)
            finally:
                writer.close()

    async def use(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, dice: random.Random) -> None:
        """Asks over one connection until either side ends it."""
        port = writer.get_extra_info("sockname")[1]
        while not self.stopping:
            # Half of them hurry, half of them think: connections in every state meet whatever happens to the server.
            if dice.random() < 0.5:
                await asyncio.sleep(dice.random() * self.think_seconds)
            if reader.at_eof():
                return
            writer.write(f"GET {dice.choice(self.paths)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            try:
                status, closes = await asyncio.wait_for(receive(reader), PATIENCE_SECONDS)
            except (OSError, EOFError, TimeoutError) as error:
                self.account.unanswered.append((port, type(error).__name__))
                return
            self.account.answered += 1
            self.account.statuses[status] += 1
            if closes:
                return


async def receive(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """An answer's status, and whether it is the last on its connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status, length, closes = read_head(head)
    await reader.readexactly(length)
    return status, closes


def read_head(head: bytes) -> tuple[int, int, bool]:
    """Status, length of the body, and whether the connection ends; the head in lower case."""
    first, *headers = head.split(b"\r\n")
    fields = {name.strip(): value.strip() for name, _, value in (header.partition(b":") for header in headers)}
    return int(first.split()[1]), int(fields.get(b"content-length", b"0")), fields.get(b"connection") == b"close"
