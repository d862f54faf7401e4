"""The service under callgrind: starts it, sends it its requests through the gate, and reads what it executed.

**Invariant:** what is counted is the service's own instructions in user space, and its own calls of the allocator, from
its start to its end.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from . import callgrind_file
from .callgrind_file import Counts
from .children import Child, Children
from .client import Client
from .gate import Gate
from .postgres import Postgres
from .problem import Problem
from .service import clean_environment
from .sleeper import Sleeper

START_SECONDS = 60.0
# A line of the service's banner.
LISTENING = re.compile(r"listening +http://127\.0\.0\.1:(\d+)")


def check_valgrind() -> None:
    if shutil.which("valgrind") is None:
        raise Problem("valgrind is missing", "Debian, Ubuntu: apt-get install valgrind; Fedora: dnf install valgrind.")


class Counter:
    """Counts what one binary executes in front of one database."""

    def __init__(self, children: Children, database: Postgres, binary: Path, folder: Path) -> None:
        self.children, self.database, self.binary, self.folder = children, database, binary, folder
        self.runs = 0

    def per_request(self, path: str, requests: int) -> Counts:
        """What a request costs, with start and end subtracted."""
        more, fewer = self.total(path, 2 * requests), self.total(path, requests)
        return Counts(
            (more.instructions - fewer.instructions) / requests, (more.allocations - fewer.allocations) / requests
        )

    def total(self, path: str, requests: int) -> Counts:
        """The counts of a whole run."""
        self.runs += 1
        counts = self.folder / f"callgrind.{self.runs}"
        socket_file = self.database.socket_folder / f".s.PGSQL.{self.database.port}"
        with (
            tempfile.TemporaryDirectory(prefix="plimsoll-gate-") as folder,
            Gate(Path(folder), self.database.port, str(socket_file)) as gate,
        ):
            gated = replace(self.database, socket_folder=Path(folder))
            child = self.start(gated.url("unix"), counts)
            port = wait_until_listening(child)
            with Sleeper(child.pid) as sleeper, Client(port, gate, sleeper) as client:
                wait_for_the_database(client, path)
                for _ in range(requests):
                    status, body = client.ask(path)
                    if status != 200:
                        text = body[:200].decode(errors="replace")
                        raise Problem(f"{path} was answered with {status}: {text}", f"Its log:\n{child.last_words()}")
            self.children.stop(child)
        return callgrind_file.read(counts)

    def start(self, database_url: str, counts: Path) -> Child:
        environment = clean_environment() | {
            "HOST": "127.0.0.1",
            "PORT": "0",
            "DATABASE_URL": database_url,
            "DATABASE_MAX_CONN": "1",
            "PLIMSOLL_WORKERS": "1",
            "PLIMSOLL_ADMIN": "off",
            # Slow as it is here, no request shall be given up.
            "PLIMSOLL_REQUEST_DEADLINE": "60s",
        }
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={counts}", str(self.binary), "serve"]
        return self.children.start(f"callgrind-{self.runs}", command, environment=environment)


def wait_until_listening(child: Child) -> int:
    """The port, once the banner names it: before that the service tries its address with a listener that it drops."""
    deadline = time.monotonic() + START_SECONDS
    while (banner := LISTENING.search(child.log.read_text(errors="replace"))) is None:
        if not child.is_running() or time.monotonic() > deadline:
            said = child.last_words()
            raise Problem(f"the service did not start under callgrind:\n{said}", "Its log above says why.")
        time.sleep(0.02)
    return int(banner[1])


def wait_for_the_database(client: Client, path: str) -> None:
    """Until the first 200: on a busy machine the first attempt to reach the database may run out of time."""
    deadline = time.monotonic() + START_SECONDS
    while client.ask(path)[0] == 503 and time.monotonic() < deadline:
        time.sleep(0.05)
