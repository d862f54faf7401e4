"""`plimsoll load`, the generator: its command line, and what its JSON says.

**Invariant:** what it printed is kept whole beside the figures that were read from it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..accounting import process_usage
from ..children import Children
from ..problem import Problem

THREADS = 2
# A request may wait its turn behind thousands of others that compute.
TIMEOUT_SECONDS = 10
# How much longer than its duration it may take to connect and to end.
GRACE_SECONDS = 45.0
# When in a run a server is looked at, of its time after the warm-up: well within it at both ends.
LOOKS = (0.15, 0.85)


@dataclass(frozen=True)
class Load:
    """What one run of the generator saw; times are in microseconds."""

    requests: int
    requests_per_second: float
    mean_us: float
    p50_us: float
    p99_us: float
    errors: int
    not_2xx: int
    generator_seconds: float
    said: dict[str, Any]


def command(binary: Path, connections: int, url: str, seconds: int, warmup: int) -> list[str]:
    threads = min(THREADS, connections)
    return [
        str(binary),
        "load",
        f"-t{threads}",
        f"-c{connections}",
        f"-d{seconds}s",
        "--warm-up",
        f"{warmup}s",
        "--timeout",
        f"{TIMEOUT_SECONDS}s",
        "--json",
        url,
    ]


def run(children: Children, words: list[str], seconds: int, warmup: int, look: Callable[[], None]) -> Load:
    """Loads a server for some seconds, and looks at it twice while the load is on."""
    child = children.start("load", words)
    begin = time.monotonic()
    for part in LOOKS:
        time.sleep(max(0.0, begin + warmup + part * seconds - time.monotonic()))
        look()
    if not child.has_ended(within=seconds + GRACE_SECONDS):
        raise Problem(
            f"plimsoll load did not end {GRACE_SECONDS:.0f} s after its time", "Is the server still answering?"
        )
    usage = process_usage(child.pid)
    children.stop(child)
    text = child.log.read_text(errors="replace")
    if child.process.returncode != 0:
        raise Problem(f"plimsoll load failed:\n{child.last_words()}", f"Its command was: {' '.join(words)}")
    return parse(text, usage.seconds)


def parse(text: str, generator_seconds: float) -> Load:
    """Reads the JSON object among what it printed: a progress line may stand before it."""
    start = text.find("{")
    try:
        said = json.loads(text[start:]) if start >= 0 else None
        if said is None:
            raise ValueError("no JSON object")
        raw = said["latency_us"]["raw"]
        return Load(
            requests=int(said["requests"]),
            requests_per_second=float(said["rate_achieved"]),
            # Nothing was answered, and so nothing took any time.
            mean_us=float(raw["mean"]) if raw else 0.0,
            p50_us=float(raw["p50"]) if raw else 0.0,
            p99_us=float(raw["p99"]) if raw else 0.0,
            errors=int(said["errors"]),
            not_2xx=int(said["non_2xx"]),
            generator_seconds=generator_seconds,
            said=said,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Problem(
            f"plimsoll load printed something else than its report ({error!r}):\n{text.strip()[:2000]}",
            "The generator and this driver are of one commit; is another binary measured?",
        ) from error
