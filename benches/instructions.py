"""`make instructions`: what a request of each route costs in instructions, against the baseline in the repository.

A count says what concurrent load cannot: it repeats. The real binary runs under callgrind with one worker and one
database connection, once for N requests and once for 2N; the difference over N is a request, with the start-up gone.

**Invariant:** a change over the tolerance, up or down, fails with both figures and the command that accepts the new
ones.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from . import baseline, builds, callgrind, postgres
from .baseline import Baseline, Change
from .children import Children
from .plan import ROUTES

BASELINE = Path(__file__).with_name("instructions.json")
# One request first, which opens the database connection; those after it cost the same each.
REQUESTS = 500
# How often a count is taken at the most.
TRIES = 3
COUNTED = ("json", "plaintext", "db", "queries", "updates", "fortunes")


def run(arguments: argparse.Namespace) -> int:
    """Counts, compares, and returns the exit code."""
    callgrind.check_valgrind()
    binary = Path(arguments.binary) if arguments.binary else builds.build_counted()
    facts = baseline.facts(REQUESTS)
    before = None if arguments.accept else baseline.read(BASELINE)
    if before is not None:
        baseline.check_comparable(before, facts)
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="plimsoll-counts-") as logs, Children(Path(logs)) as children:
        with postgres.serve(children) as database:
            counter = callgrind.Counter(children, database, binary, Path(logs))
            for name in arguments.routes or COUNTED:
                counts[name] = count(counter, name, before)
                if arguments.repeat > 1:
                    show_repeats(counter, name, counts[name], arguments.repeat)
                print(line(name, counts[name], before), flush=True)
    if arguments.accept:
        baseline.write(BASELINE, Baseline(facts, counts))
        print(f"written to {BASELINE.relative_to(postgres.ROOT)}; commit it with what changed the counts")
        return 0
    return verdict(before, counts)


def count(counter: callgrind.Counter, name: str, before: Baseline | None) -> int:
    """A route's count. It is taken again where it is not what was expected, or is about to become the baseline; the
    least of them stands, since all that a busy machine does is to add ticks of the service's clocks."""
    path = ROUTES[name].path
    counts = [counter.per_request(path, REQUESTS)]
    while len(counts) < TRIES and (before is None or baseline.change(before, name, min(counts)).is_too_large):
        counts.append(counter.per_request(path, REQUESTS))
    return round(min(counts))


def show_repeats(counter: callgrind.Counter, name: str, first: int, repeat: int) -> None:
    """How well the count repeats, for whoever doubts it."""
    counts = [first] + [round(counter.per_request(ROUTES[name].path, REQUESTS)) for _ in range(repeat - 1)]
    middle = statistics.median(counts)
    print(f"  {name}: {counts}, {(max(counts) - min(counts)) / middle:.2%} between the least and the most")


def line(name: str, now: int, before: Baseline | None) -> str:
    compared = f"  {baseline.change(before, name, now).describe()}" if before is not None else ""
    return f"  {name:<10} {now:>8} instructions a request{compared}"


def verdict(before: Baseline | None, counts: dict[str, int]) -> int:
    changes: list[Change] = [baseline.change(before, name, now) for name, now in counts.items()] if before else []
    failed = [change for change in changes if change.is_too_large]
    for change in failed:
        print(f"instructions: {change.name}: {change.describe()}, more than {baseline.TOLERANCE:.0%}", file=sys.stderr)
    if failed:
        print("instructions: if that is meant:  make instructions ACCEPT=1  and commit the baseline", file=sys.stderr)
        return 1
    print(f"instructions: {len(changes)} routes are within {baseline.TOLERANCE:.0%} of the baseline")
    return 0
