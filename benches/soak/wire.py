"""A client's connection: sends requests, reads their answers in order, and tells the ledger.

**Invariant:** whatever ends a connection, each request sent on it is settled before it is left.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence

from .answers import Answer, Target
from .ledger import Ledger, Sent

# How long a client waits for an answer before it calls it none.
PATIENCE_SECONDS = 15.0
TROUBLE = (OSError, EOFError, TimeoutError, ValueError)


class Connection:
    """One connection to the service."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ledger: Ledger) -> None:
        self.reader, self.writer, self.ledger = reader, writer, ledger
        self.port: int = writer.get_extra_info("sockname")[1]
        self.is_over = False

    @classmethod
    async def open(cls, port: int, ledger: Ledger) -> Connection | None:
        """Nothing where nobody listens, which no fault allows: the listeners outlive every process but the first."""
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), PATIENCE_SECONDS)
        except (OSError, TimeoutError) as error:
            ledger.complain(f"no connection came about: {error or type(error).__name__}")
            return None
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ledger.connections += 1
        return cls(reader, writer, ledger)

    def is_usable(self) -> bool:
        return not self.is_over and not self.reader.at_eof()

    async def ask(self, target: Target) -> Answer | None:
        answers = await self.ask_all([target])
        return answers[0] if answers else None

    async def ask_all(self, targets: Sequence[Target]) -> list[Answer]:
        """All in one write; gives what was answered."""
        sent = [self.ledger.begin(target) for target in targets]
        try:
            self.writer.write(b"".join(target.request for target in targets))
        except OSError as error:
            self.fail(sent, error)
            return []
        return await self.collect(sent)

    async def collect(self, sent: Sequence[Sent]) -> list[Answer]:
        answers: list[Answer] = []
        before: float | None = None
        for place, one in enumerate(sent):
            try:
                answer = await asyncio.wait_for(self.receive(), PATIENCE_SECONDS)
            except TROUBLE as error:
                self.fail(sent[place:], error)
                return answers
            self.ledger.answered(one, self.port, answer, before)
            before = asyncio.get_running_loop().time()
            answers.append(answer)
            if answer.closes:
                self.is_over = True
                self.fail(sent[place + 1 :], EOFError("closed before it"))
                return answers
        return answers

    async def receive(self) -> Answer:
        head = await self.reader.readuntil(b"\r\n\r\n")
        status, fields = read_head(head)
        return Answer(status, fields, await self.reader.readexactly(int(fields.get(b"content-length", b"0"))))

    def fail(self, sent: Sequence[Sent], error: Exception) -> None:
        self.is_over = True
        for one in sent:
            self.ledger.unanswered(one, self.port, f"{type(error).__name__} {error}".strip())

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Ends it with a reset instead of a farewell."""
        option = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
        self.writer.transport.abort()


def read_head(head: bytes) -> tuple[int, dict[bytes, bytes]]:
    first, *lines = head[:-4].split(b"\r\n")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    return int(first.split()[1]), fields
