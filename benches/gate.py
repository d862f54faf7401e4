"""A gate around the service, which makes a count repeat: it hands everything on only when the service sleeps.

PostgreSQL answers each Sync on its own, and how many of twenty answers the service finds at each wake-up is chance,
as is whether the next request is there when it looks for one: together they move a count by a fifth. Behind the gate
the service always finds all of its answers in one read, and goes to sleep before it gets anything else.

**Invariant:** bytes are passed on as they are and in their order; the gate only chooses the moment.
"""

from __future__ import annotations

import selectors
import socket
from pathlib import Path

from .messages import READY, SYNC, Messages
from .problem import Problem
from .sleeper import Sleeper

CHUNK = 262_144
TURN_SECONDS = 60.0


class Passage:
    """One connection of the service to the database, and the one that the gate has for it."""

    def __init__(self, service: socket.socket, database: socket.socket) -> None:
        self.service, self.database = service, database
        self.asked, self.answered = Messages(begins_untyped=True), Messages(begins_untyped=False)
        self.outstanding = 0

    def exchange(self, sleeper: Sleeper) -> bool:
        """Takes what the service has sent and brings all answers to it; false when the service hung up."""
        try:
            received = self.service.recv(CHUNK)
        except ConnectionResetError:
            received = b""
        if not received:
            return False
        types = self.asked.types(received)
        self.outstanding += types.count(SYNC)
        self.database.sendall(received)
        # In the start-up each message has its answer, and there is no Sync to count.
        answers = b"" if self.outstanding else self.database.recv(CHUNK)
        while self.outstanding:
            part = self.database.recv(CHUNK)
            if not part:
                break
            self.outstanding -= self.answered.types(part).count(READY)
            answers += part
        sleeper.wait_until_asleep()
        try:
            self.service.sendall(answers)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def close(self) -> None:
        self.service.close()
        self.database.close()


class Gate:
    """Listens where PostgreSQL's clients look for it, on a Unix socket in a folder of its own, and works when it is
    told to: one turn after the other, on the caller's thread."""

    def __init__(self, folder: Path, port: int, database: str) -> None:
        self.database = database
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / f".s.PGSQL.{port}"))
        self.listener.listen()
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_: object) -> None:
        for key in list(self.selector.get_map().values()):
            if isinstance(key.data, Passage):
                key.data.close()
        self.selector.close()
        self.listener.close()

    def turn(self, client: socket.socket, sleeper: Sleeper) -> None:
        """Waits until the service has said something and sleeps, and deals with what it said to the database. Returns
        when there is something for the client."""
        self.selector.register(client, selectors.EVENT_READ)
        try:
            while True:
                ready = [key for key, _ in self.selector.select(TURN_SECONDS)]
                if not ready:
                    raise Problem(f"the service said nothing for {TURN_SECONDS:.0f} s", "Its log says why.")
                sleeper.wait_until_asleep()
                for key in ready:
                    self.serve(key, sleeper)
                if any(key.fileobj is client for key in ready):
                    return
        finally:
            self.selector.unregister(client)

    def serve(self, key: selectors.SelectorKey, sleeper: Sleeper) -> None:
        if key.fileobj is self.listener:
            service, _ = self.listener.accept()
            database = socket.socket(socket.AF_UNIX)
            database.settimeout(TURN_SECONDS)
            database.connect(self.database)
            self.selector.register(service, selectors.EVENT_READ, Passage(service, database))
        elif isinstance(key.data, Passage) and not key.data.exchange(sleeper):
            self.selector.unregister(key.fileobj)
            key.data.close()
