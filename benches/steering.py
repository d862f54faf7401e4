"""A pool that finds its own size while the way to PostgreSQL changes, beside every fixed one (make steering).

**Invariant:** the load never stops while the delay changes; fixed pools are measured behind the same wire and delays.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from . import builds, machine, postgres
from .children import Child, Children
from .pairing import Spread, spread
from .plan import ROUTES
from .problem import Problem
from .service import Service, clean_environment, wait_until_answering
from .targets import Target

LOOK_SECONDS = 0.25
# What is left of a phase when the rate that counts is read: the second half.
SETTLED_PART = 0.5
# Before the first phase of a server, for its connections to open.
WARMUP_SECONDS = 2
ANSWER_SECONDS = 5.0


@dataclass(frozen=True)
class Look:
    """What the service said of itself at one moment."""

    at: float
    size: int
    answered: int


@dataclass(frozen=True)
class Phase:
    """A while at one delay."""

    rtt_ms: float
    requests_per_second: float
    # From the step to the last change of the size.
    settled_after: float
    size: int
    looks: list[Look]


@dataclass(frozen=True)
class Verdict:
    """One delay: what the pool came to, beside the best of the fixed ones in the same round."""

    rtt_ms: float
    ratio: Spread
    settled_after: Spread
    sizes: list[int]
    best_size: int


class Wire:
    """A wire to PostgreSQL whose length changes while bytes are on it."""

    def __init__(self, binary: Path, port: int) -> None:
        command = [str(binary), "delay-part", "--to", f"127.0.0.1:{port}", "--one-way", "0ms"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.pipe(self.process.stdout).readline().rsplit(":", 1)[1])

    @staticmethod
    def pipe(pipe: IO[str] | None) -> IO[str]:
        if pipe is None:
            raise Problem("the wire has no pipe", "This cannot happen.")
        return pipe

    def set_rtt(self, milliseconds: float) -> None:
        orders = self.pipe(self.process.stdin)
        orders.write(f"{milliseconds / 2}ms\n")
        orders.flush()

    def close(self) -> None:
        self.pipe(self.process.stdin).close()
        self.process.wait(timeout=10)


@dataclass
class Ground:
    """What stays the same over all runs."""

    arguments: argparse.Namespace
    binary: Path
    children: Children
    wire: Wire
    database: str


def run(arguments: argparse.Namespace) -> int:
    binary = Path(arguments.binary).resolve() if arguments.binary else builds.build(Target("ours"))
    cores = len(os.sched_getaffinity(0))
    least, most = (round(float(bound) * cores) for bound in arguments.bounds.split("-"))
    rounds: list[tuple[list[Phase], dict[int, list[Phase]]]] = []
    with tempfile.TemporaryDirectory(prefix="plimsoll-steering-") as folder, Children(Path(folder)) as children:
        with postgres.serve(children) as database, contextlib.closing(Wire(binary, database.port)) as wire:
            facts = machine.describe(database.version, ["make", "steering"])
            url = database.url("tcp").replace(f":{database.port}/", f":{wire.port}/")
            ground = Ground(arguments, binary, children, wire, url)
            for number in range(arguments.rounds):
                rounds.append(play(ground, range(least, most + 1), cores, number))
    verdicts = [judge(rounds, index, rtt) for index, rtt in enumerate(steps(arguments))]
    for verdict in verdicts:
        print(line(verdict), flush=True)
    if arguments.out:
        write(Path(arguments.out), arguments, facts, rounds, verdicts)
    return 0


def steps(arguments: argparse.Namespace) -> list[float]:
    """Near, far, and near again."""
    return [0.0, arguments.rtt, 0.0]


def play(ground: Ground, sizes: range, cores: int, number: int) -> tuple[list[Phase], dict[int, list[Phase]]]:
    """One round: the pool that finds its size, and each fixed one, in an order that turns round."""
    arguments = ground.arguments
    steered: list[Phase] = []
    fixed: dict[int, list[Phase]] = {}
    names: list[int | None] = [None, *sizes]
    for size in names if number % 2 == 0 else list(reversed(names)):
        if size is None:
            flags = ["--pool-per-core", "auto", "--pool-bounds", arguments.bounds]
            steered = through_steps(ground, flags, steps(arguments), arguments.seconds)
        else:
            flags = ["--pool-per-core", str(size / cores)]
            fixed[size] = through_steps(ground, flags, [0.0, arguments.rtt], arguments.seconds_fixed)
        told = steered if size is None else fixed[size]
        rates = ", ".join(f"{phase.requests_per_second:.0f} a second at {phase.rtt_ms} ms" for phase in told)
        print(f"round {number + 1} of {arguments.rounds}, {size or 'auto'}: {rates}", flush=True)
    return steered, fixed


def through_steps(ground: Ground, flags: list[str], delays: list[float], seconds: int) -> list[Phase]:
    """A server under load while the delay changes."""
    ground.wire.set_rtt(delays[0])
    with serving(ground, flags) as (url, admin):
        total = WARMUP_SECONDS + seconds * len(delays)
        words = ["load", "-t2", f"-c{ground.arguments.connections}", f"-d{total + 5}s", "--json", url]
        load = ground.children.start("load", [str(ground.binary), *words])
        time.sleep(WARMUP_SECONDS)
        phases = [phase(ground, admin, rtt, seconds) for rtt in delays]
        if not load.is_running():
            raise Problem(f"the load ended before its time:\n{load.last_words()}", "Its last words are above.")
        ground.children.stop(load)
    return phases


@contextlib.contextmanager
def serving(ground: Ground, flags: list[str]) -> Iterator[tuple[str, int]]:
    port, admin = postgres.free_port(), postgres.free_port()
    environment = clean_environment() | {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DATABASE_URL": ground.database,
        "PLIMSOLL_ADMIN": f"127.0.0.1:{admin}",
        "PLIMSOLL_ADMIN_SOCKET": "off",
    }
    arguments = ground.arguments
    command = [str(ground.binary), "serve", "--dispatch", arguments.dispatch, *flags]
    child: Child = ground.children.start("serve", command, environment=environment)
    base = f"http://127.0.0.1:{port}"
    route = ROUTES[arguments.route]
    wait_until_answering(Service(Target("ours"), child, base), route)
    yield base + route.path, admin
    ground.children.stop(child)


def phase(ground: Ground, admin: int, rtt: float, seconds: int) -> Phase:
    """Sets the delay and looks on."""
    ground.wire.set_rtt(rtt)
    began = time.monotonic()
    looks = [look(admin, began)]
    ticks = threading.Event()
    while looks[-1].at < seconds:
        ticks.wait(LOOK_SECONDS)
        looks.append(look(admin, began))
    settled = next(one for one in looks if one.at >= seconds * SETTLED_PART)
    last = looks[-1]
    pairs = zip(looks, looks[1:], strict=False)
    changes = [after.at for before, after in pairs if before.size != after.size]
    rate = (last.answered - settled.answered) / (last.at - settled.at)
    return Phase(rtt, rate, changes[-1] if changes else 0.0, last.size, looks)


def look(admin: int, began: float) -> Look:
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/status.json", timeout=ANSWER_SECONDS) as answer:
        said = json.load(answer)
    answered = sum(count for classes in said["totals"]["answered"].values() for count in classes.values())
    return Look(time.monotonic() - began, said["now"]["pool"]["max_size"], answered)


def judge(rounds: list[tuple[list[Phase], dict[int, list[Phase]]]], index: int, rtt: float) -> Verdict:
    """The best size is that of all rounds together: of each round's highest, most is chance."""
    rates: dict[int, list[float]] = {}
    for _, fixed in rounds:
        for size, phases in fixed.items():
            rates.setdefault(size, []).extend(phase.requests_per_second for phase in phases if phase.rtt_ms == rtt)
    best = max(rates, key=lambda size: statistics.median(rates[size]))
    steered = [phases[index] for phases, _ in rounds]
    return Verdict(
        rtt_ms=rtt,
        ratio=spread([phase.requests_per_second / rate for phase, rate in zip(steered, rates[best], strict=True)]),
        settled_after=spread([phase.settled_after for phase in steered]),
        sizes=[phase.size for phase in steered],
        best_size=best,
    )


def line(verdict: Verdict) -> str:
    ratio, settled = verdict.ratio, verdict.settled_after
    return (
        f"at {verdict.rtt_ms} ms: {ratio.median:.3f} of the best fixed pool ({ratio.least:.3f} to {ratio.most:.3f}), "
        f"settled after {settled.median:.1f} s ({settled.least:.1f} to {settled.most:.1f}), "
        f"sizes {verdict.sizes}, best {verdict.best_size}"
    )


def write(
    out: Path,
    arguments: argparse.Namespace,
    facts: dict[str, str | int | bool],
    rounds: list[tuple[list[Phase], dict[int, list[Phase]]]],
    verdicts: list[Verdict],
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    kept = {
        "machine": facts,
        "bounds": arguments.bounds,
        "dispatch": arguments.dispatch,
        "route": arguments.route,
        "connections": arguments.connections,
        "seconds": [arguments.seconds, arguments.seconds_fixed],
        "verdicts": [asdict(verdict) for verdict in verdicts],
        "rounds": [
            {
                "auto": [asdict(phase) for phase in steered],
                "fixed": {size: [asdict(phase) | {"looks": []} for phase in phases] for size, phases in fixed.items()},
            }
            for steered, fixed in rounds
        ],
    }
    (out / "steering.json").write_text(json.dumps(kept, indent=1) + "\n")
