"""Whether strace's table is read, and what is complained of.

**Invariant:** the excerpt is what strace writes.
"""

import unittest

from ..syscalls import complain, line, parse

TABLE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.22    0.608330          17     34877           sendto
 37.89    0.382748          10     35055        12 recvfrom
  1.82    0.018427          16      1134           epoll_wait
  0.00    0.000049          24         2           madvise
------ ----------- ----------- --------- --------- ----------------
100.00    1.009554          14     71068        12 total
"""


class Syscalls(unittest.TestCase):
    def test_calls_are_read_with_and_without_errors_beside_them(self) -> None:
        self.assertEqual(parse(TABLE), {"sendto": 34877, "recvfrom": 35055, "epoll_wait": 1134, "madvise": 2})

    def test_a_second_read_or_write_is_complained_of_where_no_query_is_made(self) -> None:
        calls = {"recvfrom": 1.0, "sendto": 1.5, "write": 0.01, "epoll_wait": 2.0}
        self.assertEqual(complain("json", calls), ["json makes 1.51 writes a request"])
        self.assertEqual(complain("db", calls), [])
        self.assertEqual(complain("json", calls | {"sendto": 1.0}), [])

    def test_the_most_frequent_calls_stand_first_and_rare_ones_are_left_out(self) -> None:
        shown = line("json", {"brk": 0.01, "sendto": 1.0, "epoll_wait": 2.0})
        self.assertEqual(shown.split(), ["json", "epoll_wait", "2.00", "sendto", "1.00"])


if __name__ == "__main__":
    unittest.main()
