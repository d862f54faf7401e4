"""The service under a tool that counts: starts it, sends it its requests through the gate, and stops it.

**Invariant:** one worker, one database connection, one client, one request at a time: what is counted repeats.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

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


@dataclass(frozen=True)
class Tool:
    """What the service runs under; `command` is given the file that the tool writes."""

    name: str
    command: Callable[[Path], list[str]]


class Stand:
    """One binary in front of one database, under one tool."""

    def __init__(self, children: Children, database: Postgres, binary: Path, folder: Path, tool: Tool) -> None:
        self.children, self.database, self.binary, self.folder, self.tool = children, database, binary, folder, tool
        self.runs = 0

    def run(self, path: str, requests: int, settings: Mapping[str, str]) -> Path:
        """Serves the requests under these settings, and gives the file that the tool wrote."""
        self.runs += 1
        counts = self.folder / f"{self.tool.name}.{self.runs}"
        socket_file = self.database.socket_folder / f".s.PGSQL.{self.database.port}"
        with (
            tempfile.TemporaryDirectory(prefix="plimsoll-gate-") as folder,
            Gate(Path(folder), self.database.port, str(socket_file)) as gate,
        ):
            gated = replace(self.database, socket_folder=Path(folder))
            child = self.start(gated.url("unix"), self.tool.command(counts), settings)
            port = self.wait_until_listening(child)
            with Sleeper(child.pid) as sleeper, Client(port, gate, sleeper) as client:
                wait_for_the_database(client, path)
                for _ in range(requests):
                    status, body = client.ask(path)
                    if status != 200:
                        text = body[:200].decode(errors="replace")
                        raise Problem(f"{path} was answered with {status}: {text}", f"Its log:\n{child.last_words()}")
            self.children.stop(child)
        return counts

    def start(self, database_url: str, tool: Sequence[str], settings: Mapping[str, str]) -> Child:
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
        command = [*tool, str(self.binary), "serve"]
        return self.children.start(f"{self.tool.name}-{self.runs}", command, environment=environment | dict(settings))

    def wait_until_listening(self, child: Child) -> int:
        """The port, once the banner names it: before, the service tries its address with a listener that it drops."""
        deadline = time.monotonic() + START_SECONDS
        while (banner := LISTENING.search(child.log.read_text(errors="replace"))) is None:
            if not child.is_running() or time.monotonic() > deadline:
                said = child.last_words()
                raise Problem(f"the service did not start under {self.tool.name}:\n{said}", "Its log above says why.")
            time.sleep(0.02)
        return int(banner[1])


def wait_for_the_database(client: Client, path: str) -> None:
    """Until the first 200: on a busy machine the first attempt to reach the database may run out of time."""
    deadline = time.monotonic() + START_SECONDS
    while client.ask(path)[0] == 503:
        if time.monotonic() > deadline:
            raise Problem(f"{path} answers 503 without end", "Its log says why the database is not reached.")
        time.sleep(0.05)
