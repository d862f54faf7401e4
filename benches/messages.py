"""PostgreSQL's messages, as far as counting them by type goes.

**Invariant:** how the bytes were cut on their way changes nothing.
"""

from __future__ import annotations

SYNC, READY = ord("S"), ord("Z")


class Messages:
    """Cuts one direction's bytes into messages."""

    def __init__(self, *, begins_untyped: bool) -> None:
        self.rest = b""
        # A client's first message is a length and its content, with no type before it.
        self.untyped = begins_untyped

    def types(self, received: bytes) -> list[int]:
        """The types of the messages that end in what was received; 0 for the one without."""
        rest = self.rest + received
        at = 0
        found = []
        while True:
            typed = 0 if self.untyped else 1
            body = at + typed + 4
            if len(rest) < body:
                break
            end = at + typed + int.from_bytes(rest[at + typed : body], "big")
            if len(rest) < end:
                break
            found.append(rest[at] if typed else 0)
            at, self.untyped = end, False
        self.rest = rest[at:]
        return found
