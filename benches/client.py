"""The smallest client that a count needs: one keep-alive connection, one request after the other.

**Invariant:** each request is the same bytes, and the next is sent only when the answer was read to its end and the
service sleeps again.
"""

from __future__ import annotations

import socket

from .gate import Gate
from .problem import Problem
from .sleeper import Sleeper


class Client:
    """One connection to the service, which passes through the gate's hands."""

    def __init__(self, port: int, gate: Gate, sleeper: Sleeper) -> None:
        self.gate, self.sleeper = gate, sleeper
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, path: str) -> tuple[int, bytes]:
        """Sends a GET and returns status and body of its answer."""
        self.sleeper.wait_until_asleep()
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            self.fill()
        status, length = read_status_and_length(self.buffer[:end])
        end += 4 + length
        while len(self.buffer) < end:
            self.fill()
        body, self.buffer = self.buffer[end - length : end], self.buffer[end:]
        return status, body

    def fill(self) -> None:
        self.gate.turn(self.socket, self.sleeper)
        received = self.socket.recv(65536)
        if not received:
            raise Problem("the service closed the connection in the middle of an answer", "Its log says why.")
        self.buffer += received


def read_status_and_length(head: bytes) -> tuple[int, int]:
    """What of an answer's head decides how to go on."""
    first, *headers = head.split(b"\r\n")
    for header in headers:
        name, _, value = header.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(first.split()[1]), int(value)
    raise Problem("an answer has no Content-Length", "The contract wants one in every answer.")
