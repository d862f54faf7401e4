"""The clients: those that ask and wait, those that ask many things at once, and those that behave badly.

**Invariant:** all of it follows from the seed, but for the moments; none of them asks another address than this
machine's.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from .answers import Target, draw, target
from .ledger import Ledger
from .wire import PATIENCE_SECONDS, TROUBLE, Connection, read_head

# How many there are of each kind.
STEADY, PIPELINING, ONE_SHOT, SLOW, VANISHING = 32, 2, 4, 2, 2
# Half of the steady ones hurry; the others think, up to so long.
THINK_SECONDS = 0.3
DEPTH = 16
# A slow head comes in so many pieces within so long.
PIECES, SLOW_SECONDS = 8, 1.0
# Every so many slow heads, one never becomes whole.
UNFINISHED = 4
# A head that is not whole by its deadline is answered with 408, and its connection closed, within so much more.
REAPED_WITHIN_SECONDS = 2.0
BETWEEN_ATTEMPTS_SECONDS = 0.2


class Crowd:
    """All clients, each a task of its own."""

    def __init__(self, port: int, ledger: Ledger, seed: int, header_timeout: float) -> None:
        self.port, self.ledger, self.header_timeout = port, ledger, header_timeout
        self.seed = seed
        self.tasks: list[asyncio.Task[None]] = []
        self.stopping = False
        self.may_ask = asyncio.Event()
        self.may_ask.set()

    def start(self) -> None:
        kinds = (
            (self.steady, STEADY),
            (self.pipelining, PIPELINING),
            (self.one_shot, ONE_SHOT),
            (self.slow, SLOW),
            (self.vanishing, VANISHING),
        )
        for kind, number in kinds:
            for index in range(number):
                dice = random.Random(f"{self.seed} {kind.__name__} {index}")
                self.tasks.append(asyncio.create_task(self.live(kind, dice)))

    async def stop(self) -> None:
        """Lets each finish what it asked."""
        self.stopping = True
        self.may_ask.set()
        await asyncio.gather(*self.tasks)

    def hush(self) -> None:
        """From now on nobody asks or comes; who keeps a connection goes on keeping it."""
        self.may_ask.clear()

    def go_on(self) -> None:
        self.may_ask.set()

    async def live(self, use: Callable[[Connection, random.Random], Awaitable[None]], dice: random.Random) -> None:
        await asyncio.sleep(dice.random())
        while not self.stopping:
            await self.may_ask.wait()
            connection = await Connection.open(self.port, self.ledger)
            if connection is None:
                await asyncio.sleep(BETWEEN_ATTEMPTS_SECONDS)
                continue
            try:
                await use(connection, dice)
            finally:
                connection.close()

    async def steady(self, connection: Connection, dice: random.Random) -> None:
        """Keeps its connection, asks, waits for the answer, and often thinks."""
        while not self.stopping and connection.is_usable():
            await connection.ask(draw(dice))
            await self.may_ask.wait()
            # At times long enough for the connection to be parked.
            longest = 2.0 if dice.random() < 0.02 else THINK_SECONDS
            if dice.random() < 0.5:
                await asyncio.sleep(dice.random() * longest)

    async def pipelining(self, connection: Connection, dice: random.Random) -> None:
        """Asks 16 things at once; in half of the cases different ones, so that the answers' order shows."""
        while not self.stopping and connection.is_usable():
            mixed = dice.random() < 0.5
            plain = target("plaintext")
            await connection.ask_all([draw(dice) if mixed else plain for _ in range(DEPTH)])
            await self.may_ask.wait()
            await asyncio.sleep(dice.random() * THINK_SECONDS * 2)

    async def one_shot(self, connection: Connection, dice: random.Random) -> None:
        """Asks once over each connection."""
        await connection.ask(draw(dice))
        connection.close()
        await asyncio.sleep(dice.random() * THINK_SECONDS)

    async def vanishing(self, connection: Connection, dice: random.Random) -> None:
        """Asks, and leaves before the answer, half of the time with a reset."""
        asked = draw(dice)
        sent = self.ledger.begin(asked)
        connection.writer.write(asked.request)
        await asyncio.sleep(dice.choice((0.0, 0.001, 0.005)))
        self.ledger.given_up(sent)
        if dice.random() < 0.5:
            connection.reset()
        else:
            connection.close()
        await asyncio.sleep(dice.random() * THINK_SECONDS)

    async def slow(self, connection: Connection, dice: random.Random) -> None:
        """Sends a head in pieces; some never become whole."""
        asked = draw(dice)
        if dice.randrange(UNFINISHED) == 0:
            await self.unfinished(connection, asked)
            return
        size = len(asked.request) // PIECES + 1
        pieces = [asked.request[at : at + size] for at in range(0, len(asked.request), size)]
        began = time.monotonic()
        for piece in pieces[:-1]:
            connection.writer.write(piece)
            await asyncio.sleep(SLOW_SECONDS / PIECES)
            if connection.reader.at_eof():
                self.cut_off(connection, began)
                return
        if time.monotonic() - began > self.header_timeout / 2:
            # The clients themselves were held up: nothing is promised to a head that is so late.
            return
        sent = self.ledger.begin(asked)
        connection.writer.write(pieces[-1])
        await connection.collect([sent])

    async def unfinished(self, connection: Connection, asked: Target) -> None:
        began = time.monotonic()
        connection.writer.write(asked.request[:-2])
        within = self.header_timeout + REAPED_WITHIN_SECONDS
        try:
            head = await asyncio.wait_for(connection.reader.readuntil(b"\r\n\r\n"), within)
            await asyncio.wait_for(connection.reader.read(), PATIENCE_SECONDS)
        except TROUBLE as error:
            self.cut_off(connection, began, type(error).__name__)
            return
        status, _ = read_head(head)
        if status == 408:
            self.ledger.heads_timed_out += 1
        else:
            self.ledger.complain(f"half a head was answered with {status}")

    def cut_off(self, connection: Connection, began: float, how: str = "EOF") -> None:
        """A head was cut off, which is right only where its process was killed or replaced; or it was not cut
        off in time, which is right only where nobody accepted it for a while."""
        for window in self.ledger.timeline.touching(began, time.monotonic()):
            if window.allows.cuts_heads or window.allows.late or connection.port in window.ports:
                return
        self.ledger.complain(f"a head in the making was cut off ({how})")
