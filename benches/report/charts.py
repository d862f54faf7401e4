"""Charts as SVG: bars of requests a second with every run as a dot, and bars of where a request's CPU time went.

**Invariant:** a chart is readable without its colours: bars carry names, figures stand beside them, and parts are
told apart by their pattern of brightness and their order in the key; its description holds what it shows.
"""

from __future__ import annotations

from html import escape

from ..results import Measured
from . import figures

WIDTH, LABEL, VALUE = 720, 150, 130
BAR, GAP = 22, 12
# The parts of a request's CPU time, with the class that colours each.
PARTS = (("server, user", "user"), ("server, kernel", "kernel"), ("PostgreSQL", "postgres"), ("wrk", "wrk"))


def throughput(measured: Measured, name: str) -> str:
    """Requests a second: the median as a bar, least to most as a line, each run as a dot."""
    summaries = measured.summaries()
    most = max(summary.requests_per_second.most for summary in summaries.values()) or 1.0
    scale = (WIDTH - LABEL - VALUE) / most
    body, said = [], []
    for at, (target, summary) in enumerate(summaries.items()):
        top = at * (BAR + GAP) + GAP / 2
        middle = top + BAR / 2
        rates = summary.requests_per_second
        body.append(label(target, middle))
        body.append(
            f'<rect class="{"first" if at == 0 else "other"}" x="{LABEL}" y="{top}" '
            f'width="{rates.median * scale:.1f}" height="{BAR}"/>'
        )
        # Twice: a line that shows on the bar and on the paper alike needs a border.
        body.extend(
            f'<line class="{kind}" x1="{LABEL + rates.least * scale:.1f}" x2="{LABEL + rates.most * scale:.1f}" '
            f'y1="{middle}" y2="{middle}"/>'
            for kind in ("border", "spread")
        )
        body.extend(
            f'<circle class="run" cx="{LABEL + run.load.requests_per_second * scale:.1f}" cy="{middle}" r="2.5"/>'
            for run in measured.runs[target]
        )
        body.append(value(LABEL + rates.most * scale + 8, middle, figures.rate(rates.median)))
        said.append(f"{target} {figures.rate(rates.median)}, {figures.rates(rates)}")
    return chart(name, "Requests a second", "; ".join(said), body, len(summaries))


def cpu(measured: Measured, name: str) -> str:
    """CPU microseconds a request: the server's in user space and in the kernel, PostgreSQL's, the generator's."""
    summaries = measured.summaries()
    shares = {
        target: (summary.server_user_us, summary.server_system_us, summary.postgres_us, summary.generator_us)
        for target, summary in summaries.items()
    }
    most = max(sum(parts) for parts in shares.values()) or 1.0
    scale = (WIDTH - LABEL - VALUE) / most
    body, said = [], []
    for at, (target, parts) in enumerate(shares.items()):
        top = at * (BAR + GAP) + GAP / 2
        left = float(LABEL)
        body.append(label(target, top + BAR / 2))
        for (_, kind), part in zip(PARTS, parts, strict=True):
            body.append(f'<rect class="{kind}" x="{left:.1f}" y="{top}" width="{part * scale:.1f}" height="{BAR}"/>')
            left += part * scale
        body.append(value(left + 8, top + BAR / 2, f"{figures.micros(sum(parts))} µs"))
        said.append(
            f"{target} "
            + ", ".join(f"{what} {figures.micros(part)} µs" for (what, _), part in zip(PARTS, parts, strict=True))
        )
    return chart(name, "CPU time a request", "; ".join(said), body, len(shares)) + key()


def chart(name: str, title: str, description: str, body: list[str], bars: int) -> str:
    height = bars * (BAR + GAP)
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="{name}-title {name}-text">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-text">{escape(description)}</desc>'
        f"{''.join(body)}</svg>"
    )


def key() -> str:
    items = "".join(
        f'<li><svg viewBox="0 0 12 12" aria-hidden="true"><rect class="{kind}" width="12" height="12"/></svg>'
        f"{what}</li>"
        for what, kind in PARTS
    )
    return f'<ul class="key">{items}</ul>'


def label(text: str, middle: float) -> str:
    shown = text if len(text) <= 20 else f"{text[:19]}…"
    return f'<text x="{LABEL - 8}" y="{middle}" class="name">{escape(shown)}</text>'


def value(left: float, middle: float, text: str) -> str:
    return f'<text x="{left:.1f}" y="{middle}" class="value">{escape(text)}</text>'
