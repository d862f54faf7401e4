"""A PostgreSQL of our own, with the settings and the tables of the TechEmpower benchmark.

**Invariant:** its settings stand in docker-compose.yml and its tables in sql/, and nowhere else; its data lies in a
temporary folder and goes with it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from .children import Child, Children, Identity
from .problem import Problem

ROOT = Path(__file__).resolve().parent.parent
USER, PASSWORD, DATABASE = "benchmarkdbuser", "benchmarkdbpass", "hello_world"
START_SECONDS = 60.0
PORTS = range(20_000, 32_000)


@dataclass(frozen=True)
class Postgres:
    """A running server, and the ways to it."""

    child: Child
    programs: Path
    socket_folder: Path
    port: int
    version: str

    def host(self, way: str) -> str:
        return str(self.socket_folder) if way == "unix" else "127.0.0.1"

    def url(self, way: str) -> str:
        """A URL that every driver reads, with the socket's folder as an escaped host."""
        return f"postgres://{USER}:{PASSWORD}@{quote(self.host(way), safe='')}:{self.port}/{DATABASE}"

    def environment(self, way: str = "unix") -> dict[str, str]:
        """Where libpq's own programs find it."""
        return {
            "PATH": os.environ.get("PATH", ""),
            "PGHOST": self.host(way),
            "PGPORT": str(self.port),
            "PGUSER": USER,
            "PGPASSWORD": PASSWORD,
            "PGDATABASE": DATABASE,
        }


@contextlib.contextmanager
def serve(children: Children) -> Iterator[Postgres]:
    """Makes a cluster, starts it, fills the tables, and takes it all away in the end."""
    programs = find_programs()
    identity = other_identity()
    folder = Path(tempfile.mkdtemp(prefix="plimsoll-bench-"))
    try:
        if identity is not None:
            os.chown(folder, identity.user, identity.group)
        make_cluster(programs, folder, identity)
        port = free_port()
        child = children.start(
            "postgres",
            [str(programs / "postgres"), "-D", str(folder / "data"), *settings(folder, port, programs)],
            environment={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            folder=folder,
            identity=identity,
            stop_signal=signal.SIGINT,
        )
        version = output_of([str(programs / "postgres"), "--version"]).removeprefix("postgres (PostgreSQL) ")
        postgres = Postgres(child, programs, folder, port, version)
        wait_until_ready(postgres)
        seed(postgres)
        yield postgres
        children.stop(child)
    finally:
        # After an error the server may still run: it ends with the other children, and tidies nothing it cannot find.
        for child in [child for child in children.running if child.name == "postgres"]:
            children.stop(child)
        shutil.rmtree(folder, ignore_errors=True)


def find_programs() -> Path:
    """The folder of PostgreSQL's programs, found as the service finds it."""
    found = subprocess.run([ROOT / "scripts/find-postgresql"], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise Problem("no PostgreSQL 13 to 18 was found", "scripts/prepare installs one.")
    # A link on the PATH stands for the folder that holds psql and pgbench too.
    return (Path(found.stdout.strip()) / "postgres").resolve().parent


def program(programs: Path, name: str) -> str | None:
    """A client program of PostgreSQL: beside the server's, or on the PATH."""
    beside = programs / name
    return str(beside) if beside.exists() else shutil.which(name)


def other_identity() -> Identity | None:
    """PostgreSQL refuses to run as root: it gets the user `postgres`, else `nobody`."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Identity(entry.pw_uid, entry.pw_gid)
    raise Problem("PostgreSQL refuses to run as root, and there is no user `postgres`", "Run this as another user.")


def make_cluster(programs: Path, folder: Path, identity: Identity | None) -> None:
    """Trusts the socket, which lies in a folder for us alone, and asks for a password over TCP: so the cheap way in
    costs a counted start nothing, and no other user of this machine gets in."""
    command = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "-E", "UTF8", "--locale=C"]
    done = subprocess.run(
        [*command, "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        user=identity.user if identity else None,
        group=identity.group if identity else None,
        extra_groups=[] if identity else None,
    )
    if done.returncode != 0:
        raise Problem(f"initdb failed:\n{done.stderr.strip()}", "TMPDIR names another folder to make the cluster in.")


def settings(folder: Path, port: int, programs: Path) -> list[str]:
    """The benchmark's settings, as arguments, and where to listen."""
    chosen = techempower_settings((ROOT / "docker-compose.yml").read_text())
    if not has_library(programs, "pg_stat_statements"):
        chosen = {name: value for name, value in chosen.items() if "pg_stat_statements" not in f"{name}{value}"}
    chosen |= {"port": str(port), "listen_addresses": "127.0.0.1", "unix_socket_directories": str(folder)}
    return [f"-c{name}={value}" for name, value in chosen.items()]


def techempower_settings(compose: str) -> dict[str, str]:
    """The `-cname=value` arguments of the compose file's database."""
    return dict(re.findall(r"^\s*- -c([\w.]+)=(\S+)$", compose, re.MULTILINE))


def has_library(programs: Path, name: str) -> bool:
    folder = output_of([str(programs / "pg_config"), "--pkglibdir"]) if (programs / "pg_config").exists() else ""
    places = [Path(folder)] if folder else [programs.parent / "lib", programs.parent / "lib/postgresql"]
    return any((place / f"{name}.so").exists() for place in places)


def wait_until_ready(postgres: Postgres) -> None:
    deadline = time.monotonic() + START_SECONDS
    socket_path = postgres.socket_folder / f".s.PGSQL.{postgres.port}"
    # The pid file's last line is `ready` once the server takes connections.
    pid_file = postgres.socket_folder / "data/postmaster.pid"
    while not (socket_path.exists() and pid_file.exists() and pid_file.read_text().rstrip().endswith("ready")):
        if not postgres.child.is_running() or time.monotonic() > deadline:
            raise Problem(
                f"PostgreSQL did not start:\n{postgres.child.last_words()}",
                "Its log above says what stands in the way.",
            )
        time.sleep(0.02)


def seed(postgres: Postgres) -> None:
    psql = program(postgres.programs, "psql")
    if psql is None:
        raise Problem(
            "psql is missing", "Install PostgreSQL's client programs (Debian: apt-get install postgresql-client)."
        )
    superuser = {"PGUSER": "postgres", "PGDATABASE": "postgres"}
    role = f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}';\nCREATE DATABASE {DATABASE} OWNER {USER};\n"
    tables = (ROOT / "sql/schema.sql").read_text() + (ROOT / "sql/seed.sql").read_text()
    for environment, text in ((superuser, role), ({}, tables)):
        run_sql(psql, postgres.environment() | environment, text)


def run_sql(psql: str, environment: Mapping[str, str], text: str) -> None:
    command = [psql, "-X", "-q", "-v", "ON_ERROR_STOP=1"]
    done = subprocess.run(command, env=environment, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Problem(
            f"the tables could not be made:\n{done.stderr.strip()}", "sql/schema.sql and sql/seed.sql make them."
        )


def free_port() -> int:
    """A port that nobody listens on, from below those that the kernel gives to clients: no connection of theirs takes
    it before the server does."""
    for port in random.sample(PORTS, 200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise Problem("no free port was found", "Something listens on hundreds of them: ss -ltn shows what.")


def output_of(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
