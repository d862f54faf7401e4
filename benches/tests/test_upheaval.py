"""Reading answers and the kernel's table of connections.

**Invariant:** no process is started.
"""

import unittest

from ..keepalive import read_head
from ..ownership import connections
from ..upheaval import Chapter, line

TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 222 1 0 20 4 30 10 -1
   2: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 333 1 0 20 4 30 10 -1
   3: 0100007F:1F90 0100007F:C351 06 00000000:00000000 00:00000000 00000000     0        0 0 1 0 20 4 30 10 -1
"""


class UpheavalTest(unittest.TestCase):
    def test_only_established_connections_with_the_port_are_found(self) -> None:
        self.assertEqual(connections(TABLE, 0x1F90), [(0xC350, 222)])

    def test_an_answer_says_whether_it_is_the_last(self) -> None:
        head = b"http/1.1 503 x\r\ncontent-length: 12\r\nconnection: close\r\n\r\n"
        self.assertEqual(read_head(head), (503, 12, True))
        self.assertEqual(read_head(b"http/1.1 200 ok\r\ncontent-length: 2\r\n\r\n"), (200, 2, False))

    def test_a_chapter_is_told_in_a_line(self) -> None:
        told = line(Chapter("kills", 2, 3.0, 100, 0, 5, 1, 0, ["x"]))
        self.assertIn("2 kills in 3 s: 100 requests answered, 5 lost with the process", told)
        self.assertIn("1 unanswered otherwise", told)
