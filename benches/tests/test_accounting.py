"""Reading /proc: one line, one family, one process that ends between two readings.

**Invariant:** times are given in ticks, as the kernel gives them.
"""

import unittest

from ..accounting import TICKS_PER_SECOND, Stat, Usage, family, parse_stat, parse_switches, total, who
from ..sleeper import state_of

LINE = (
    "4711 (post (gres) S) S 12 4711 4700 0 -1 4194560 1 2 3 4 150 50 30 20 20 0 1 0 100 200 300 18446744073709551615 "
    "1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0"
)


def stat(pid: int, parent: int, session: int, user: int = 0, waited: int = 0) -> Stat:
    return Stat(pid, parent, session, user, 0, waited, 0)


class AccountingTest(unittest.TestCase):
    def test_a_name_with_parentheses_does_not_shift_the_fields(self) -> None:
        self.assertEqual(parse_stat(LINE), Stat(4711, 12, 4700, 150, 50, 30, 20))
        self.assertEqual(state_of(LINE.encode()), b"S")

    def test_a_family_is_descendants_and_the_session(self) -> None:
        stats = [stat(1, 0, 1), stat(10, 1, 10), stat(11, 10, 10), stat(12, 11, 12), stat(13, 1, 10), stat(20, 1, 20)]
        self.assertEqual(sorted(member.pid for member in family(10, stats)), [10, 11, 12, 13])

    def test_a_child_that_ended_is_counted_with_its_parent(self) -> None:
        before = [stat(10, 1, 10, user=100), stat(11, 10, 11, user=40)]
        after = [stat(10, 1, 10, user=110, waited=70)]
        used = total(after).since(total(before))
        self.assertAlmostEqual(used.user, 40 / TICKS_PER_SECOND)

    def test_a_reading_during_an_end_is_recognised(self) -> None:
        before = [stat(10, 1, 10, waited=0), stat(11, 10, 11)]
        self.assertNotEqual(who(before), who([stat(10, 1, 10, waited=5)]))
        self.assertEqual(who(before), who([stat(10, 1, 10, user=9), stat(11, 10, 11, user=9)]))

    def test_both_kinds_of_switches_are_counted(self) -> None:
        self.assertEqual(
            parse_switches("Name:\tx\nvoluntary_ctxt_switches:\t30\nnonvoluntary_ctxt_switches:\t12\n"), 42
        )

    def test_seconds_are_user_and_kernel_together(self) -> None:
        self.assertEqual(Usage(1.5, 2.0).seconds, 3.5)
