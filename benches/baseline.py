"""The accepted counts, with what they depend on, and how far a new count is from them.

**Invariant:** instructions of another kind of machine are never compared: they would differ with nothing changed.
"""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

from .machine import cpu_flags, rustc_version
from .problem import Problem

# How far instructions may move, up or down.
TOLERANCE = 0.02
# How far allocations may rise. They repeat better, but a buffer that grows now and then counts as part of one.
MOST_MORE_ALLOCATIONS = 0.5
ACCEPT = "make instructions ACCEPT=1 counts anew and writes the baseline."


@dataclass(frozen=True)
class Facts:
    """What a count depends on beside the code."""

    rustc: str
    architecture: str
    # memchr and the C library choose their routines by what the processor can do.
    vectors: str
    requests: int


@dataclass(frozen=True)
class Cost:
    """What one request of a route costs."""

    instructions: int
    allocations: float


@dataclass(frozen=True)
class Baseline:
    """What a request costs, by route."""

    facts: Facts
    instructions: dict[str, int]
    allocations: dict[str, float]


@dataclass(frozen=True)
class Change:
    """A route's cost, then and now."""

    name: str
    before: Cost
    now: Cost

    @property
    def complaints(self) -> list[str]:
        """What may not go in unseen."""
        found = []
        if abs(self.now.instructions - self.before.instructions) > TOLERANCE * self.before.instructions:
            found.append(f"instructions: {self.describe_instructions()}, more than {TOLERANCE:.0%}")
        if self.now.allocations - self.before.allocations > MOST_MORE_ALLOCATIONS:
            found.append(f"allocations: {self.describe_allocations()}, more than {MOST_MORE_ALLOCATIONS} a request")
        return found

    def describe_instructions(self) -> str:
        before, now = self.before.instructions, self.now.instructions
        return f"{before} before, {now} now: {now / before - 1:+.2%}"

    def describe_allocations(self) -> str:
        before, now = self.before.allocations, self.now.allocations
        return f"{before:.1f} before, {now:.1f} now: {now - before:+.1f}"


def facts(requests: int) -> Facts:
    flags = cpu_flags()
    vectors = next((name for name in ("avx512bw", "avx2", "sse4_2") if name in flags), "other")
    # Valgrind shows its guest no more than AVX2.
    vectors = "avx2" if vectors == "avx512bw" else vectors
    return Facts(rustc_version(), platform.machine(), vectors, requests)


def read(path: Path) -> Baseline:
    try:
        document = json.loads(path.read_text())
        return Baseline(Facts(**document["facts"]), document["instructions"], document["allocations"])
    except FileNotFoundError:
        raise Problem(f"there is no {path.name} to compare with", ACCEPT) from None
    except (ValueError, KeyError, TypeError) as error:
        raise Problem(f"{path.name} cannot be read: {error}", ACCEPT) from error


def write(path: Path, baseline: Baseline) -> None:
    path.write_text(json.dumps(asdict(baseline), indent=2) + "\n")


def check_comparable(before: Baseline, now: Facts) -> None:
    for what, then, here in (
        ("architecture", before.facts.architecture, now.architecture),
        ("vector instructions", before.facts.vectors, now.vectors),
        ("requests", before.facts.requests, now.requests),
        ("Rust", before.facts.rustc, now.rustc),
    ):
        if then != here:
            raise Problem(f"the baseline was counted with another {what}: {then}; here it is {here}", ACCEPT)


def change(before: Baseline, name: str, now: Cost) -> Change:
    if name not in before.instructions or name not in before.allocations:
        raise Problem(f"the baseline has no count for {name}", ACCEPT)
    return Change(name, Cost(before.instructions[name], before.allocations[name]), now)
