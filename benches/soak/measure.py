"""Starts the house of a soak, sends it on its course, and reports.

**Invariant:** it ends by itself, or soon after Ctrl-C, and always with a report of what it saw.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import random
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .. import builds, machine
from ..children import Children
from ..problem import Problem
from ..targets import BUILT_IN
from . import report, schedule
from .answers import WrongAnswer
from .cluster import Cluster
from .course import Course
from .faults import Fault, choose
from .house import House
from .ledger import Ledger
from .report import Results
from .timeline import Timeline
from .truth import Truth

PR_SET_THP_DISABLE = 41
# For the connections that some faults open, and those of everyday life.
DESCRIPTORS_NEEDED = 4_096


def run(arguments: argparse.Namespace) -> int:
    planned = schedule.read_length(arguments.length)
    faults = choose(arguments.faults, arguments.processes)
    binary = Path(arguments.binary).resolve() if arguments.binary else builds.build(BUILT_IN["ours"])
    seed = arguments.seed if arguments.seed is not None else random.randrange(1_000_000)
    prepare()
    print(f"seed {seed}; {planned} s, a fault every {arguments.every} s", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="plimsoll-soak-") as logs,
        cluster_folder() as folder,
        Children(Path(logs)) as children,
    ):
        cluster = Cluster(children, folder)
        facts = machine.describe(cluster.version, command(arguments, seed))
        results = Results(facts, seed, planned, arguments.processes, Ledger(Timeline(), Truth()))
        go(House(children, binary, cluster, arguments.processes, results.ledger), results, faults, arguments.every)
    report.write(Path(arguments.out), results)
    print(report.summary(results))
    if results.failures():
        return 1
    return 0 if results.complete else 130


def go(house: House, results: Results, faults: dict[str, Fault], every: float) -> None:
    """The course, and the end of the service; what goes wrong stands in the results."""
    ledger = results.ledger
    try:
        asyncio.run(Course(house, results, faults, every).run())
    except (Problem, WrongAnswer) as trouble:
        ledger.complain(str(trouble))
        results.complete = False
    finally:
        house.cluster.hold_still(False)
    house.child.stop()
    if house.child.process.returncode != 0:
        ledger.complain(f"the service ended with {house.child.process.returncode} when it was stopped")
    results.log = house.log()


def command(arguments: argparse.Namespace, seed: int) -> list[str]:
    words = ["make", "soak", f"SOAK={arguments.length}", f"SOAK_SEED={seed}", f"SOAK_PROCESSES={arguments.processes}"]
    words.extend([f"SOAK_EVERY={arguments.every}"] if arguments.every != 30 else [])
    return words + ([f"SOAK_FAULTS={arguments.faults}"] if arguments.faults else [])


@contextlib.contextmanager
def cluster_folder() -> Iterator[Path]:
    """One that its owner, another user where we are root, may reach."""
    folder = Path(tempfile.mkdtemp(prefix="plimsoll-soak-pg-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def prepare() -> None:
    """Raises our limit of descriptors, and turns huge pages off for us and all that we start (prctl(2)): with them,
    memory goes in steps of 2 MiB whatever is used of it, and no drift of one in a hundred could be told."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS_NEEDED:
        raise Problem(f"only {hard} descriptors may be open", f"A soak needs {DESCRIPTORS_NEEDED}: ulimit -n says so.")
    if ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0:
        print("huge pages could not be turned off: memory will go in steps of 2 MiB", file=sys.stderr)
