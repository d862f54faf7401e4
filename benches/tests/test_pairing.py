"""Ratios pair by pair, and the order of turns.

**Invariant:** figures are small enough to be worked out by hand.
"""

import unittest

from ..pairing import Spread, ratio_spread, ratios, spread
from ..plan import ROUTES, Cell, cells, turns
from ..problem import Problem


class PairingTest(unittest.TestCase):
    def test_a_median_of_ratios_is_not_a_ratio_of_medians(self) -> None:
        # The machine is twice as fast in the last pair: medians alone would say 1.0.
        base, other = {0: 100.0, 1: 110.0, 2: 200.0}, {0: 110.0, 1: 121.0, 2: 220.0}
        found = ratio_spread(other, base)
        assert found is not None
        self.assertAlmostEqual(found.median, 1.1)

    def test_only_pairs_that_both_have_are_divided(self) -> None:
        self.assertEqual(ratios({0: 2.0, 1: 3.0}, {1: 2.0, 2: 9.0}), [1.5])
        self.assertIsNone(ratio_spread({0: 2.0}, {}))

    def test_a_run_of_nothing_is_no_divisor(self) -> None:
        self.assertEqual(ratios({0: 2.0, 1: 4.0}, {0: 0.0, 1: 2.0}), [2.0])

    def test_a_spread_holds_least_and_most(self) -> None:
        self.assertEqual(spread([3.0, 1.0, 2.0, 10.0]), Spread(2.5, 1.0, 10.0))

    def test_the_order_turns_round_from_pair_to_pair(self) -> None:
        cell = Cell(ROUTES["db"], 64)
        order = [(turn.pair, turn.target) for turn in turns(cell, pairs=3, targets=2)]
        self.assertEqual(order, [(0, 0), (0, 1), (1, 1), (1, 0), (2, 0), (2, 1)])

    def test_a_route_that_does_not_exist_is_refused_with_those_that_do(self) -> None:
        self.assertEqual(len(cells(["db", "json"], [64, 256])), 4)
        with self.assertRaisesRegex(Problem, "fortunes"):
            cells(["bd"], [64])
