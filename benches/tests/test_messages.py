"""PostgreSQL's messages and HTTP's heads, however they are cut.

**Invariant:** every way of cutting gives the same messages.
"""

import unittest

from ..client import read_status_and_length
from ..messages import READY, SYNC, Messages
from ..problem import Problem

START = (8).to_bytes(4, "big") + b"abcd"
SYNCS = (b"S" + (4).to_bytes(4, "big")) * 2
QUERY = b"P" + (9).to_bytes(4, "big") + b"ZSZS\0"


class MessagesTest(unittest.TestCase):
    def test_types_are_the_same_however_the_bytes_are_cut(self) -> None:
        stream = START + QUERY + SYNCS
        for cut in range(len(stream) + 1):
            messages = Messages(begins_untyped=True)
            found = messages.types(stream[:cut]) + messages.types(stream[cut:])
            self.assertEqual(found, [0, ord("P"), SYNC, SYNC])

    def test_letters_inside_a_message_are_no_messages(self) -> None:
        self.assertEqual(Messages(begins_untyped=False).types(QUERY).count(READY), 0)

    def test_a_head_gives_status_and_length_in_any_case(self) -> None:
        self.assertEqual(read_status_and_length(b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH: 27"), (200, 27))
        with self.assertRaises(Problem):
            read_status_and_length(b"HTTP/1.1 200 OK\r\nserver: x")
