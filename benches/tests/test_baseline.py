"""When a count has changed, and when it may not be compared at all.

**Invariant:** the tolerance holds upwards and downwards.
"""

import unittest
from dataclasses import replace

from ..baseline import Baseline, Facts, change, check_comparable
from ..problem import Problem

FACTS = Facts("rustc 1.95.0", "x86_64", "avx2", 500)
BEFORE = Baseline(FACTS, {"db": 20_000})


class BaselineTest(unittest.TestCase):
    def test_two_percent_are_within_and_more_is_not_either_way(self) -> None:
        for now, is_too_large in ((20_400, False), (20_401, True), (19_600, False), (19_599, True)):
            self.assertEqual(change(BEFORE, "db", now).is_too_large, is_too_large, now)

    def test_both_figures_are_named(self) -> None:
        self.assertEqual(change(BEFORE, "db", 21_000).describe(), "20000 before, 21000 now: +5.00%")

    def test_another_kind_of_machine_is_not_compared(self) -> None:
        check_comparable(BEFORE, FACTS)
        with self.assertRaisesRegex(Problem, "avx2; here it is sse4_2"):
            check_comparable(BEFORE, replace(FACTS, vectors="sse4_2"))
        with self.assertRaisesRegex(Problem, "1.95.0; here it is rustc 1.96.0"):
            check_comparable(BEFORE, replace(FACTS, rustc="rustc 1.96.0"))

    def test_a_route_without_a_baseline_is_a_problem(self) -> None:
        with self.assertRaisesRegex(Problem, "ACCEPT=1"):
            change(BEFORE, "json", 1)
