"""Two identical servers, one of them holding a million idle connections, loaded in turn (make burdened).

**Invariant:** both servers run all the while, and only one is loaded at a time; each pair of runs is divided by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from . import builds, machine, postgres
from .children import Child, Children
from .pairing import Spread, ratio_spread, spread
from .plan import ROUTES
from .problem import Problem
from .service import clean_environment
from .stand import LISTENING
from .targets import Target
from .topologies import generator

START_SECONDS = 90.0
# Slower than this a second, and something is wrong.
SLOWEST_OPENING = 2_000
# What each run takes besides its time: to connect, to end, to be started.
AROUND_SECONDS = 2
# How often the progress of the opening is passed on.
REPORT_EVERY_SECONDS = 10.0


@dataclass(frozen=True)
class Compared:
    """One route's figures; a ratio is the burdened server's over the other's."""

    route: str
    burdened_per_second: Spread
    other_per_second: Spread
    ratio: Spread
    burdened_p99_us: Spread
    other_p99_us: Spread
    errors: int


def run(arguments: argparse.Namespace) -> int:
    binary = Path(arguments.binary).resolve() if arguments.binary else builds.build(Target("ours"))
    with (
        tempfile.TemporaryDirectory(prefix="plimsoll-burdened-") as folder,
        settings_raised(binary, arguments.held, Path(folder)) as processes,
        Children(Path(folder)) as children,
        postgres.serve(children) as database,
    ):
        facts = machine.describe(database.version, ["make", "burdened"])
        # As many processes as the burden asks for, a tenth more: the kernel spreads connections by chance.
        count = arguments.processes or processes + (processes + 9) // 10
        ports = [start(children, binary, database, name, count) for name in ("burdened", "other")]
        holder = hold(children, binary, ports[0], arguments)
        compared = [compare(children, binary, ports, name, arguments) for name in arguments.routes]
        for one in compared:
            print(line(one), flush=True)
        if holder.has_ended(within=0) or "asking each" in holder.log.read_text(errors="replace"):
            raise Problem("the hold ended before the last pair", "This machine is slower than planned: fewer --pairs.")
        lost = release(holder)
    print(f"of {arguments.held} connections held meanwhile, {lost} were lost")
    if arguments.out:
        out = Path(arguments.out)
        out.mkdir(parents=True, exist_ok=True)
        kept = {
            "machine": facts,
            "held": arguments.held,
            "lost": lost,
            "processes": count,
            "pairs": arguments.pairs,
            "seconds": arguments.seconds,
            "connections": arguments.connections,
            "routes": [asdict(one) for one in compared],
        }
        (out / "burdened.json").write_text(json.dumps(kept, indent=1) + "\n")
    return 1 if lost or any(one.errors for one in compared) else 0


@contextlib.contextmanager
def settings_raised(binary: Path, held: int, folder: Path) -> Iterator[int]:
    """Raises what the doctor finds too low for the time being; gives the number of processes that it names."""
    doctor = [str(binary), "doctor", "--connections", str(held), "--clients", "here"]
    undo = ["--undo-file", str(folder / "undo.conf")]
    try:
        asked = subprocess.run([*doctor, "--apply", *undo, "--json"], capture_output=True, text=True, check=False)
        if asked.returncode != 0:
            raise Problem(f"the doctor says that {held} connections do not fit:\n{asked.stderr}", " ".join(doctor))
        yield int(json.loads(asked.stdout)["processes"]["count"])
    finally:
        if (folder / "undo.conf").exists():
            subprocess.run([str(binary), "doctor", "--revert", *undo], check=False)


def start(children: Children, binary: Path, database: postgres.Postgres, name: str, processes: int) -> int:
    """Starts one of the servers and gives its port."""
    command = [str(binary), "serve", "--processes", str(processes), "--workers", "1", "--idle-timeout", "1h"]
    environment = clean_environment() | {
        "HOST": "127.0.0.1",
        "PORT": "0",
        "DATABASE_URL": database.url("unix"),
        "PLIMSOLL_ADMIN": "off",
    }
    child = children.start(name, command, environment=environment)
    deadline = time.monotonic() + START_SECONDS
    while (banner := LISTENING.search(child.log.read_text(errors="replace"))) is None:
        if not child.is_running() or time.monotonic() > deadline:
            raise Problem(f"{name} did not start:\n{child.last_words()}", "Its last words are above.")
        time.sleep(0.05)
    return int(banner[1])


def hold(children: Children, binary: Path, port: int, arguments: argparse.Namespace) -> Child:
    """Opens the connections and comes back when all are held; each has been served once."""
    runs = len(arguments.routes) * arguments.pairs * 2
    seconds = runs * (arguments.seconds + arguments.warmup + AROUND_SECONDS) + 30
    words = ["--hold", str(arguments.held), "--active", "0", "--hold-for", f"{seconds}s", "--sweep-depth", "4096"]
    url = f"http://127.0.0.1:{port}/json"
    child = children.start("holder", [str(binary), "load", *words, "--source", "127.0.0.0/26", "--json", url])
    began = said = time.monotonic()
    while "holding:" not in (log := child.log.read_text(errors="replace")):
        now = time.monotonic()
        if not child.is_running() or now - began > START_SECONDS + arguments.held / SLOWEST_OPENING:
            raise Problem(f"the connections were not opened:\n{child.last_words()}", "Its last words are above.")
        if now - said > REPORT_EVERY_SECONDS:
            said = now
            print(log.rstrip().rsplit("\n", 1)[-1], flush=True)
        time.sleep(0.2)
    return child


def compare(children: Children, binary: Path, ports: list[int], name: str, arguments: argparse.Namespace) -> Compared:
    """Pairs of runs, the order turned round from pair to pair."""
    loads: dict[int, dict[int, generator.Load]] = {port: {} for port in ports}
    for pair in range(arguments.pairs):
        for port in ports if pair % 2 == 0 else reversed(ports):
            url = f"http://127.0.0.1:{port}{ROUTES[name].path}"
            words = generator.command(binary, arguments.connections, url, arguments.seconds, arguments.warmup)
            loads[port][pair] = generator.run(children, words, arguments.seconds, arguments.warmup, lambda: None)
        print(f"{name}: pair {pair + 1} of {arguments.pairs}", flush=True)
    burdened, other = ({pair: load.requests_per_second for pair, load in loads[port].items()} for port in ports)
    ratio = ratio_spread(burdened, other)
    if ratio is None:
        raise Problem(f"no request for {name} was answered", "The servers' logs say why.")
    return Compared(
        route=name,
        burdened_per_second=spread(list(burdened.values())),
        other_per_second=spread(list(other.values())),
        ratio=ratio,
        burdened_p99_us=spread([load.p99_us for load in loads[ports[0]].values()]),
        other_p99_us=spread([load.p99_us for load in loads[ports[1]].values()]),
        errors=sum(load.errors + load.not_2xx for runs in loads.values() for load in runs.values()),
    )


def release(holder: Child) -> int:
    """Waits for the end of the hold and its sweep; gives the connections that were not there any more."""
    if not holder.has_ended(within=1800):
        raise Problem("the connections were not given up", "Is the server still answering?")
    report = holder.log.read_text(errors="replace")
    # Progress stands before the report, and what was lost is said behind it.
    said, _ = json.JSONDecoder().raw_decode(report[report.index("{") :])
    if said["cut_short"]:
        raise Problem(f"the hold was cut short: {said['cut_short']}", "Its processes may have been killed.")
    return int(said["lost"]) + int(said["unanswered"] or 0) + int(said["refused"])


def line(one: Compared) -> str:
    ratio = one.ratio
    return (
        f"{one.route}: {one.burdened_per_second.median:.0f} requests a second beside the burden, "
        f"{one.other_per_second.median:.0f} without: {ratio.median:.3f} of it ({ratio.least:.3f} to {ratio.most:.3f}); "
        f"p99 {one.burdened_p99_us.median:.0f} and {one.other_p99_us.median:.0f} µs; {one.errors} errors"
    )
