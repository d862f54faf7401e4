"""The report of a small measurement: figures as text, a page that is whole.

**Invariant:** names that came from a file are escaped wherever they are shown.
"""

import json
import unittest
from html.parser import HTMLParser

from ..accounting import Usage
from ..pairing import Spread
from ..plan import ROUTES, Cell
from ..progress import describe_seconds
from ..report import figures, page
from ..results import Measured, Results, Run
from ..wrk import Load

VOID = {"meta"}


def run(pair: int, requests: int, seconds: float, errors: int = 0) -> Run:
    load = Load(requests, float(requests), 870.0, 2400.0, 0, errors, Usage(0.2, 0.3))
    return Run(pair, load, Usage(seconds / 4, seconds * 3 / 4, requests // 2), Usage(0.1, 0.1))


def results() -> Results:
    measured = Measured(Cell(ROUTES["db"], 64), {"ours": [], "<b>": []}, [137_000.0, 139_000.0])
    measured.runs["ours"] = [run(0, 100_000, 0.8), run(1, 120_000, 0.96)]
    measured.runs["<b>"] = [run(0, 80_000, 0.8), run(1, 96_000, 0.96, errors=3)]
    settings = {"pairs": 2, "seconds": 1, "warmup_seconds": 1, "generator": "wrk", "yardstick": "pgbench"}
    return Results({"cores": 2, "commit": "abc"}, settings, [measured], complete=True)


class Balance(HTMLParser):
    """Notes what is opened and closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag


class ReportTest(unittest.TestCase):
    def test_ratios_and_times_come_from_the_runs(self) -> None:
        summaries = results().measured[0].summaries()
        self.assertEqual(summaries["<b>"].ratio, Spread(0.8, 0.8, 0.8))
        self.assertAlmostEqual(summaries["ours"].server_us, 8.0)
        self.assertAlmostEqual(summaries["<b>"].server_us, 10.0)
        self.assertEqual((summaries["ours"].errors, summaries["<b>"].errors), (0, 3))
        self.assertAlmostEqual(summaries["ours"].switches, 0.5)

    def test_a_target_that_has_not_run_yet_is_left_out(self) -> None:
        measured = results().measured[0]
        measured.runs["<b>"] = []
        self.assertEqual(list(measured.summaries()), ["ours"])

    def test_the_page_is_balanced_escaped_and_loads_nothing(self) -> None:
        text = page.render(results())
        balance = Balance()
        balance.feed(text)
        self.assertEqual(balance.open, [])
        self.assertNotIn("b", balance.seen)
        for word in ("<script", "http://", "https://", "url("):
            self.assertNotIn(word, text)

    def test_results_can_be_written_as_json(self) -> None:
        document = json.loads(json.dumps(results().document()))
        self.assertEqual(document["cells"][0]["summaries"]["ours"]["requests_per_second"]["median"], 110_000.0)

    def test_figures_have_three_digits_and_the_right_unit(self) -> None:
        said = [figures.rate(value) for value in (830, 9_870, 98_249, 108_400, 1_449_000)]
        self.assertEqual(said, ["830", "9.9k", "98.2k", "108k", "1.45M"])
        self.assertEqual(
            [figures.latency(value) for value in (0, 870, 2_410, 1.2e6)], ["–", "870 µs", "2.41 ms", "1.20 s"]
        )
        self.assertEqual([figures.micros(value) for value in (6.214, 24.12, 187.4)], ["6.21", "24.1", "187"])

    def test_what_is_left_is_said_in_the_unit_that_matters(self) -> None:
        self.assertEqual([describe_seconds(value) for value in (45, 720, 3900)], ["45 s", "12 min", "1 h 05 min"])
