"""`make bench`: alternating runs of several targets, route by route.

For each cell (a route at a number of connections) the targets run in turn, each freshly started, warmed up, then
measured; pair after pair, with the order turned round each time.

**Invariant:** every run is written to results.json before the next begins, and an interrupted measurement is reported
as far as it came.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from . import builds, machine, pgbench, plan, postgres, report, service, targets, wrk
from .accounting import family_usage
from .children import Children
from .plan import Cell, Turn
from .problem import Problem
from .progress import Progress
from .results import Measured, Results, Run
from .targets import Target

# Starting and stopping a server, for the first guess of how long all will take.
AROUND_SECONDS = 1.0


@dataclass
class Bench:
    """What stays the same over all runs."""

    arguments: argparse.Namespace
    targets: list[Target]
    binaries: dict[str, Path]
    children: Children
    database: postgres.Postgres
    progress: Progress
    results: Results
    out: Path


def run(arguments: argparse.Namespace) -> int:
    """Measures and reports; returns the exit code."""
    wrk.check_wrk()
    cells = plan.cells(arguments.routes, arguments.connections)
    chosen = targets.choose(arguments.targets)
    out = out_folder(arguments)
    binaries = {target.name: builds.build(target) for target in chosen if target.is_ours}
    interrupted = False
    with tempfile.TemporaryDirectory(prefix="plimsoll-bench-logs-") as logs, Children(Path(logs)) as children:
        with postgres.serve(children) as database:
            command = ["python3", "-m", "benches", *sys.argv[1:]]
            facts = machine.describe(database.version, command)
            results = Results(facts, settings(arguments, chosen))
            steps = progress(arguments, cells, chosen)
            bench = Bench(arguments, chosen, binaries, children, database, steps, results, out)
            try:
                check_answers(bench, cells)
                for cell in cells:
                    measure_cell(bench, cell)
                bench.results.complete = True
            except KeyboardInterrupt:
                interrupted = True
            finally:
                bench.progress.clear()
                finish(bench)
    return 130 if interrupted else 0


def measure_cell(bench: Bench, cell: Cell) -> None:
    measured = Measured(cell, {target.name: [] for target in bench.targets})
    bench.results.measured.append(measured)
    measure_yardstick(bench, measured)
    for turn in plan.turns(cell, bench.arguments.pairs, len(bench.targets)):
        target = bench.targets[turn.target]
        name = (
            f"{cell.route.name} at {cell.connections}, pair {turn.pair + 1} of {bench.arguments.pairs}, {target.name}"
        )
        bench.progress.show(name)
        measured.runs[target.name].append(measure(bench, turn, target))
        bench.progress.step()
        bench.results.write(bench.out / "results.json")
    measure_yardstick(bench, measured)
    bench.progress.clear()
    report.terminal.print_cell(measured)


def measure(bench: Bench, turn: Turn, target: Target) -> Run:
    """One run: started, warmed up, measured, stopped."""
    running = service.start(bench.children, target, bench.binaries.get(target.name), bench.database)
    service.wait_until_answering(running, turn.cell.route)
    url = running.url(turn.cell.route)
    if bench.arguments.warmup > 0:
        wrk.run(bench.children, turn.cell, url, bench.arguments.warmup)
    server, database = family_usage(running.child.pid), family_usage(bench.database.child.pid)
    load = wrk.run(bench.children, turn.cell, url, bench.arguments.seconds)
    used = family_usage(running.child.pid).since(server)
    used_by_database = family_usage(bench.database.child.pid).since(database)
    if not running.child.is_running():
        raise Problem(f"{target.name} ended under load:\n{running.child.last_words()}", "Its last words are above.")
    bench.children.stop(running.child)
    return Run(turn.pair, load, used, used_by_database)


def measure_yardstick(bench: Bench, measured: Measured) -> None:
    if bench.arguments.yardstick > 0:
        bench.progress.show("pgbench, the yardstick")
        rate = pgbench.run(bench.children, bench.database, bench.arguments.yardstick)
        if rate is not None:
            measured.yardstick.append(rate)


def check_answers(bench: Bench, cells: Sequence[Cell]) -> None:
    """Starts each target once and asks for each route, so that what cannot work fails in the first seconds."""
    routes = list(dict.fromkeys(cell.route for cell in cells))
    for target in bench.targets:
        bench.progress.show(f"checking {target.name}")
        running = service.start(bench.children, target, bench.binaries.get(target.name), bench.database)
        for route in routes:
            service.wait_until_answering(running, route)
        bench.children.stop(running.child)


def finish(bench: Bench) -> None:
    """Writes what there is."""
    if not any(runs for measured in bench.results.measured for runs in measured.runs.values()):
        # Empty, unless somebody keeps other things there.
        with contextlib.suppress(OSError):
            bench.out.rmdir()
        return
    bench.results.write(bench.out / "results.json")
    (bench.out / "index.html").write_text(report.page.render(bench.results))
    if not bench.results.complete:
        print("not complete: what was measured so far is kept", file=sys.stderr)
    report.terminal.print_facts(bench.results)
    print(f"results: {bench.out / 'results.json'}\n   page: {bench.out / 'index.html'}")


def progress(arguments: argparse.Namespace, cells: Sequence[Cell], chosen: Sequence[Target]) -> Progress:
    each = arguments.seconds + arguments.warmup + AROUND_SECONDS
    return Progress(len(cells) * arguments.pairs * len(chosen), each)


def settings(arguments: argparse.Namespace, chosen: Sequence[Target]) -> dict[str, object]:
    return {
        "pairs": arguments.pairs,
        "seconds": arguments.seconds,
        "warmup_seconds": arguments.warmup,
        "generator": f"wrk -t{wrk.THREADS} --latency",
        "yardstick": f"pgbench -M prepared, {pgbench.CLIENTS} clients, Unix socket, {arguments.yardstick} s",
        "load_average_before": machine.load_average(),
        "targets": [describe(target) for target in chosen],
    }


def describe(target: Target) -> dict[str, object]:
    """A target for the record: another server by its program's name, since where it lies says nothing elsewhere."""
    command = [Path(word).name for word in target.command[:1]]
    return {**asdict(target), "command": command, "folder": None}


def out_folder(arguments: argparse.Namespace) -> Path:
    """The folder of the results, made; by default one that git ignores."""
    if arguments.out:
        out = Path(arguments.out)
    else:
        stamp = time.strftime("%Y-%m-%d-%H%M%S")
        out = postgres.ROOT / "docs/results" / (arguments.name or f"local/{stamp}")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(f"{out} cannot be made: {error.strerror}", "OUT names another folder.") from error
    return out.resolve()
