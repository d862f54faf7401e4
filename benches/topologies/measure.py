"""The runs of a comparison: each in a freshly started server, interleaved.

**Invariant:** every run is written to results.json before the next begins, and an interrupted comparison is reported as
far as it came.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .. import builds, machine, postgres, service
from ..accounting import family_usage
from ..children import Children
from ..problem import Problem
from ..progress import Progress
from ..targets import Target
from ..throughput import out_folder
from . import arrangement, generator, page, plan
from .arrangement import Arrangement
from .figures import Look, Results, Run
from .holder import Holder, check_room
from .memory import resident_bytes
from .plan import Turn
from .skew import AcceptSkew

# Starting and stopping a server, for the first guess of how long all will take.
AROUND_SECONDS = 0.8
# When the last of the idle connections has fallen idle for the server too (--park-after).
PARKED_AFTER = 2


@dataclass
class Comparison:
    """What stays the same over all runs."""

    arguments: argparse.Namespace
    binary: Path
    children: Children
    database: postgres.Postgres
    results: Results


def run(arguments: argparse.Namespace) -> int:
    """Compares and reports; returns the exit code, which is 1 where anything failed."""
    wishes = plan.Wishes(arguments.workloads, arguments.connections, arguments.held_workloads, arguments.held)
    cells = plan.cells(wishes)
    check_room(max(cell.idle + cell.active for cell in cells))
    chosen = arrangement.choose(arguments.topologies, len(os.sched_getaffinity(0)))
    binary = Path(arguments.binary).resolve() if arguments.binary else builds.build(Target("ours"))
    out = out_folder(arguments)
    turns = list(plan.turns(cells, arguments.rounds, len(chosen)))
    steps = Progress(len(turns), arguments.seconds + arguments.warmup + AROUND_SECONDS)
    interrupted = False
    with tempfile.TemporaryDirectory(prefix="plimsoll-bench-logs-") as logs, Children(Path(logs)) as children:
        with postgres.serve(children) as database:
            facts = machine.describe(database.version, ["python3", "-m", "benches", *sys.argv[1:]])
            results = Results(facts, settings(arguments), chosen)
            comparison = Comparison(arguments, binary, children, database, results)
            try:
                for turn in turns:
                    one = chosen[turn.arrangement]
                    steps.show(f"round {turn.round + 1} of {arguments.rounds}, {turn.cell.title}, {one.name}")
                    results.add(turn.cell, one, measure(comparison, turn, one))
                    steps.step()
                    results.write(out / "results.json")
                results.complete = True
            except KeyboardInterrupt:
                interrupted = True
            finally:
                steps.clear()
                finish(results, out)
    if interrupted:
        return 130
    return 1 if results.failures else 0


def measure(comparison: Comparison, turn: Turn, one: Arrangement) -> Run:
    """One run: started, its idle connections opened, warmed up, measured, asked again, stopped."""
    arguments, children, cell = comparison.arguments, comparison.children, turn.cell
    target = Target(one.name, flags=one.flags)
    admin = postgres.free_port()
    running = service.start(children, target, comparison.binary, comparison.database, admin)
    service.wait_until_answering(running, cell.route)
    url, root = running.url(cell.route), running.child.pid
    port = int(running.base.rsplit(":", 1)[1])
    with Holder(port, cell.idle) if cell.idle else contextlib.nullcontext() as holder:
        warmup = max(arguments.warmup, PARKED_AFTER) if cell.idle else arguments.warmup
        words = generator.command(comparison.binary, cell.active, url, arguments.seconds, warmup)
        looks: list[Look] = []
        load = generator.run(children, words, arguments.seconds, warmup, lambda: looks.append(look(root)))
        lost = holder.ask_each() if holder else 0
        skew = AcceptSkew.ask(admin)
    if not running.child.is_running():
        raise Problem(f"{one.name} ended under load:\n{running.child.last_words()}", "Its last words are above.")
    children.stop(running.child)
    return Run.between(turn.round, load, looks[0], looks[-1], skew, lost)


def look(root: int) -> Look:
    """What a server, all its processes together, has used so far and holds now."""
    return Look(time.monotonic(), family_usage(root), resident_bytes(root))


def finish(results: Results, out: Path) -> None:
    """Writes what there is."""
    if not results.runs:
        # Empty, unless somebody keeps other things there.
        with contextlib.suppress(OSError):
            out.rmdir()
        return
    results.write(out / "results.json")
    text = page.render(results)
    (out / "README.md").write_text(text)
    print(text)
    print(f"results: {out / 'results.json'}\n   page: {out / 'README.md'}")
    if not results.complete:
        print("not complete: what was measured so far is kept", file=sys.stderr)
    if results.failures:
        print(f"{results.failures} requests or idle connections failed: the page says where", file=sys.stderr)


def settings(arguments: argparse.Namespace) -> dict[str, object]:
    return {
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "warmup_seconds": arguments.warmup,
        "generator": f"plimsoll load -t{generator.THREADS} --timeout {generator.TIMEOUT_SECONDS}s",
        "load_average_before": machine.load_average(),
    }
