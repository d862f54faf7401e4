"""The service under callgrind: starts it, sends it its requests through the gate, and reads how much it executed.

**Invariant:** what is counted is the service's own instructions in user space, from its start to its end.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from .children import Child, Children
from .client import Client
from .gate import Gate
from .postgres import Postgres, free_port
from .problem import Problem
from .service import clean_environment
from .sleeper import Sleeper

START_SECONDS = 60.0


def check_valgrind() -> None:
    if shutil.which("valgrind") is None:
        raise Problem("valgrind is missing", "Debian, Ubuntu: apt-get install valgrind; Fedora: dnf install valgrind.")


class Counter:
    """Counts one binary's instructions in front of one database."""

    def __init__(self, children: Children, database: Postgres, binary: Path, folder: Path) -> None:
        self.children, self.database, self.binary, self.folder = children, database, binary, folder
        self.runs = 0

    def per_request(self, path: str, requests: int) -> float:
        """Instructions a request, with start and end subtracted."""
        return (self.total(path, 2 * requests) - self.total(path, requests)) / requests

    def total(self, path: str, requests: int) -> int:
        """Instructions of a whole run."""
        self.runs += 1
        counts = self.folder / f"callgrind.{self.runs}"
        socket_file = self.database.socket_folder / f".s.PGSQL.{self.database.port}"
        with (
            tempfile.TemporaryDirectory(prefix="plimsoll-gate-") as folder,
            Gate(Path(folder), self.database.port, str(socket_file)) as gate,
        ):
            port = free_port()
            gated = replace(self.database, socket_folder=Path(folder))
            child = self.start(port, gated.url("unix"), counts)
            with Sleeper(child.pid) as sleeper, connect(child, port, gate, sleeper) as client:
                for _ in range(requests + 1):
                    status, body = client.ask(path)
                    if status != 200:
                        text = body[:200].decode(errors="replace")
                        raise Problem(f"{path} was answered with {status}: {text}", f"Its log:\n{child.last_words()}")
            self.children.stop(child)
        return read_total(counts)

    def start(self, port: int, database_url: str, counts: Path) -> Child:
        environment = clean_environment() | {
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "DATABASE_URL": database_url,
            "DATABASE_MAX_CONN": "1",
            "PLIMSOLL_WORKERS": "1",
            "PLIMSOLL_ADMIN": "off",
            # Slow as it is here, no request shall be given up.
            "PLIMSOLL_REQUEST_DEADLINE": "60s",
        }
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={counts}", str(self.binary), "serve"]
        return self.children.start(f"callgrind-{self.runs}", command, environment=environment)


def connect(child: Child, port: int, gate: Gate, sleeper: Sleeper) -> Client:
    """The first connection, as soon as the service listens."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return Client(port, gate, sleeper)
        except ConnectionRefusedError:
            if not child.is_running() or time.monotonic() > deadline:
                raise Problem(
                    f"the service did not start under callgrind:\n{child.last_words()}", "Its log above says why."
                ) from None
            time.sleep(0.02)


def read_total(counts: Path) -> int:
    found = re.search(r"^(?:summary|totals): (\d+)", counts.read_text() if counts.exists() else "", re.MULTILINE)
    if found is None:
        raise Problem(f"callgrind left no total in {counts.name}", "Run the service under valgrind by hand to see why.")
    return int(found[1])
