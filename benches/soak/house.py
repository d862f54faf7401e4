"""The service of a soak, in front of its PostgreSQL, and everything that faults are done to.

**Invariant:** whatever a fault changes, it changes back itself; a house that is left is as it was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from .. import postgres
from ..children import Children
from ..ownership import children_of
from ..problem import Problem
from ..service import clean_environment
from ..stand import LISTENING
from .cluster import Cluster
from .ledger import Ledger
from .timeline import Window

START_SECONDS = 60.0
LOOK_SECONDS = 0.01
ANSWER_SECONDS = 5.0
# Shorter than the service's default, so that slow heads are reaped while the fault that made them is in force.
HEADER_TIMEOUT_SECONDS = 4


class House:
    """The service and its surroundings."""

    def __init__(self, children: Children, binary: Path, cluster: Cluster, processes: int, ledger: Ledger) -> None:
        self.binary, self.cluster, self.processes, self.ledger = binary, cluster, processes, ledger
        self.port = postgres.free_port()
        self.admin_socket = children.logs / "admin.sock"
        environment = clean_environment() | {
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "DATABASE_URL": cluster.url,
            "PLIMSOLL_ADMIN": "off",
            "PLIMSOLL_ADMIN_SOCKET": str(self.admin_socket),
            "PLIMSOLL_PROCESSES": str(processes),
            "PLIMSOLL_HEADER_TIMEOUT": f"{HEADER_TIMEOUT_SECONDS}s",
        }
        self.child = children.start("service", [str(binary), "serve"], environment=environment)
        self.window: Window | None = None

    async def wait_until_serving(self) -> None:
        await until(self.is_listening, "the service to listen", self.child.last_words)

    def is_listening(self) -> bool:
        if not self.child.is_running():
            raise Problem(f"the service ended:\n{self.child.last_words()}", "Its last words are above.")
        return LISTENING.search(self.log()) is not None

    def log(self) -> str:
        return self.child.log.read_text(errors="replace")

    def servers(self) -> list[int]:
        """The processes that serve."""
        return children_of(self.child.pid) if self.processes > 1 else [self.child.pid]

    def every_process(self) -> list[int]:
        return [self.child.pid, *(children_of(self.child.pid) if self.processes > 1 else [])]

    async def status(self) -> None:
        """Asks the admin side for its page, which it answers at any moment, whatever happens to the rest."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(str(self.admin_socket))
                writer.write(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                said = await reader.read()
                writer.close()
        except (OSError, TimeoutError) as error:
            said = repr(error).encode()
        if not said.startswith(b"HTTP/1.1 200 "):
            self.ledger.complain(f"/status.json was answered with {said[:100]!r}")

    async def pool(self, *words: str) -> str:
        """A change by `plimsoll pool`; gives its answer."""
        command = [str(self.binary), "pool", *words, "--admin-socket", str(self.admin_socket)]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command, stdout=pipe, stderr=pipe, env=clean_environment(), start_new_session=True
        )
        said, trouble = await process.communicate()
        if process.returncode != 0:
            self.ledger.complain(
                f"plimsoll pool {' '.join(words)} ended with {process.returncode}: {trouble.decode().strip()}"
            )
        return said.decode().strip()


async def until(condition: Callable[[], bool], what: str, log: Callable[[], str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise Problem(f"waited {START_SECONDS:.0f} s in vain for {what}", f"The log:\n{log()}")
        await asyncio.sleep(LOOK_SECONDS)
