"""The comparison of topologies, where it needs no server.

**Invariant:** figures are checked against sums that can be done in the head.
"""

import json
import unittest
from pathlib import Path
from typing import Any

from ..accounting import Usage
from ..problem import Problem
from ..topologies import arrangement, figures, generator, memory, page, plan
from ..topologies.figures import Results, Run
from ..topologies.generator import Load
from ..topologies.plan import Cell, Turn, Wishes
from ..topologies.skew import AcceptSkew

EVEN = AcceptSkew(1.0, 1.0)

SAID: dict[str, Any] = {
    "mode": "closed",
    "requests": 30_000,
    "rate_achieved": 10_000.0,
    "errors": 2,
    "errors_by_kind": {"timeout": 2},
    "non_2xx": 1,
    "latency_us": {
        "corrected": None,
        "raw": {"p50": 5000, "p90": 8000, "p99": 9000, "p99.9": 9500, "max": 9900, "mean": 6000.0, "count": 30_000},
    },
}


def load(rate: float = 10_000.0, mean_us: float = 6000.0, requests: int = 30_000, errors: int = 0) -> Load:
    return Load(requests, rate, mean_us, mean_us, 2 * mean_us, errors, 0, 0.5, {})


def results(complete: bool = True) -> Results:
    settings = {"rounds": 2, "seconds": 3, "warmup_seconds": 1}
    chosen = arrangement.choose(["1x1", "Nx1"], 2)
    return Results({"cores": 2, "commit": "c0ffee"}, settings, chosen, {}, complete)


class ArrangementTest(unittest.TestCase):
    def test_n_is_the_number_of_cores_and_at_least_two(self) -> None:
        self.assertEqual(arrangement.arrangements(8)["1xN"].workers, 8)
        self.assertEqual(arrangement.arrangements(1)["Nx1"].processes, 2)
        self.assertEqual(arrangement.arrangements(8)["prefork"].processes, 32)

    def test_each_differs_from_every_other_in_its_flags(self) -> None:
        flags = [one.flags for one in arrangement.arrangements(2).values()]
        self.assertEqual(len(set(flags)), len(flags))
        self.assertTrue(all("--lab" in one for one in flags))

    def test_a_name_that_is_none_is_refused_with_those_there_are(self) -> None:
        with self.assertRaisesRegex(Problem, "1xN-handoff"):
            arrangement.choose(["2x2"], 2)
        with self.assertRaisesRegex(Problem, "twice"):
            arrangement.choose(["1x1", "1x1"], 2)


class PlanTest(unittest.TestCase):
    def test_idle_connections_are_held_beside_the_fewest_active_ones(self) -> None:
        cells = plan.cells(Wishes(["db", "burn"], [4096, 64], ["json"], 16_000))
        self.assertEqual(
            cells, [Cell("db", 4096), Cell("db", 64), Cell("burn", 4096), Cell("burn", 64), Cell("json", 64, 16_000)]
        )
        self.assertEqual(cells[-1].title, "/json, 64 active connections beside 16 000 idle ones")
        self.assertEqual(plan.cells(Wishes(["db"], [64], ["json"], 0)), [Cell("db", 64)])

    def test_a_workload_that_is_none_is_refused(self) -> None:
        with self.assertRaisesRegex(Problem, "WORKLOADS"):
            plan.cells(Wishes(["sleep"], [64], [], 0))

    def test_arrangements_follow_each_other_in_a_cell_and_turn_round(self) -> None:
        one, other = Cell("db", 64), Cell("json", 64)
        turns = list(plan.turns([one, other], 2, 2))
        self.assertEqual(turns[:4], [Turn(0, one, 0), Turn(0, one, 1), Turn(0, other, 0), Turn(0, other, 1)])
        self.assertEqual(turns[4:6], [Turn(1, one, 1), Turn(1, one, 0)])


class GeneratorTest(unittest.TestCase):
    def test_the_report_is_found_behind_whatever_was_printed_before(self) -> None:
        found = generator.parse(f"2 s left\n{json.dumps(SAID)}\n", 0.5)
        self.assertEqual((found.requests, found.requests_per_second, found.mean_us), (30_000, 10_000.0, 6000.0))
        self.assertEqual((found.p50_us, found.p99_us, found.errors, found.not_2xx), (5000.0, 9000.0, 2, 1))
        self.assertEqual(found.said, SAID)

    def test_a_run_without_an_answer_has_no_latency(self) -> None:
        found = generator.parse(json.dumps({**SAID, "latency_us": {"corrected": None, "raw": None}}), 0.0)
        self.assertEqual((found.mean_us, found.p99_us), (0.0, 0.0))

    def test_anything_else_is_a_problem(self) -> None:
        for text in ("", "usage: load", "{", "{}", '{"requests": 1}'):
            with self.assertRaises(Problem):
                generator.parse(text, 0.0)

    def test_it_has_no_more_threads_than_connections(self) -> None:
        words = generator.command(Path("plimsoll"), 1, "http://127.0.0.1:1/db", 3, 1)
        self.assertEqual(words[1:5], ["load", "-t1", "-c1", "-d3s"])


class FiguresTest(unittest.TestCase):
    def test_active_fraction_is_throughput_times_latency_over_connections(self) -> None:
        self.assertAlmostEqual(figures.active_fraction(10_000.0, 6000.0, 64), 60 / 64)
        self.assertAlmostEqual(figures.active_fraction(444_415.0, 1_500_000.0, 1_000_000), 0.667, places=3)

    def test_figures_are_medians_and_failures_add_up(self) -> None:
        runs = [
            Run(0, load(rate=10_000.0, errors=1), Usage(0.2, 0.1), 3.0, 10, EVEN),
            Run(1, load(rate=30_000.0), Usage(0.4, 0.2), 2.0, 30, EVEN, lost=2),
            Run(2, load(rate=20_000.0), Usage(0.3, 0.0), 1.0, 20, EVEN),
        ]
        summary = figures.summarise(Cell("db", 64), runs)
        self.assertEqual(summary.requests_per_second, figures.Spread(20_000.0, 10_000.0, 30_000.0))
        self.assertAlmostEqual(summary.server_us, 10.0)
        self.assertEqual((summary.resident_bytes, summary.failures), (20, 3))
        self.assertAlmostEqual(summary.active_fraction, 120 / 64)

    def test_what_was_used_between_two_looks_is_divided_by_what_was_answered_between_them(self) -> None:
        first = figures.Look(100.0, Usage(1.0, 1.0, 5), 1)
        last = figures.Look(102.0, Usage(1.5, 1.5, 9), 2)
        run = Run.between(0, load(rate=10_000.0), first, last, EVEN, 0)
        self.assertEqual((run.server, run.seconds, run.resident_bytes), (Usage(0.5, 0.5, 4), 2.0, 2))
        self.assertAlmostEqual(run.server_us, 50.0)
        self.assertEqual(Run.between(0, load(rate=0.0), first, last, EVEN, 0).server_us, 0.0)

    def test_the_document_can_be_written_and_holds_every_run(self) -> None:
        compared = results()
        for number in range(2):
            run = Run(number, load(), Usage(0.2, 0.1), 3.0, 1 << 20, EVEN)
            compared.add(Cell("db", 64), compared.arrangements[0], run)
        document = json.loads(json.dumps(compared.document()))
        self.assertEqual(len(document["cells"][0]["runs"]["1x1"]), 2)
        self.assertIn("--accept", document["arrangements"][0]["flags"])
        self.assertEqual(document["cells"][0]["path"], "/db")

    def test_failures_of_every_run_count_for_the_whole(self) -> None:
        compared = results()
        for one, lost in zip(compared.arrangements, (0, 2), strict=True):
            compared.add(Cell("db", 64), one, Run(0, load(), Usage(0.2, 0.1), 3.0, 10, EVEN, lost=lost))
        self.assertEqual(compared.failures, 2)
        compared.add(Cell("json", 64), compared.arrangements[0], Run(0, load(errors=3), Usage(0.2, 0.1), 3.0, 10, EVEN))
        self.assertEqual(compared.failures, 5)


class PageTest(unittest.TestCase):
    def test_each_cell_has_a_table_with_a_row_for_each_that_ran(self) -> None:
        compared = results(complete=False)
        run = Run(0, load(), Usage(0.2, 0.1), 3.0, 3 << 19, EVEN)
        compared.add(Cell("json", 64, 16_000), compared.arrangements[1], run)
        text = page.render(compared)
        self.assertIn("Not complete", text)
        self.assertIn("## /json, 64 active connections beside 16 000 idle ones", text)
        row = "| Nx1 | 10.0k | 10.0k–10.0k | 6.00 ms | 12.00 ms | 0.938 | 1.00 (1.00) | 10.0 | 1.5 MiB | 0 |"
        self.assertIn(row, text)
        self.assertNotIn("| 1x1 | 1", text)
        self.assertIn("| commit | c0ffee |", text)
        heads = [line for line in text.splitlines() if line.startswith("| topology | req/s")]
        self.assertEqual(heads[0].count("|"), row.count("|"))


class MemoryTest(unittest.TestCase):
    def test_the_proportional_share_is_taken_and_none_is_nothing(self) -> None:
        rollup = "55aa-7fff ---p 0 00:00 0 [rollup]\nRss:      9000 kB\nPss:      1234 kB\nPss_Dirty:  99 kB\n"
        self.assertEqual(memory.parse(rollup), 1234 * 1024)
        self.assertEqual(memory.parse(""), 0)
