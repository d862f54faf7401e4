"""Kills, reloads and stops a service of several processes under load, and accounts for every request (make upheaval).

**Invariant:** a request that was sent on an open connection and not answered is a failure, unless the process that
held the connection was killed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from . import builds, machine, postgres
from .children import Child, Children
from .keepalive import Clients
from .ownership import children_of, client_ports
from .problem import Problem
from .service import clean_environment
from .stand import LISTENING
from .targets import BUILT_IN

START_SECONDS = 60.0
PATHS = ["/json", "/db", "/queries?queries=3", "/plaintext"]
CLIENTS = 64
THINK_SECONDS = 0.2


@dataclass(frozen=True)
class Chapter:
    """One kind of upheaval, and what became of the requests meanwhile."""

    name: str
    times: int
    seconds: float
    answered: int
    not_ok: int
    lost_with_their_process: int
    unanswered: int
    refused_attempts: int
    failures: list[str]


class House:
    """The service of several processes that all of it happens to."""

    def __init__(self, children: Children, binary: Path, database_url: str, processes: int) -> None:
        self.children, self.binary, self.processes = children, binary, processes
        self.port = postgres.free_port()
        self.environment = clean_environment() | {
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "DATABASE_URL": database_url,
            "PLIMSOLL_ADMIN": "off",
            "PLIMSOLL_PROCESSES": str(processes),
            "PLIMSOLL_WORKERS": "1",
        }
        self.starts = 0
        self.child = self.start()

    def start(self) -> Child:
        self.starts += 1
        child = self.children.start(f"service-{self.starts}", [str(self.binary), "serve"], environment=self.environment)
        deadline = time.monotonic() + START_SECONDS
        while LISTENING.search(child.log.read_text(errors="replace")) is None:
            if not child.is_running() or time.monotonic() > deadline:
                raise Problem(f"the service did not start:\n{child.last_words()}", "Its last words are above.")
            time.sleep(0.02)
        return child

    def pids(self) -> list[int]:
        return children_of(self.child.pid)


async def kills(house: House, clients: Clients, times: int) -> tuple[int, list[str]]:
    """Kills a random child each second; gives the number of requests that went with them, and what else failed."""
    dice = random.Random(1)
    lost, failures = 0, []
    for _ in range(times):
        await until(lambda: len(house.pids()) == house.processes, "all processes to run")
        victim = dice.choice(house.pids())
        before = len(clients.account.unanswered)
        # Held still, so that what it holds is known when it dies.
        os.kill(victim, signal.SIGSTOP)
        held = client_ports(victim, house.port)
        os.kill(victim, signal.SIGKILL)
        await asyncio.sleep(1.0)
        for port, how in clients.account.unanswered[before:]:
            if port in held:
                lost += 1
            else:
                failures.append(f"a connection that process {victim} did not hold failed as it was killed: {how}")
    return lost, failures


async def reloads(house: House, clients: Clients, times: int) -> tuple[int, list[str]]:
    """Replaces all processes, one after the other, again and again."""
    for _ in range(times):
        before = set(house.pids())
        os.kill(house.child.pid, signal.SIGHUP)
        await until(
            lambda before=before: len(pids := set(house.pids())) == house.processes and not pids & before,
            "all processes to be replaced",
        )
    failures = [f"a request went unanswered in a reload: {how}" for _, how in clients.account.unanswered]
    refused = [f"{clients.account.refused} connection attempts were refused"] if clients.account.refused else []
    return 0, failures + refused


async def stops(house: House, clients: Clients, times: int) -> tuple[int, list[str]]:
    """Stops the service and starts it again; between the two, nobody listens."""
    failures = []
    for _ in range(times):
        answered = clients.account.answered
        await until(lambda answered=answered: clients.account.answered > answered + 10 * CLIENTS, "the load to flow")
        os.kill(house.child.pid, signal.SIGTERM)
        await until(lambda: not house.child.is_running(), "the service to end")
        if house.child.process.returncode != 0:
            failures.append(f"a stop ended with exit code {house.child.process.returncode}")
        house.child = house.start()
    return 0, failures + [f"a request went unanswered in a stop: {how}" for _, how in clients.account.unanswered]


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise Problem(f"waited {START_SECONDS:.0f} s in vain for {what}", "The service's log says why.")
        await asyncio.sleep(0.005)


CHAPTERS = {"kills": kills, "reloads": reloads, "stops": stops}


async def tell(name: str, times: int, house: House) -> Chapter:
    clients = Clients(house.port, PATHS, CLIENTS, THINK_SECONDS)
    clients.start()
    began = time.monotonic()
    await until(lambda: clients.account.answered > 10 * CLIENTS, "the load to flow")
    lost, failures = await CHAPTERS[name](house, clients, times)
    seconds = time.monotonic() - began
    await clients.stop()
    account = clients.account
    if account.not_ok:
        failures.append(f"{account.not_ok} answers were not 200: {dict(account.statuses)}")
    return Chapter(
        name=name,
        times=times,
        seconds=round(seconds, 1),
        answered=account.answered,
        not_ok=account.not_ok,
        lost_with_their_process=lost,
        unanswered=len(account.unanswered) - lost,
        refused_attempts=account.refused,
        failures=failures,
    )


def run(arguments: argparse.Namespace) -> int:
    binary = Path(arguments.binary) if arguments.binary else builds.build(BUILT_IN["ours"])
    chapters = []
    with tempfile.TemporaryDirectory(prefix="plimsoll-upheaval-") as logs, Children(Path(logs)) as children:
        with postgres.serve(children) as database:
            description = machine.describe(database.version, ["make", "upheaval"])
            for name in CHAPTERS:
                times = getattr(arguments, name)
                house = House(children, binary, database.url("unix"), arguments.processes)
                chapter = asyncio.run(tell(name, times, house))
                children.stop(house.child)
                chapters.append(chapter)
                print(line(chapter), flush=True)
                for failure in chapter.failures[:10]:
                    print(f"  {failure}", flush=True)
    if arguments.out:
        folder = Path(arguments.out)
        folder.mkdir(parents=True, exist_ok=True)
        result = {"machine": description, "chapters": [asdict(chapter) for chapter in chapters]}
        (folder / "upheaval.json").write_text(json.dumps(result, indent=1) + "\n")
    return 1 if any(chapter.failures for chapter in chapters) else 0


def line(chapter: Chapter) -> str:
    return (
        f"{chapter.times} {chapter.name} in {chapter.seconds:.0f} s: {chapter.answered} requests answered, "
        f"{chapter.lost_with_their_process} lost with the process that was killed, "
        f"{chapter.unanswered} unanswered otherwise, {chapter.refused_attempts} connection attempts refused"
    )
