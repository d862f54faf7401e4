"""Idle keep-alive connections: each has been answered once, and then its client is silent.

**Invariant:** a connection counts as held only if it answers again in the end.
"""

from __future__ import annotations

import contextlib
import resource
import socket
from types import TracebackType

from ..problem import Problem

# Requests under way at once while each connection is asked: more would fill the server's backlog of work, not ours.
TOGETHER = 256
TIMEOUT_SECONDS = 20.0
# Descriptors for what else this process has open, and the server's for its own.
RESERVE = 1024
REQUEST = b"GET /json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Holder:
    """Opens connections to a port, and closes them when the `with` block ends."""

    def __init__(self, port: int, connections: int) -> None:
        self.port, self.wanted = port, connections
        self.sockets: list[socket.socket] = []

    def __enter__(self) -> Holder:
        try:
            for _ in range(self.wanted):
                self.sockets.append(socket.create_connection(("127.0.0.1", self.port), TIMEOUT_SECONDS))
            lost = self.ask_each()
        except OSError as error:
            self.close()
            raise Problem(
                f"{self.wanted} connections could not be held: {error} at {len(self.sockets)}",
                "HELD asks for fewer; plimsoll doctor says what limits them.",
            ) from error
        if lost:
            self.close()
            raise Problem(f"{lost} of {self.wanted} held connections were not answered", "Does the server refuse them?")
        return self

    def ask_each(self) -> int:
        """Asks once over each connection; gives how many were lost."""
        lost = 0
        for start in range(0, len(self.sockets), TOGETHER):
            asked = []
            for one in self.sockets[start : start + TOGETHER]:
                with contextlib.suppress(OSError):
                    one.sendall(REQUEST)
                    asked.append(one)
            lost += len(self.sockets[start : start + TOGETHER]) - sum(is_answered(one) for one in asked)
        return lost

    def close(self) -> None:
        for one in self.sockets:
            one.close()
        self.sockets.clear()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def is_answered(one: socket.socket) -> bool:
    """Whether a 200 comes whole; its body is the last thing in it."""
    answer = b""
    with contextlib.suppress(OSError):
        while not answer.endswith(b"}"):
            more = one.recv(4096)
            if not more:
                break
            answer += more
    return answer.startswith(b"HTTP/1.1 200 ")


def check_room(held: int) -> None:
    """Raises the limit of descriptors of this process, which holds as many as one process of a server does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if held + RESERVE > hard:
        raise Problem(
            f"{held} idle connections do not fit a limit of {hard} descriptors for each process",
            f"HELD={max(hard - RESERVE, 0)} does; or raise the limit: prlimit --nofile.",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
