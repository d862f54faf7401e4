"""What this machine is: the facts without which a figure says nothing.

**Invariant:** a fact that cannot be had is `unknown`, and stops no measurement.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def describe(postgres_version: str, command: list[str]) -> dict[str, str | int | bool]:
    """The facts that go into the results."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": processor(),
        "kernel": platform.release(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "commit": said(["git", "rev-parse", "HEAD"]),
        "dirty": said(["git", "status", "--porcelain"]) not in ("", "unknown"),
        "rustc": rustc_version(),
        "postgresql": postgres_version,
        "wrk": wrk_version(),
        "command": " ".join(command),
    }


def processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def cpu_flags() -> set[str]:
    found = re.search(r"^flags\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return set(found[1].split()) if found else set()


def rustc_version() -> str:
    return said(["rustc", "--version"])


def wrk_version() -> str:
    # wrk says its version with its usage, on an exit code of 1.
    found = re.search(r"wrk (\S+)", said(["wrk", "-v"]))
    return found[1] if found else "unknown"


def load_average() -> float:
    return os.getloadavg()[0]


def said(command: list[str]) -> str:
    """What a command prints on both its outputs."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return (done.stdout + done.stderr).strip() if done.returncode == 0 or done.stdout else "unknown"
