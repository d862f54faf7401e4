"""The accepted counts, with what they depend on, and how far a new count is from them.

**Invariant:** counts of another kind of machine are never compared: they would differ with nothing changed.
"""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

from .machine import cpu_flags, rustc_version
from .problem import Problem

TOLERANCE = 0.02
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
class Baseline:
    """Instructions a request, by route."""

    facts: Facts
    instructions: dict[str, int]


@dataclass(frozen=True)
class Change:
    """A route's count, then and now."""

    name: str
    before: int
    now: int

    @property
    def ratio(self) -> float:
        return self.now / self.before - 1

    @property
    def is_too_large(self) -> bool:
        return abs(self.now - self.before) > TOLERANCE * self.before

    def describe(self) -> str:
        return f"{self.before} before, {self.now} now: {self.ratio:+.2%}"


def facts(requests: int) -> Facts:
    flags = cpu_flags()
    vectors = next((name for name in ("avx512bw", "avx2", "sse4_2") if name in flags), "other")
    # Valgrind shows its guest no more than AVX2.
    vectors = "avx2" if vectors == "avx512bw" else vectors
    return Facts(rustc_version(), platform.machine(), vectors, requests)


def read(path: Path) -> Baseline:
    try:
        document = json.loads(path.read_text())
        return Baseline(Facts(**document["facts"]), document["instructions"])
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


def change(before: Baseline, name: str, now: int | float) -> Change:
    if name not in before.instructions:
        raise Problem(f"the baseline has no count for {name}", ACCEPT)
    return Change(name, before.instructions[name], round(now))
