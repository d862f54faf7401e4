"""Our own binaries: of the working tree, of an older commit, built in some other way, and the one that is counted.

**Invariant:** a binary that is measured lies in a place of its own, so that building goes on beside a run without
touching it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .problem import Problem
from .targets import Target

ROOT = Path(__file__).resolve().parent.parent
# What is counted runs on any processor of its kind.
PORTABLE = {"x86_64": "x86-64"}


def build(target: Target) -> Path:
    """The binary of a target of ours."""
    folder = target_folder() / "bench"
    (folder / "binaries").mkdir(parents=True, exist_ok=True)
    if target.commit is None:
        plain = not target.build_flags and not target.build_env
        made = cargo(ROOT, target_folder() if plain else folder / "build", target.build_env, target.build_flags)
        return keep(made, folder / "binaries" / f"tree-{how(target)}")
    commit = resolve(target.commit)
    kept = folder / "binaries" / f"{commit[:12]}-{how(target)}"
    if not kept.exists():
        tree = folder / "tree"
        check_out(tree, commit)
        try:
            keep(cargo(tree, folder / "build", target.build_env, target.build_flags), kept)
        finally:
            git("worktree", "remove", "--force", str(tree))
    return kept


def build_counted() -> Path:
    """The binary for counts: the release build, portable whatever the environment says. Thin LTO was tried for it: it
    takes longer (175 s of CPU time against 125) and executes a fifth more."""
    flags = f"-Ctarget-cpu={PORTABLE.get(platform.machine(), 'generic')}"
    return cargo(ROOT, target_folder() / "bench/counted", {"RUSTFLAGS": flags}, ())


def cargo(tree: Path, target_folder: Path, environment: Mapping[str, str], flags: tuple[str, ...]) -> Path:
    """Builds, with cargo's own progress on the terminal, and returns where the binary lies."""
    chosen = flags if "--profile" in flags else ("--release", *flags)
    done = subprocess.run(
        ["cargo", "build", "--locked", "--bin", "plimsoll", *chosen],
        cwd=tree,
        env={**os.environ, "CARGO_TARGET_DIR": str(target_folder), **environment},
        check=False,
    )
    if done.returncode != 0:
        raise Problem(f"cargo could not build {tree}", "Its message is above.")
    profile = flags[flags.index("--profile") + 1] if "--profile" in flags else "release"
    return target_folder / profile / "plimsoll"


def keep(made: Path, kept: Path) -> Path:
    """Copies a binary beside its final place and then into it, so that one that runs is never written to."""
    fresh = kept.with_suffix(".new")
    shutil.copy2(made, fresh)
    fresh.replace(kept)
    return kept


def how(target: Target) -> str:
    """A short name for the way of building."""
    described = json.dumps([target.build_flags, target.build_env], sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()[:8]


def resolve(reference: str) -> str:
    found = git("rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}", check=False)
    if not found:
        raise Problem(
            f"there is no commit {reference}", "git log --oneline lists them; a shallow clone has only the newest."
        )
    return found


def check_out(tree: Path, commit: str) -> None:
    """A worktree in the same place each time, so that cargo recognises the crates it has built."""
    git("worktree", "remove", "--force", str(tree), check=False)
    git("worktree", "prune")
    git("worktree", "add", "--detach", str(tree), commit)


def git(*words: str, check: bool = True) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise Problem(f"git {words[0]} failed: {done.stderr.strip()}", "It is used to build older commits.")
    return done.stdout.strip() if done.returncode == 0 else ""


def target_folder() -> Path:
    """Where cargo puts what it builds, whoever decided that."""
    done = subprocess.run(
        ["cargo", "metadata", "--format-version=1", "--no-deps", "--locked"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Problem(
            f"cargo does not know this folder:\n{done.stderr.strip()}", "scripts/prepare says what is missing."
        )
    return Path(json.loads(done.stdout)["target_directory"])
