"""Figures as people read them: three significant digits, and their unit where the column does not say it.

**Invariant:** the same figure reads the same on the terminal and on the page.
"""

from __future__ import annotations

from ..pairing import Spread


def rate(value: float) -> str:
    """`1.45M`, `98.2k`, `830`."""
    if value >= 999_500:
        return f"{value / 1e6:.2f}M"
    if value >= 99_950:
        return f"{value / 1e3:.0f}k"
    return f"{value / 1e3:.1f}k" if value >= 1000 else f"{value:.0f}"


def rates(spread: Spread) -> str:
    return f"{rate(spread.least)}–{rate(spread.most)}"


def micros(value: float) -> str:
    """`6.21`, `24.1`, `187`: without the unit."""
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def latency(value_us: float) -> str:
    """`870 µs`, `2.41 ms`, `1.20 s`."""
    if value_us <= 0:
        return "–"
    if value_us < 999.5:
        return f"{value_us:.0f} µs"
    return f"{value_us / 1e3:.2f} ms" if value_us < 999_500 else f"{value_us / 1e6:.2f} s"


def ratio(spread: Spread | None) -> str:
    """`1.16 (1.12–1.19)`."""
    return f"{spread.median:.2f} ({spread.least:.2f}–{spread.most:.2f})" if spread else "–"
