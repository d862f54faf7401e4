"""The page: one HTML file with everything in it, for light and dark, without scripts.

**Invariant:** each chart stands beside a table of the same figures, and nothing is loaded from anywhere.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from ..results import Measured, Results
from . import charts, figures
from .terminal import COLUMNS, columns, title

STYLE = Path(__file__).with_name("page.css")


def render(results: Results) -> str:
    """The whole page."""
    cells = [measured for measured in results.measured if measured.summaries()]
    style = STYLE.read_text()
    partial = (
        "" if results.complete else "<p><strong>Not complete: this is what was measured before it ended.</strong></p>"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Plimsoll: measured</title><style>\n{style}</style></head><body>\n"
        f"<header><h1>Measured</h1>{partial}{introduction(results)}</header>\n"
        f"<main>{overview(cells)}{''.join(section(measured, at) for at, measured in enumerate(cells))}</main>\n"
        f"<footer><h2>Machine and command</h2>{facts(results)}</footer>\n</body></html>\n"
    )


def introduction(results: Results) -> str:
    settings = results.settings
    return (
        f"<p>{settings['pairs']} alternating pairs of {settings['seconds']} s for each figure, each after a warm-up of "
        f"{settings['warmup_seconds']} s in a freshly started server; generator {escape(settings['generator'])}. "
        "Figures are medians with the least and the most; ratios are made pair by pair, to the first target named. "
        "CPU time is of all cores together, in microseconds a request.</p>"
    )


def overview(cells: list[Measured]) -> str:
    """All cells in one table: what one would look for first."""
    rows = []
    for at, measured in enumerate(cells):
        for index, (name, summary) in enumerate(measured.summaries().items()):
            head = (
                f'<th scope="rowgroup" rowspan="{len(measured.summaries())}"><a href="#cell-{at}">'
                f"{escape(measured.cell.route.name)}, {measured.cell.connections}</a></th>"
                if index == 0
                else ""
            )
            rows.append(
                f'<tr>{head}<th scope="row">{escape(name)}</th>'
                f"<td>{figures.rate(summary.requests_per_second.median)}</td>"
                f"<td>{figures.ratio(summary.ratio)}</td><td>{figures.latency(summary.p99_us)}</td>"
                f"<td>{figures.micros(summary.server_us)}</td></tr>"
            )
    heads = "".join(
        f'<th scope="col">{text}</th>'
        for text in ("route, connections", "target", "req/s", "ratio", "p99", "server µs")
    )
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f"<h2>At a glance</h2>{wide(table, 'All figures at a glance')}"


def section(measured: Measured, at: int) -> str:
    heads = "".join(f'<th scope="col">{escape(text)}</th>' for text in ("target", *COLUMNS))
    rows = "".join(
        f'<tr{" class=failed" if summary.errors else ""}><th scope="row">{escape(name)}</th>'
        f"{''.join(f'<td>{escape(text)}</td>' for text in columns(summary))}</tr>"
        for name, summary in measured.summaries().items()
    )
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    return (
        f'<section id="cell-{at}"><h2>{escape(title(measured))}</h2>'
        "<figure><figcaption>Requests a second: median, least to most, each run</figcaption>"
        f"{charts.throughput(measured, f'rate-{at}')}</figure>"
        f"<figure><figcaption>CPU microseconds a request</figcaption>{charts.cpu(measured, f'cpu-{at}')}</figure>"
        f"{wide(table, title(measured))}</section>\n"
    )


def wide(table: str, name: str) -> str:
    """A table that scrolls on its own where the window is narrow, also by keyboard."""
    return f'<div class="wide" tabindex="0" role="region" aria-label="{escape(name)}">{table}</div>'


def facts(results: Results) -> str:
    rows = "".join(
        f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(str(value))}</dd>"
        for name, value in {**results.facts, "yardstick": results.settings["yardstick"]}.items()
    )
    return f"<dl>{rows}</dl>"
