"""One server, started for one run: its command and environment, and the wait until it answers.

**Invariant:** nothing is measured of a server that has not answered each of its routes with 200.
"""

from __future__ import annotations

import http.client
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .children import Child, Children
from .plan import Route
from .postgres import DATABASE, PASSWORD, ROOT, USER, Postgres, free_port
from .problem import Problem
from .targets import Target, fill

START_SECONDS = 30.0
HANDED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")


@dataclass(frozen=True)
class Service:
    """A target that runs."""

    target: Target
    child: Child
    base: str

    def url(self, route: Route) -> str:
        return self.base + self.target.paths.get(route.name, route.path)


def clean_environment() -> dict[str, str]:
    """What any program needs, and none of what could set a server or a database otherwise."""
    return {name: os.environ[name] for name in HANDED_ON if name in os.environ}


def start(
    children: Children, target: Target, binary: Path | None, database: Postgres, admin: int | None = None
) -> Service:
    """Starts a target; `binary` is ours, for those that are, and `admin` the port of its admin side, if it is asked."""
    port = target.port or free_port()
    if target.port is not None:
        check_free(target)
    values = placeholders(target, port, database)
    environment = clean_environment() | {name: fill(value, values) for name, value in target.env.items()}
    flags = [fill(flag, values) for flag in target.flags]
    if target.is_ours:
        assert binary is not None
        # By environment, which every commit of ours reads alike, also one without an admin side.
        ours = {
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "DATABASE_URL": database.url(target.database),
            "PLIMSOLL_ADMIN": f"127.0.0.1:{admin}" if admin else "off",
            "PLIMSOLL_ADMIN_SOCKET": "off",
        }
        command, environment = [str(binary), "serve", *flags], {**environment, **ours}
    else:
        command = [*(fill(word, values) for word in target.command), *flags]
    folder = Path(target.folder).expanduser() if target.folder else ROOT
    child = children.start(target.name, command, environment=environment, folder=folder)
    return Service(target, child, fill(target.url, values).rstrip("/"))


def placeholders(target: Target, port: int, database: Postgres) -> dict[str, str]:
    return {
        "database_url": database.url(target.database),
        "pg_host": database.host(target.database),
        "pg_port": str(database.port),
        "pg_user": USER,
        "pg_password": PASSWORD,
        "pg_database": DATABASE,
        "port": str(port),
        "cores": str(len(os.sched_getaffinity(0))),
    }


def check_free(target: Target) -> None:
    """Else another server's figures would carry this target's name."""
    with socket.socket() as probe:
        # As servers bind: a connection that lingers from the last run is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", target.port or 0))
        except OSError as error:
            raise Problem(
                f"port {target.port}, where {target.name} listens, is in use ({error.strerror})",
                "Stop what listens there (ss -ltnp shows it), or give the target another port.",
            ) from error


def wait_until_answering(service: Service, route: Route) -> None:
    """Asks until the answer is a 200; a 503 may pass, while the database is being reached."""
    deadline = time.monotonic() + START_SECONDS
    seen = "no connection"
    while time.monotonic() < deadline:
        if not service.child.is_running():
            raise Problem(
                f"{service.target.name} ended at once:\n{service.child.last_words()}", "Its last words are above."
            )
        try:
            status, seen = ask(service.url(route))
            if status == 200:
                return
            if status < 500:
                break
        except OSError as error:
            seen = str(error)
        except http.client.HTTPException as error:
            seen = f"something other than HTTP: {error!r}"
        time.sleep(0.02)
    raise Problem(
        f"{service.target.name} did not answer {service.url(route)} with 200 (given {START_SECONDS:.0f} s): {seen}\n"
        f"  It wrote:\n{service.child.last_words()}",
        "Look at its command, environment and database; `paths` names routes that are elsewhere.",
    )


def ask(url: str) -> tuple[int, str]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request("GET", url.split(parts.netloc, 1)[1])
        answer = connection.getresponse()
        body = " ".join(answer.read(200).decode(errors="replace").split())
        return answer.status, f"{answer.status} {answer.reason}: {body}"
    finally:
        connection.close()
