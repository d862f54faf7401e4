"""What is compared: our build, an older one, another setting of ours, or any other server.

Some targets are always there (`BUILT_IN`), `commit:REF` is any commit of ours, and bench-targets.toml names the rest;
its format stands in targets.example.toml.

**Invariant:** a target is only described here; nothing is built or started, and a key that means nothing is refused.
"""

from __future__ import annotations

import ipaddress
import shlex
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .plan import ROUTES
from .problem import Problem

FILE = Path(__file__).resolve().parent.parent / "bench-targets.toml"
EXAMPLE = "benches/targets.example.toml shows what a target looks like."
WAYS = ("unix", "tcp")


@dataclass(frozen=True)
class Target:
    """One server to measure. Without `command` it is ours."""

    name: str
    database: str = "unix"
    flags: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    # Ours alone: which commit, and how to build it.
    commit: str | None = None
    build_flags: tuple[str, ...] = ()
    build_env: dict[str, str] = field(default_factory=dict)
    # Other servers alone.
    command: tuple[str, ...] = ()
    folder: str | None = None
    url: str = "http://127.0.0.1:{port}"
    port: int | None = None
    paths: dict[str, str] = field(default_factory=dict)

    @property
    def is_ours(self) -> bool:
        return not self.command


BUILT_IN = {
    target.name: target
    for target in (
        Target("ours"),
        Target("ours-tcp", database="tcp"),
        Target("exclusive", flags=("--dispatch", "exclusive")),
        Target("exclusive-tcp", database="tcp", flags=("--dispatch", "exclusive")),
        Target("direct", flags=("--driver", "direct")),
        Target("direct-tcp", database="tcp", flags=("--driver", "direct")),
    )
}


def choose(names: Sequence[str], file: Path = FILE) -> list[Target]:
    """The targets of these names, in this order."""
    known = BUILT_IN | (read(file.read_text()) if file.exists() else {})
    chosen = []
    for name in names:
        if name.startswith("commit:"):
            chosen.append(Target(name, commit=name.removeprefix("commit:")))
        elif name in known:
            chosen.append(known[name])
        else:
            raise Problem(
                f"there is no target {name}; known are {', '.join(known)}, and commit:REF",
                f"{file.name} is where others are named; {EXAMPLE}",
            )
    if len({target.name for target in chosen}) < len(chosen):
        raise Problem("a target is named twice", "Give one of them another name in bench-targets.toml.")
    return chosen


def read(text: str) -> dict[str, Target]:
    """The targets of a file."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Problem(f"bench-targets.toml cannot be read: {error}", EXAMPLE) from error
    if stray := document.keys() - {"targets"}:
        raise Problem(
            f"bench-targets.toml has a key {min(stray)}", f"Targets are tables named [targets.NAME]; {EXAMPLE}"
        )
    return {name: read_one(name, table) for name, table in document.get("targets", {}).items()}


def read_one(name: str, table: dict[str, Any]) -> Target:
    allowed = {entry.name for entry in fields(Target)} - {"name"}
    if stray := table.keys() - allowed:
        raise Problem(f"target {name} has a key {min(stray)}; known are {', '.join(sorted(allowed))}", EXAMPLE)
    if name in BUILT_IN:
        raise Problem(f"{name} is a target that is always there", "Name yours otherwise.")
    values = dict(table)
    for key in ("flags", "build_flags", "command"):
        if key in values:
            words = values[key]
            values[key] = tuple(shlex.split(words) if isinstance(words, str) else map(str, words))
    for key in ("env", "build_env", "paths"):
        if key in values:
            values[key] = {inner: str(value) for inner, value in values[key].items()}
    target = Target(name, **values)
    check(target)
    return target


def check(target: Target) -> None:
    """Refuses what contradicts itself, and whatever would load another machine."""
    if target.database not in WAYS:
        raise Problem(f"target {target.name}: database is {target.database!r}", "It is unix or tcp.")
    ours_alone = target.commit or target.build_flags or target.build_env
    if target.command and ours_alone:
        raise Problem(
            f"target {target.name} has a command, and says how to build ours",
            "commit, build_flags and build_env are ours.",
        )
    if stray := target.paths.keys() - ROUTES.keys():
        raise Problem(f"target {target.name} has a path for {min(stray)}", f"Routes are {', '.join(ROUTES)}.")
    check_loopback(target.name, target.url.replace("{port}", str(target.port or 1)))


def check_loopback(name: str, url: str) -> None:
    """Load is for this machine alone."""
    host = urlsplit(url).hostname or ""
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise Problem(
            f"target {name} is at {host or url}", "Only this machine's own addresses are loaded: 127.0.0.1 or [::1]."
        )


def fill(template: str, values: dict[str, str]) -> str:
    """Puts values in place of {name}; other braces stay as they are."""
    for key, value in values.items():
        template = template.replace(f"{{{key}}}", value)
    return template
