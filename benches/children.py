"""Processes that were started here, and their end.

**Invariant:** whatever was started is stopped by its own process id before the command ends, however it ends.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType

from .problem import Problem

PR_SET_PDEATHSIG = 1
# How long a process may take to end when asked, before it is made to.
PATIENCE_SECONDS = 15.0


@dataclass(frozen=True)
class Identity:
    """The user a process runs as, where that is another than ours."""

    user: int
    group: int


@dataclass
class Child:
    """One process, in a session of its own, so that Ctrl-C on the terminal reaches only us."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    stop_signal: signal.Signals

    @property
    def pid(self) -> int:
        return self.process.pid

    def is_running(self) -> bool:
        return self.process.poll() is None

    def has_ended(self, within: float) -> bool:
        """Waits for its end without collecting it, so that /proc still has its times."""
        deadline = time.monotonic() + within
        while os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def last_words(self, lines: int = 12) -> str:
        """The end of what it wrote, indented, for an error message."""
        text = self.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join(f"    {line}" for line in text) or "    (it wrote nothing)"

    def stop(self) -> None:
        """Asks the process to end, then makes its whole session end."""
        if self.is_running():
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                print(f"{self.name} (pid {self.pid}) did not stop when asked and is killed", file=sys.stderr)
        try:
            # Also what a wrapper left behind. The group has the child's own number, so that it is never anybody else's.
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


class Children:
    """All processes of a command, stopped in reverse order when the `with` block ends."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.running: list[Child] = []

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        identity: Identity | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> Child:
        log = self.logs / f"{name.replace('/', '-')}.log"
        try:
            with log.open("wb") as out:
                process = subprocess.Popen(
                    command,
                    env=dict(environment) if environment is not None else None,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    user=identity.user if identity else None,
                    group=identity.group if identity else None,
                    extra_groups=[] if identity else None,
                    preexec_fn=die_with_us(stop_signal),
                )
        except OSError as error:
            raise Problem(
                f"{name} cannot be started: {error}", "Look at its command; a relative path is taken from its folder."
            ) from error
        child = Child(name, process, log, stop_signal)
        self.running.append(child)
        return child

    def stop(self, child: Child) -> None:
        child.stop()
        self.running.remove(child)

    def __enter__(self) -> Children:
        signal.signal(signal.SIGTERM, interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A second Ctrl-C must not leave anything behind; what is done here has its own time limit.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        for child in reversed(self.running):
            child.stop()
        self.running.clear()
        signal.signal(signal.SIGINT, before)


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def die_with_us(stop_signal: signal.Signals) -> Callable[[], None]:
    """What a child does before it runs: it asks the kernel to end it when we are killed and cannot. It also raises its
    limit of open files, for several hundred connections."""
    libc = ctypes.CDLL(None, use_errno=True)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def prepare() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(stop_signal), 0, 0, 0)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    return prepare
