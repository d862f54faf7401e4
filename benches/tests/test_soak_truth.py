"""What a read may find of a row, and which answers are lost writes.

**Invariant:** no process is started.
"""

import unittest

from ..soak.truth import Observation, Truth

ROW, OTHER = 7, 8


def observe(kind: str, number: int, sent: float, answered: float, row: int = ROW) -> Observation:
    return Observation(kind, [(row, number)], sent, answered)


class TruthTest(unittest.TestCase):
    def setUp(self) -> None:
        self.truth = Truth()
        self.truth.begin((row, 100) for row in self.truth.rows)

    def judge(self, *observations: Observation, until: float = 1000.0) -> list[str]:
        for observation in observations:
            self.truth.observe(observation)
        return self.truth.judge(self.truth.take(until))

    def test_a_read_finds_what_was_there(self) -> None:
        self.truth.learn([(ROW, 5, 10.0)])
        self.assertEqual(self.judge(observe("read", 100, 8, 9), observe("read", 5, 11, 12)), [])
        self.assertEqual(len(self.judge(observe("read", 5, 8, 9))), 1, "it was not written yet")
        self.assertEqual(len(self.judge(observe("read", 6, 11, 12))), 1, "it was never written")
        self.assertEqual(len(self.judge(observe("read", 5, 11, 12, OTHER))), 1, "that is another row's")

    def test_what_is_being_committed_may_be_found_or_not(self) -> None:
        self.truth.learn([(ROW, 5, 10.0)])
        self.assertEqual(self.judge(observe("read", 100, 11, 12), observe("read", 5, 11, 12)), [])

    def test_what_was_answered_as_written_is_found_by_every_later_read(self) -> None:
        self.truth.learn([(ROW, 5, 10.0)])
        self.assertEqual(self.judge(observe("update", 5, 9.9, 10.5), observe("read", 100, 10.4, 10.6)), [])
        self.assertEqual(len(self.judge(observe("read", 100, 10.6, 10.7))), 1)

    def test_what_was_replaced_twice_is_gone_whether_anybody_was_answered_or_not(self) -> None:
        self.truth.learn([(ROW, 5, 10.0), (ROW, 6, 11.0)])
        self.assertEqual(self.judge(observe("read", 5, 11.5, 12)), [], "6 may not have been committed yet")
        self.assertEqual(len(self.judge(observe("read", 100, 11.5, 12))), 1)

    def test_an_update_that_the_table_does_not_know_is_lost(self) -> None:
        self.truth.learn([(ROW, 5, 10.0)])
        self.assertEqual(self.judge(observe("update", 5, 9.9, 10.5)), [])
        self.assertEqual(len(self.judge(observe("update", 5, 9.9, 10.5))), 1, "one writing stands for one answer")
        self.assertEqual(len(self.judge(observe("update", 6, 9.9, 10.5))), 1)

    def test_the_cache_may_say_what_a_row_once_was(self) -> None:
        self.truth.learn([(ROW, number, float(number)) for number in range(1, 6)])
        self.truth.forget(500.0)
        self.assertEqual(self.judge(observe("cached", 1, 20, 21), observe("cached", 100, 20, 21)), [])
        self.assertEqual(len(self.judge(observe("cached", 6, 20, 21))), 1)
        self.assertLessEqual(len(self.truth.rows[ROW].at), 2, "what is long past takes no room")

    def test_writings_may_become_known_out_of_order(self) -> None:
        self.truth.learn([(ROW, 6, 11.0)])
        self.truth.learn([(ROW, 5, 10.0)])
        self.assertEqual(self.truth.rows[ROW].number, [100, 5, 6])

    def test_what_is_not_known_to_its_end_waits(self) -> None:
        self.assertEqual(self.judge(observe("read", 99, 8, 9), until=8.5), [])
        self.assertEqual(len(self.judge(until=9.0)), 1)

    def test_the_table_must_hold_what_was_written_last(self) -> None:
        table = {row: 100 for row in self.truth.rows}
        self.assertEqual(self.truth.differs(table), [])
        self.truth.learn([(ROW, 5, 10.0)])
        self.assertEqual(len(self.truth.differs(table)), 1)
        self.assertEqual(len(self.truth.differs({})), 1)
