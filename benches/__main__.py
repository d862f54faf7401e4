"""The command line, as the Makefile calls it.

**Invariant:** defaults of a measurement stand in the Makefile, where they can be seen, and not here.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from . import burdened, instructions, steering, syscalls, throughput, upheaval
from .problem import Problem
from .soak import measure as soak
from .topologies import measure as topologies


def main() -> int:
    arguments = parse(sys.argv[1:])
    try:
        if not sys.platform.startswith("linux"):
            raise Problem(
                "CPU time is read from /proc, which only Linux has", "On another system, run it in a Linux container."
            )
        code: int = arguments.run(arguments)
        return code
    except Problem as problem:
        print(f"{arguments.instrument}: {problem}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"{arguments.instrument}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{arguments.instrument}: interrupted; all that was started is stopped", file=sys.stderr)
        return 130


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m benches", description="Measures servers; make calls it.")
    instruments = parser.add_subparsers(dest="instrument", required=True)
    bench = instruments.add_parser("throughput", help="compare servers under load (make bench)")
    bench.add_argument("--routes", nargs="+", required=True)
    bench.add_argument("--connections", nargs="+", type=positive, required=True)
    bench.add_argument("--targets", nargs="+", required=True, help="the first is what the others are divided by")
    bench.add_argument("--pairs", type=positive, required=True)
    bench.add_argument("--seconds", type=positive, required=True, help="of each run")
    bench.add_argument("--warmup", type=not_negative, required=True, help="seconds before each run")
    bench.add_argument("--yardstick", type=not_negative, required=True, help="seconds of pgbench around each cell")
    bench.add_argument("--name", help="results go to docs/results/NAME; default: local/ and the time")
    bench.add_argument("--out", help="results go to this folder")
    bench.set_defaults(run=throughput.run)
    add_topologies(instruments.add_parser("topologies", help="compare topologies (make compare-topologies)"))
    counts = instruments.add_parser("instructions", help="count what a request costs (make instructions)")
    counts.add_argument("--accept", action="store_true", help="write the baseline instead of comparing with it")
    counts.add_argument("--binary", help="count this one instead of building")
    counts.add_argument("--routes", nargs="+", choices=instructions.COUNTED)
    counts.add_argument(
        "--repeat", type=positive, default=1, help="count each route so often and say how well it repeats"
    )
    counts.set_defaults(run=instructions.run)
    calls = instruments.add_parser("syscalls", help="count a request's system calls (make syscalls)")
    calls.add_argument("--binary", help="count this one instead of building")
    calls.add_argument("--routes", nargs="+", choices=instructions.COUNTED)
    calls.set_defaults(run=syscalls.run)
    burden = instruments.add_parser("burdened", help="compare a server that holds a million with one that does not")
    burden.add_argument("--held", type=positive, required=True, help="connections that one of the servers holds")
    burden.add_argument("--connections", type=positive, required=True, help="active ones, on either")
    burden.add_argument("--routes", nargs="+", required=True)
    burden.add_argument("--pairs", type=positive, required=True)
    burden.add_argument("--seconds", type=positive, required=True, help="of each run")
    burden.add_argument("--warmup", type=not_negative, required=True, help="seconds before each run")
    burden.add_argument("--processes", type=positive, help="default: what the doctor says, and a tenth more")
    burden.add_argument("--binary", help="use this one instead of building")
    burden.add_argument("--out", help="results go to this folder")
    burden.set_defaults(run=burdened.run)
    trouble = instruments.add_parser("upheaval", help="kill, reload and stop a service under load (make upheaval)")
    trouble.add_argument("--kills", type=positive, required=True)
    trouble.add_argument("--reloads", type=positive, required=True)
    trouble.add_argument("--stops", type=positive, required=True)
    trouble.add_argument("--processes", type=positive, required=True)
    trouble.add_argument("--binary", help="use this one instead of building")
    trouble.add_argument("--out", help="results go to this folder")
    trouble.set_defaults(run=upheaval.run)
    add_soak(instruments.add_parser("soak", help="mixed load, a random fault every half minute (make soak)"))
    add_steering(instruments.add_parser("steering", help="let a pool find its size as delays change (make steering)"))
    return parser.parse_args(words)


def add_topologies(compare: argparse.ArgumentParser) -> None:
    compare.add_argument("--topologies", nargs="+", required=True)
    compare.add_argument("--workloads", nargs="+", required=True)
    compare.add_argument("--connections", nargs="+", type=positive, required=True, help="all of them active")
    compare.add_argument("--held-workloads", nargs="*", required=True, help="over the fewest, beside idle ones")
    compare.add_argument("--held", type=not_negative, required=True, help="idle connections")
    compare.add_argument("--rounds", type=positive, required=True)
    compare.add_argument("--seconds", type=positive, required=True, help="of each run")
    compare.add_argument("--warmup", type=not_negative, required=True, help="seconds before each run")
    compare.add_argument("--binary", help="measure this one instead of building")
    compare.add_argument("--name", help="results go to docs/results/NAME; default: local/ and the time")
    compare.add_argument("--out", help="results go to this folder")
    compare.set_defaults(run=topologies.run)


def add_steering(steer: argparse.ArgumentParser) -> None:
    steer.add_argument("--bounds", required=True, help="database connections for each core, as in 3-6")
    steer.add_argument("--rtt", type=float, required=True, help="milliseconds of the step")
    steer.add_argument("--route", default="db")
    steer.add_argument("--dispatch", default="exclusive", choices=["exclusive", "pipelined"])
    steer.add_argument("--connections", type=positive, required=True)
    steer.add_argument("--rounds", type=positive, required=True)
    steer.add_argument("--seconds", type=positive, required=True, help="of each phase of the pool that finds its size")
    steer.add_argument("--seconds-fixed", type=positive, required=True, help="of each phase of a fixed pool")
    steer.add_argument("--binary", help="use this one instead of building")
    steer.add_argument("--out", help="results go to this folder")
    steer.set_defaults(run=steering.run)


def add_soak(soaking: argparse.ArgumentParser) -> None:
    soaking.add_argument("--length", required=True, help="how long: 90s, 30m, 8h")
    soaking.add_argument(
        "--every", type=positive, required=True, help="seconds from the beginning of a fault to the next"
    )
    soaking.add_argument("--processes", type=positive, required=True, help="of the service")
    soaking.add_argument("--seed", type=not_negative, help="repeats a run's faults and clients; default: any")
    soaking.add_argument("--faults", help="only these, as in lock,hang")
    soaking.add_argument("--binary", help="use this one instead of building")
    soaking.add_argument("--out", required=True, help="the report goes to this folder")
    soaking.set_defaults(run=soak.run)


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def not_negative(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("at least 0")
    return number


if __name__ == "__main__":
    sys.exit(main())
