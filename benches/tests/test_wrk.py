"""What wrk and pgbench print, as they printed it.

**Invariant:** texts are whole outputs, so that a line that looks alike elsewhere in them would be noticed.
"""

import unittest

from ..accounting import Usage
from ..pgbench import parse as parse_pgbench
from ..plan import ROUTES, Cell
from ..problem import Problem
from ..wrk import command, parse

OUTPUT = """Running 5s test @ http://127.0.0.1:8080/db
  2 threads and 256 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.84ms    1.31ms  40.18ms   89.02%
    Req/Sec    45.31k     4.02k   52.77k    70.00%
  Latency Distribution
     50%  870.00us
     75%    3.10ms
     90%    3.72ms
     99%    1.20s
  450988 requests in 5.01s, 62.36MB read
Requests/sec:  90017.56
Transfer/sec:     12.45MB
"""
ERRORS = OUTPUT.replace(
    "Requests/sec",
    "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 17\nRequests/sec",
)


class WrkTest(unittest.TestCase):
    def test_units_of_latency_become_microseconds(self) -> None:
        load = parse(OUTPUT, Usage(1.0, 2.0))
        self.assertEqual((load.requests, load.requests_per_second), (450988, 90017.56))
        self.assertEqual((load.p50_us, load.p99_us), (870.0, 1_200_000.0))
        self.assertEqual((load.socket_errors, load.not_2xx), (0, 0))

    def test_errors_of_every_kind_are_counted(self) -> None:
        load = parse(ERRORS, Usage(1.0, 2.0))
        self.assertEqual((load.socket_errors, load.not_2xx), (10, 17))

    def test_another_programs_output_is_a_problem(self) -> None:
        with self.assertRaises(Problem):
            parse("unable to connect to 127.0.0.1:1 Connection refused\n", Usage(0.0, 0.0))

    def test_a_pipelined_route_takes_the_script_and_one_connection_one_thread(self) -> None:
        words = command(Cell(ROUTES["plaintext"], 1), "http://127.0.0.1:1/plaintext", 5)
        self.assertIn("-t1", words)
        self.assertEqual(words[-3:], ["http://127.0.0.1:1/plaintext", "--", "16"])

    def test_pgbench_of_every_version_is_read(self) -> None:
        self.assertEqual(parse_pgbench("tps = 137012.5 (without initial connection time)\n"), 137012.5)
        old = "tps = 9.1 (including connections establishing)\ntps = 9.4 (excluding connections establishing)\n"
        self.assertEqual(parse_pgbench(old), 9.4)
        self.assertIsNone(parse_pgbench("pgbench: error: connection to server failed\n"))
