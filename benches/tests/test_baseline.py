"""When a count has changed, and when it may not be compared at all.

**Invariant:** the tolerance of instructions holds upwards and downwards, that of allocations upwards.
"""

import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

from ..baseline import Baseline, Cost, Facts, change, check_comparable, read, write
from ..problem import Problem

FACTS = Facts("rustc 1.95.0", "x86_64", "avx2", 500)
BEFORE = Baseline(FACTS, {"db": 20_000}, {"db": 17.5})


class BaselineTest(unittest.TestCase):
    def test_two_percent_are_within_and_more_is_not_either_way(self) -> None:
        for now, is_too_large in ((20_400, False), (20_401, True), (19_600, False), (19_599, True)):
            self.assertEqual(bool(change(BEFORE, "db", Cost(now, 17.5)).complaints), is_too_large, now)

    def test_both_figures_are_named(self) -> None:
        both = change(BEFORE, "db", Cost(21_000, 19.0)).complaints
        self.assertEqual(
            both,
            [
                "instructions: 20000 before, 21000 now: +5.00%, more than 2%",
                "allocations: 17.5 before, 19.0 now: +1.5, more than 0.5 a request",
            ],
        )

    def test_half_an_allocation_more_is_within_and_any_fewer_are(self) -> None:
        for now, is_too_large in ((18.0, False), (18.1, True), (0.0, False)):
            self.assertEqual(bool(change(BEFORE, "db", Cost(20_000, now)).complaints), is_too_large, now)

    def test_what_was_accepted_is_what_is_read(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "instructions.json"
            write(file, BEFORE)
            self.assertEqual(read(file), BEFORE)
            file.write_text(file.read_text().replace("allocations", "elsewhere"))
            with self.assertRaisesRegex(Problem, "cannot be read.*allocations"):
                read(file)

    def test_another_kind_of_machine_is_not_compared(self) -> None:
        check_comparable(BEFORE, FACTS)
        with self.assertRaisesRegex(Problem, "avx2; here it is sse4_2"):
            check_comparable(BEFORE, replace(FACTS, vectors="sse4_2"))
        with self.assertRaisesRegex(Problem, "1.95.0; here it is rustc 1.96.0"):
            check_comparable(BEFORE, replace(FACTS, rustc="rustc 1.96.0"))

    def test_a_route_without_a_baseline_is_a_problem(self) -> None:
        with self.assertRaisesRegex(Problem, "ACCEPT=1"):
            change(BEFORE, "json", Cost(1, 1.0))
