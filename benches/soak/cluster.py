"""The PostgreSQL of a soak: one that may be stopped in any way, hung, and started again, and that remembers every
number.

It differs from the benchmark's in two settings (https://www.postgresql.org/docs/current/runtime-config-wal.html).
What it says is committed must outlive a crash: `synchronous_commit`. And since only processes crash here, never the
machine, what the kernel has been given is safe without waiting for a disk that others use too: no `fsync`.

**Invariant:** what is remembered of a write is part of the write's own transaction: both are there, or neither.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from pathlib import Path

from .. import postgres
from ..children import Child, Children
from ..ownership import children_of
from ..problem import Problem
from .answers import Row

START_SECONDS = 60.0
ANSWER_SECONDS = 5.0
LOOK_SECONDS = 0.01

# Behind those of the benchmark: the last of two equal settings holds.
DURABLE = ("-csynchronous_commit=on", "-cfsync=off")

REMEMBER = """
CREATE SCHEMA soak;
CREATE TABLE soak.history (tx xid8 NOT NULL, id integer NOT NULL, number integer NOT NULL, at float8 NOT NULL);
CREATE INDEX ON soak.history (tx);
CREATE FUNCTION soak.remember() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO soak.history
    SELECT pg_current_xact_id(), id, randomnumber, extract(epoch FROM clock_timestamp()) FROM fresh;
    RETURN NULL;
END
$$;
CREATE TRIGGER remember AFTER UPDATE ON world REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION soak.remember();
"""


class Cluster:
    """One cluster, and the server on it that runs or does not."""

    def __init__(self, children: Children, folder: Path) -> None:
        self.children, self.folder = children, folder
        self.programs = postgres.find_programs()
        self.identity = postgres.other_identity()
        if self.identity is not None:
            os.chown(folder, self.identity.user, self.identity.group)
        postgres.make_cluster(self.programs, folder, self.identity)
        self.port = postgres.free_port()
        version = postgres.output_of([str(self.programs / "postgres"), "--version"])
        self.version = version.removeprefix("postgres (PostgreSQL) ")
        self.starts = 0
        # Up to this transaction, and not with it, what was written has been read.
        self.read_until = "0"
        self.child = self.launch()
        server = self.server()
        postgres.wait_until_ready(server)
        postgres.seed(server)

    def server(self) -> postgres.Postgres:
        return postgres.Postgres(self.child, self.programs, self.folder, self.port, self.version)

    @property
    def url(self) -> str:
        return self.server().url("unix")

    def launch(self) -> Child:
        self.starts += 1
        settings = postgres.settings(self.folder, self.port, self.programs)
        return self.children.start(
            f"postgres-{self.starts}",
            [str(self.programs / "postgres"), "-D", str(self.folder / "data"), *settings, *DURABLE],
            environment={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            folder=self.folder,
            identity=self.identity,
            stop_signal=signal.SIGINT,
        )

    async def end(self, how: signal.Signals) -> None:
        """SIGQUIT is an immediate shutdown and SIGINT a fast one (postgres(1)); after SIGKILL its processes end by
        themselves."""
        self.child.process.send_signal(how)
        deadline = time.monotonic() + START_SECONDS
        while self.child.is_running():
            if time.monotonic() > deadline:
                raise Problem(f"PostgreSQL did not end on {how.name}", f"Its log:\n{self.child.last_words()}")
            await asyncio.sleep(LOOK_SECONDS)
        self.children.stop(self.child)

    async def begin(self) -> None:
        """Starts it, again and again while processes of the last one have its memory, and waits until it accepts."""
        deadline = time.monotonic() + START_SECONDS
        self.child = self.launch()
        while not self.accepts():
            if time.monotonic() > deadline:
                raise Problem(f"PostgreSQL did not start again:\n{self.child.last_words()}", "Its log is above.")
            if not self.child.is_running():
                self.children.stop(self.child)
                await asyncio.sleep(LOOK_SECONDS)
                self.child = self.launch()
            await asyncio.sleep(LOOK_SECONDS)

    async def wait_until_accepting(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.accepts():
            if time.monotonic() > deadline:
                raise Problem("PostgreSQL accepts nobody", f"Its log:\n{self.child.last_words()}")
            await asyncio.sleep(LOOK_SECONDS)

    def accepts(self) -> bool:
        """Whether it lets the service's user in, by the protocol's first message (PostgreSQL's documentation, 55.7)."""
        fields = ("user", postgres.USER, "database", postgres.DATABASE, "")
        words = b"".join(field.encode() + b"\0" for field in fields)
        message = (8 + len(words)).to_bytes(4, "big") + (196608).to_bytes(4, "big") + words
        with socket.socket(socket.AF_UNIX) as way, contextlib.suppress(OSError):
            way.settimeout(ANSWER_SECONDS)
            way.connect(str(self.folder / f".s.PGSQL.{self.port}"))
            way.sendall(message)
            said = way.recv(1)
            way.sendall(b"X\0\0\0\x04")
            return said == b"R"
        return False

    def processes(self) -> list[int]:
        """The server's, the first of them first."""
        return [self.child.pid, *children_of(self.child.pid)] if self.child.is_running() else []

    def hold_still(self, still: bool) -> None:
        """Stops every process, or lets them go on; the kernel goes on acknowledging what they are sent."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP if still else signal.SIGCONT)

    async def sessions(self) -> list[int]:
        """The backends that serve the service."""
        text = await self.sql(f"SELECT pid FROM pg_stat_activity WHERE usename = '{postgres.USER}'")
        return [int(line) for line in text.split()]

    async def sql(self, text: str) -> str:
        """As the superuser, in the service's database; what it prints is unaligned, with a blank between columns."""
        psql = postgres.program(self.programs, "psql")
        environment = self.server().environment() | {
            "PGUSER": "postgres",
            "PGOPTIONS": "-cdefault_transaction_read_only=off",
        }
        pipe = asyncio.subprocess.PIPE
        words = [psql or "psql", "-XqAt", "-F", " ", "-v", "ON_ERROR_STOP=1", "-f", "-"]
        # In a session of its own: Ctrl-C on the terminal is for us, and what a fault has begun it also undoes.
        process = await asyncio.create_subprocess_exec(
            *words, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        try:
            said, trouble = await process.communicate(text.encode())
        except asyncio.CancelledError:
            process.kill()
            raise
        if process.returncode != 0:
            raise Problem(f"PostgreSQL refused {text[:80]!r}: {trouble.decode().strip()}", "It is the soak's own.")
        return said.decode()

    async def remember(self) -> list[Row]:
        """Has each number that is written remembered from now on; gives the rows as they are before."""
        await self.sql(REMEMBER)
        return await self.table()

    async def table(self) -> list[Row]:
        text = await self.sql("SELECT id, randomnumber FROM world ORDER BY id")
        return [(int(row), int(number)) for row, number in (line.split() for line in text.splitlines())]

    async def fortunes(self) -> list[tuple[int, str]]:
        text = await self.sql("SELECT id, message FROM fortune")
        return [(int(row), message) for row, _, message in (line.partition(" ") for line in text.splitlines())]

    async def written(self) -> tuple[list[tuple[int, int, float]], float]:
        """What was written since the last time, and the moment until which nothing is missing from it.

        Every transaction that has written anything by that moment has a number below `until`; once all of those have
        ended, what they left is read.
        """
        moment = time.time()
        until = (await self.sql("SELECT pg_snapshot_xmax(pg_current_snapshot())")).strip()
        deadline = time.monotonic() + START_SECONDS
        while (await self.sql(f"SELECT pg_snapshot_xmin(pg_current_snapshot()) >= '{until}'::xid8")).strip() != "t":
            if time.monotonic() > deadline:
                raise Problem(f"a transaction before {until} does not end", "pg_stat_activity shows whose it is.")
            await asyncio.sleep(LOOK_SECONDS)
        text = await self.sql(
            f"DELETE FROM soak.history WHERE tx < '{self.read_until}'::xid8;"
            f"SELECT id, number, at FROM soak.history WHERE tx < '{until}'::xid8 ORDER BY at"
        )
        self.read_until = until
        lines = (line.split() for line in text.splitlines())
        return [(int(row), int(number), float(at)) for row, number, at in lines], moment

    def logged(self, words: str) -> int:
        """How many lines with these words all its servers have written."""
        logs = self.children.logs.glob("postgres-*.log")
        return sum(line.count(words) for log in logs for line in log.read_text(errors="replace").splitlines())
