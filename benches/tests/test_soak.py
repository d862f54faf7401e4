"""What a soak takes for right: answers, outcomes while faults are in force, the order of faults, drift.

**Invariant:** no process is started.
"""

import random
import unittest
from dataclasses import replace

from ..problem import Problem
from ..soak import drift, report, schedule
from ..soak.answers import (
    Answer,
    WrongAnswer,
    check,
    check_fortunes,
    draw,
    http_date,
    target,
)
from ..soak.faults import FAULTS, choose
from ..soak.ledger import Ledger, Pulse
from ..soak.report import Results
from ..soak.sampler import Sample, anonymous, connected
from ..soak.timeline import Allowance, Outcome, Timeline
from ..soak.truth import Truth
from ..soak.wire import read_head

NOW = 1_700_000_000
FORTUNES = [(1, "fortune: No such file"), (11, "<script>alert('x');</script>"), (12, "フレームワーク")]
PAGE = (
    "<!DOCTYPE html><html><head><title>Fortunes</title></head><body><table><tr><th>id</th><th>message</th></tr>"
    "<tr><td>11</td><td>&lt;script&gt;alert(&#39;x&#39;);&lt;/script&gt;</td></tr>"
    "<tr><td>0</td><td>Additional fortune added at request time.</td></tr>"
    "<tr><td>1</td><td>fortune: No such file</td></tr><tr><td>12</td><td>フレームワーク</td></tr>"
    "</table></body></html>"
)


def answer(body: bytes, kind: bytes = b"application/json", status: int = 200) -> Answer:
    fields = {b"server": b"x", b"date": http_date(NOW), b"content-type": kind, b"content-length": b"%d" % len(body)}
    return Answer(status, fields, body)


class AnswersTest(unittest.TestCase):
    def wrong(self, route: str, body: bytes, count: str = "2", rows: int = 2) -> None:
        with self.assertRaises(WrongAnswer, msg=body):
            check(target(route, count, rows), answer(body), b"", NOW, NOW)

    def test_rows_are_read_from_an_answer(self) -> None:
        one = answer(b'{"id":10000,"randomNumber":1}')
        self.assertEqual(check(target("db"), one, b"", NOW, NOW), [(10000, 1)])
        two = answer(b'[{"id":1,"randomNumber":2},{"id":1,"randomNumber":2}]')
        self.assertEqual(check(target("queries", "2", 2), two, b"", NOW, NOW), [(1, 2), (1, 2)])

    def test_a_body_that_is_not_of_the_shape_is_wrong(self) -> None:
        self.wrong("db", b'[{"id":1,"randomNumber":2}]')
        self.wrong("db", b'{"id":1,"randomnumber":2}')
        self.wrong("db", b'{"id":1,"randomNumber":2,"x":3}')
        for row in (b'"id":0', b'"id":10001', b'"id":"1"', b'"id":1.0', b'"id":true'):
            self.wrong("db", b"{" + row + b',"randomNumber":2}')
        self.wrong("queries", b'[{"id":1,"randomNumber":2}]')
        self.wrong("queries", b"[")
        self.wrong("updates", b'[{"id":1,"randomNumber":2},{"id":1,"randomNumber":3}]')
        self.wrong("json", b'{"message":"Hello, world!"}')

    def test_a_head_is_checked_too(self) -> None:
        good = answer(b"Hello, World!", b"text/plain")
        asked = target("plaintext")
        self.assertEqual(check(asked, good, b"", NOW, NOW), [])
        with self.assertRaises(WrongAnswer):
            check(asked, good, b"", NOW + 10, NOW + 11)
        with self.assertRaises(WrongAnswer):
            check(asked, replace(good, fields=good.fields | {b"content-type": b"text/html"}), b"", NOW, NOW)
        with self.assertRaises(WrongAnswer, msg="no Retry-After"):
            check(asked, answer(b"", status=503), b"", NOW, NOW)

    def test_fortunes_are_sorted_escaped_and_all_there(self) -> None:
        check_fortunes(PAGE.encode(), FORTUNES)
        for old, new in (
            ("&lt;script&gt;", "<script>"),
            ("<tr><td>12<", "<tr><td>13<"),
            ("</tr></table>", "</tr> </table>"),
        ):
            with self.assertRaises(WrongAnswer, msg=new):
                check_fortunes(PAGE.replace(old, new).encode(), FORTUNES)

    def test_every_route_is_asked_and_every_head_is_read(self) -> None:
        dice = random.Random(1)
        self.assertEqual(len({draw(dice).route for _ in range(300)}), 7)
        self.assertEqual(read_head(b"HTTP/1.1 503 x\r\nRetry-After: 1\r\n\r\n"), (503, {b"retry-after": b"1"}))


class TimelineTest(unittest.TestCase):
    def setUp(self) -> None:
        self.timeline = Timeline()
        self.window = self.timeline.open("lock", Allowance(refused=frozenset({"db"})), 100.0)
        self.window.end = 105.0

    def judge(self, route: str, sent: float, answered: float, status: int | None, port: int = 1) -> str:
        return self.timeline.judge(Outcome(route, port, sent, sent, answered, status))[0]

    def test_a_refusal_is_right_only_while_a_fault_allows_it(self) -> None:
        self.assertEqual(self.judge("db", 99.9, 103.0, 503), "refused")
        self.assertEqual(self.judge("json", 101.0, 101.1, 503), "wrong")
        self.assertEqual(self.judge("db", 101.0, 101.1, 500), "wrong")
        self.assertEqual(self.judge("db", 99.0, 99.5, 503), "wrong")
        self.assertEqual(self.judge("db", 106.5, 106.6, 503), "wrong")

    def test_recovery_is_timed_by_the_last_request_that_was_refused(self) -> None:
        self.judge("db", 105.25, 105.3, 503)
        self.judge("db", 103.0, 105.6, 503)
        self.assertEqual(self.window.recovered_after, 0.25)

    def test_in_calm_an_answer_takes_a_second_at_most_and_never_longer_than_the_deadline(self) -> None:
        self.assertEqual(self.judge("db", 110.0, 110.9, 200), "answered")
        self.assertEqual(self.judge("db", 110.0, 111.1, 200), "wrong")
        self.assertEqual(self.judge("db", 101.0, 103.0, 200), "answered")
        self.assertEqual(self.judge("db", 101.0, 104.6, 200), "wrong")

    def test_only_what_a_killed_process_held_may_be_lost(self) -> None:
        self.assertEqual(self.judge("db", 101.0, 101.1, None), "wrong")
        killed = self.timeline.open("kill-process", Allowance(loses=True), 130.0)
        killed.ports.add(7)
        self.assertEqual(self.judge("db", 130.0, 130.1, None, port=7), "lost")
        self.assertEqual(self.judge("db", 130.0, 130.1, None, port=8), "wrong")


class LedgerTest(unittest.TestCase):
    def setUp(self) -> None:
        self.ledger = Ledger(Timeline(), Truth())

    def answer(self, route: str, body: bytes, kind: bytes, status: int = 200) -> None:
        sent = self.ledger.begin(target(route))
        given = answer(body, kind, status)
        self.ledger.answered(sent, 1, replace(given, fields=given.fields | {b"date": http_date(int(sent.wall))}))

    def test_each_request_ends_in_one_count(self) -> None:
        self.answer("plaintext", b"Hello, World!", b"text/plain")
        self.answer("plaintext", b"Hello, world!", b"text/plain")
        self.answer("plaintext", b"", b"text/plain", status=500)
        self.ledger.unanswered(self.ledger.begin(target("db")), 1, "EOFError")
        self.ledger.given_up(self.ledger.begin(target("db")))
        pending = self.ledger.begin(target("json"))
        self.assertEqual((self.ledger.count("answered"), self.ledger.wrong, self.ledger.count("given up")), (1, 3, 1))
        self.assertEqual(self.ledger.under_way, 1)
        self.ledger.given_up(pending)
        self.assertEqual(self.ledger.under_way, 0)

    def test_what_was_read_is_judged_later_and_what_is_wrong_is_told(self) -> None:
        self.answer("db", b'{"id":1,"randomNumber":2}', b"application/json")
        self.assertEqual([one.rows for one in self.ledger.truth.waiting], [[(1, 2)]])
        self.ledger.unanswered(self.ledger.begin(target("db")), 1, "EOFError")
        self.assertIn("/db was not answered (EOFError) in calm", self.ledger.told[0])


class ScheduleTest(unittest.TestCase):
    def test_each_fault_comes_once_in_each_deck(self) -> None:
        names = list("abcdef")
        first, again = (schedule.decks(names, random.Random(1)) for _ in range(2))
        order = [next(first) for _ in range(18)]
        self.assertEqual(order, [next(again) for _ in range(18)])
        for deck in range(3):
            self.assertEqual(sorted(order[deck * 6 : deck * 6 + 6]), names)
        self.assertNotEqual(order[:6], order[6:12])

    def test_what_replaces_processes_comes_first_then_what_needs_memory_and_the_rest_before_drift_is_looked_at(
        self,
    ) -> None:
        order = schedule.Order("abcdef", {"a", "d"}, {"b", "e"}, 1)
        first = [order.next(30.0 * at, 1_000) for at in range(6)]
        self.assertEqual([set(first[:2]), set(first[2:4]), set(first[4:])], [{"a", "d"}, {"b", "e"}, {"c", "f"}])
        self.assertIsNone(order.steady_from)
        steady = [order.next(180 + at, 1_000) for at in range(12)]
        self.assertEqual(order.steady_from, 180)
        for deck in range(3):
            self.assertEqual(sorted(steady[deck * 4 : deck * 4 + 4]), list("bcef"))
        self.assertEqual(sorted(order.next(1_000, 1_000) for _ in range(6)), list("abcdef"))

    def test_processes_are_replaced_all_the_time_where_nothing_else_is_asked_for(self) -> None:
        order = schedule.Order(["reload"], {"reload"}, set(), 1)
        self.assertEqual([order.next(at, 10) for at in range(3)], ["reload"] * 3)

    def test_a_stall_of_the_clients_is_known_before_it_is_over(self) -> None:
        pulse = Pulse()
        self.assertEqual(pulse.late_between(10.0, 11.0), 0)
        pulse.beats.append((10.5, 0.25))
        pulse.due = 10.75
        self.assertEqual(pulse.late_between(10.0, 11.0), 0.5)
        self.assertEqual(pulse.late_between(10.6, 10.7), 0)

    def test_lengths_of_time_are_read(self) -> None:
        self.assertEqual([schedule.read_length(text) for text in ("90", "90s", "30m", "8h")], [90, 90, 1800, 28800])
        for text in ("", "0", "-1m", "1d", "half"):
            with self.assertRaises(Problem):
                schedule.read_length(text)

    def test_faults_are_chosen_by_name_and_a_single_process_is_not_killed(self) -> None:
        self.assertEqual(list(choose(None, 2)), list(FAULTS))
        self.assertNotIn("kill-process", choose(None, 1))
        self.assertEqual(list(choose("lock,hang", 1)), ["lock", "hang"])
        for names in ("earthquake", "kill-process"):
            with self.assertRaises(Problem):
                choose(names, 1)


def sample(at: float, memory: dict[int, int], rest: int = 20) -> Sample:
    return Sample(at, memory, rest + 9, 7, 2)


class DriftTest(unittest.TestCase):
    def test_the_medians_of_the_first_and_the_last_third_are_compared(self) -> None:
        before, after = sample(10, {1: 1, 2: 1}), sample(95, {1: 1, 2: 1})
        early = [sample(at, {1: memory, 2: 100}) for at, memory in ((20, 90), (25, 100), (40, 500))]
        between = sample(55, {1: 10, 2: 10})
        late = [sample(at, {1: 100, 2: memory}) for at, memory in ((70, 102), (75, 101), (80, 400))]
        restless = [sample(at, {1: at * 100, 2: 1}, rest=30) for at in (20, 30, 70, 80)]
        found = drift.compare(restless, [before, *early, between, *late, after], 20, 90)
        memory, descriptors = found["memory, KiB"], found["descriptors"]
        assert memory is not None and descriptors is not None
        self.assertEqual((memory.early, memory.late), (200, 202))
        self.assertAlmostEqual(memory.share, 0.01)
        self.assertEqual((descriptors.early, descriptors.share), (30, 0.0))
        self.assertIsNone(drift.compare(restless, early, 20, 90)["memory, KiB"], "too few")

    def test_growth_that_chance_explains_is_no_drift_and_more_moments_leave_less_to_chance(self) -> None:
        def between(*growths: int) -> drift.Drift:
            early = [1_000, 1_020, 980, 1_010, 990] * len(growths)
            return drift.between(early, [figure + growth for growth in growths for figure in early[:5]])

        few, many = between(20), between(*[20] * 40)
        self.assertAlmostEqual(few.share, 0.02)
        # Half of the figures are within 10 of the median, and there are five early and five late.
        self.assertAlmostEqual(few.error, 1.96 * 1.2533 * 14.826 * (2 / 5) ** 0.5 / 1_000)
        self.assertEqual((few.is_too_much(), many.is_too_much()), (False, True))
        self.assertTrue(between(60).is_too_much())
        self.assertFalse(between(-60).is_too_much())

    def test_noise_helps_no_leak_and_what_a_few_moments_agree_on_is_not_certain(self) -> None:
        noisy = drift.Drift(1_000, 1_031, 0.04, 9)
        self.assertEqual(noisy.failure(), "too much")
        self.assertEqual(
            replace(noisy, late=1_029).failure(), "not decided: chance can have moved it by more than 2%"
        )
        self.assertIsNone(drift.Drift(1_000, 1_029, 0.02, 9).failure())
        self.assertEqual(
            drift.between([1_000] * 4, [1_000] * 9).failure(), "not decided: 4 moments a third, and 5 are needed"
        )
        self.assertIsNone(drift.between([1_000] * 5, [1_000] * 9).failure())

    def test_figures_of_different_processes_are_not_compared(self) -> None:
        others = [sample(1, {7: 100}), sample(8, {8: 100})]
        self.assertEqual(drift.compare(others, others, 0, 9), {"memory, KiB": None, "descriptors": None})

    def test_drift_fails_a_run_that_was_steady_for_ten_minutes_and_no_shorter_one(self) -> None:
        results = Results({}, 1, 1_500, 2, Ledger(Timeline(), Truth()), complete=True)
        results.samples = [sample(600.0 + at, {1: 1_000, 2: 1_000}) for at in range(600)]
        moments = (*range(0, 150, 30), *range(450, 600, 30))
        results.settled = [sample(600.0 + at, {1: 1_000 + at, 2: 1_000}) for at in moments]
        results.steady = (600.0, 1_199.0)
        self.assertEqual(results.failures(), [])
        results.steady = (600.0, 1_200.0)
        self.assertEqual(len(results.failures()), 1)
        self.assertRegex(results.failures()[0], r"^memory, KiB: 2060 early, 2510 late \(\+21\.84% ± .*, too much$")
        results.settled = [replace(one, anonymous_kib={1: 1_000, 2: 1_000}) for one in results.settled]
        self.assertEqual(results.failures(), [])
        results.settled = results.settled[1:]
        self.assertRegex(results.failures()[0], "not decided: 4 moments a third")

    def test_that_drift_was_not_judged_is_said_and_fails_a_run_that_was_to_be_long_enough(self) -> None:
        results = Results({"command": "soak"}, 1, 1_799, 2, Ledger(Timeline(), Truth()), complete=True)
        results.steady = (600.0, 1_199.0)
        unjudged = "drift was not judged: 599 s of 600"
        self.assertEqual((results.failures(), results.unjudged()), ([], unjudged))
        self.assertIn(unjudged, report.summary(results))
        self.assertIn(unjudged[1:], report.page(results))
        results.planned = 1_800
        self.assertEqual(results.failures(), [unjudged])
        results.complete = False
        self.assertEqual(results.failures(), [], "whoever ended it knows")
        results.complete, results.steady = True, (600.0, 1_200.0)
        self.assertIsNone(results.unjudged())

    def test_what_the_kernel_says_is_read(self) -> None:
        self.assertEqual(anonymous("Pss: 9 kB\nAnonymous:          123 kB\n"), 123)
        table = (
            "Num RefCount Protocol Flags Type St Inode Path\n"
            "0: 00000002 00000000 00010000 0001 01 11 /x/.s.PGSQL.5\n"
            "0: 00000003 00000000 00000000 0001 03 12 /x/.s.PGSQL.5\n"
            "0: 00000003 00000000 00000000 0001 03 13\n"
        )
        self.assertEqual(connected(table, "/x/.s.PGSQL.5"), 1)


if __name__ == "__main__":
    unittest.main()
