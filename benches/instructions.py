"""`make instructions`: what a request of each route costs in instructions and allocations, against the baseline in the
repository.

A count says what concurrent load cannot: it repeats. The real binary runs under callgrind with one worker and one
database connection, once for N requests and once for 2N; the difference over N is a request, with the start-up gone.

**Invariant:** instructions that move by more than the tolerance, up or down, and allocations that rise by more than
theirs fail with both figures and the command that accepts the new ones.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from . import baseline, builds, callgrind, postgres
from .baseline import Baseline, Cost, Facts
from .children import Children
from .plan import ROUTES

BASELINE = Path(__file__).with_name("instructions.json")
# One request first, which opens the database connection; those after it cost the same each.
REQUESTS = 500
# How often a count is taken at the most.
TRIES = 3
DIRECT = {"PLIMSOLL_DRIVER": "direct"}


@dataclass(frozen=True)
class Case:
    """A route, and the settings under which it is counted."""

    path: str
    settings: Mapping[str, str]


FROM_MEMORY, FROM_DATABASE = ("json", "plaintext"), ("db", "queries", "updates", "fortunes")
COUNTED = {name: Case(ROUTES[name].path, {}) for name in FROM_MEMORY + FROM_DATABASE} | {
    f"{name}-direct": Case(ROUTES[name].path, DIRECT) for name in FROM_DATABASE
}


def run(arguments: argparse.Namespace) -> int:
    """Counts, compares, and returns the exit code."""
    callgrind.check_valgrind()
    binary = Path(arguments.binary) if arguments.binary else builds.build_counted()
    facts = baseline.facts(REQUESTS)
    before = None if arguments.accept else baseline.read(BASELINE)
    if before is not None:
        baseline.check_comparable(before, facts)
    counts: dict[str, Cost] = {}
    with tempfile.TemporaryDirectory(prefix="plimsoll-counts-") as logs, Children(Path(logs)) as children:
        with postgres.serve(children) as database:
            counter = callgrind.Counter(children, database, binary, Path(logs))
            for name in arguments.routes or COUNTED:
                counts[name] = count(counter, name, before)
                if arguments.repeat > 1:
                    show_repeats(counter, name, counts[name], arguments.repeat)
                print(line(name, counts[name], before), flush=True)
    if arguments.accept:
        baseline.write(BASELINE, accepted(facts, counts))
        print(f"written to {BASELINE.relative_to(postgres.ROOT)}; commit it with what changed the counts")
        return 0
    return verdict(before, counts)


def count(counter: callgrind.Counter, name: str, before: Baseline | None) -> Cost:
    """A route's cost. It is counted again where it is not what was expected, or is about to become the baseline; the
    least counts stand, since all that a busy machine does is to add ticks of the service's clocks."""
    least = count_once(counter, name)
    for _ in range(TRIES - 1):
        if before is not None and not baseline.change(before, name, least).complaints:
            break
        again = count_once(counter, name)
        least = Cost(min(least.instructions, again.instructions), min(least.allocations, again.allocations))
    return least


def count_once(counter: callgrind.Counter, name: str) -> Cost:
    counts = counter.per_request(COUNTED[name].path, REQUESTS, COUNTED[name].settings)
    # A longer run may allocate once less than a shorter one; the sum turns what rounds to -0.0 into 0.0.
    return Cost(round(counts.instructions), round(counts.allocations, 1) + 0.0)


def show_repeats(counter: callgrind.Counter, name: str, first: Cost, repeat: int) -> None:
    """How well the count repeats, for whoever doubts it."""
    costs = [first] + [count_once(counter, name) for _ in range(repeat - 1)]
    counts, allocations = [cost.instructions for cost in costs], [cost.allocations for cost in costs]
    spread = (max(counts) - min(counts)) / statistics.median(counts)
    print(f"  {name}: {counts}, {spread:.2%} between the least and the most; allocations {allocations}")


def line(name: str, now: Cost, before: Baseline | None) -> str:
    if before is None:
        return f"  {name:<16} {now.instructions:>8} instructions  {now.allocations:>7.1f} allocations a request"
    change = baseline.change(before, name, now)
    return f"  {name:<16} instructions {change.describe_instructions():<42} allocations {change.describe_allocations()}"


def accepted(facts: Facts, counts: dict[str, Cost]) -> Baseline:
    return Baseline(
        facts,
        {name: cost.instructions for name, cost in counts.items()},
        {name: cost.allocations for name, cost in counts.items()},
    )


def verdict(before: Baseline | None, counts: dict[str, Cost]) -> int:
    changes = [baseline.change(before, name, now) for name, now in counts.items()] if before else []
    complaints = [f"{change.name}: {complaint}" for change in changes for complaint in change.complaints]
    for complaint in complaints:
        print(f"instructions: {complaint}", file=sys.stderr)
    if complaints:
        print("instructions: if that is meant:  make instructions ACCEPT=1  and commit the baseline", file=sys.stderr)
        return 1
    print(
        f"instructions: {len(changes)} routes are within {baseline.TOLERANCE:.0%} of the baseline, "
        f"and within {baseline.MOST_MORE_ALLOCATIONS} allocations a request above it"
    )
    return 0
