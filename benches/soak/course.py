"""The course of a soak: faults, calm and silence in turn, and all of it judged on the way.

**Invariant:** whatever ends the course, every client has been told to end and every request is settled before it is
reported.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sys
import time
import urllib.request

from ..problem import Problem
from ..progress import describe_seconds
from . import by_clients, report, sampler, schedule
from .answers import check_fortunes, target
from .crowd import Crowd
from .faults import FAULTS, MOST_SECONDS, OVERLOADED, UNAVAILABLE, Fault
from .house import HEADER_TIMEOUT_SECONDS, START_SECONDS, House
from .on_database import TERMINATE
from .report import Happened, Results
from .timeline import RECOVERY_SECONDS
from .truth import REMEMBERED_SECONDS
from .wire import Connection

# Before the first fault, and behind each before the next at least.
CALM_FIRST_SECONDS, LEAST_CALM_SECONDS = 10.0, 10.0
# A fault may leave this many lines in the service's log, and no storm.
MOST_LOG_LINES = 60
SAMPLE_SECONDS = 1.0
JUDGE_SECONDS = 3.0
# So many answers are judged between two looks at everything else.
JUDGED_AT_ONCE = 20
# By how much the wall clock may leave the other one before times say nothing any more.
MOST_STEP_SECONDS = 0.02
# In the silence behind a fault: connections are parked.
HUSHED_SECONDS = 2.0
STIRRING, STIRRING_ROWS = 4, 500
# The allocator looks for free pages to give back only when another becomes free. The service sees to that behind a
# crowd, 2.5 and 5 s after 256 connections of a worker were idle for a second (src/server/parking/memory.rs): so one
# comes and goes. It asks for cached rows, so that soon every worker has all of them, and its cache is as large as ever.
CROWD, CROWD_AT_ONCE, CROWD_ROWS = 1_024, 64, 20
IDLE_SECONDS, GIVEN_BACK_SECONDS = 1.5, 6.5
SILENT_SECONDS = HUSHED_SECONDS + RECOVERY_SECONDS + 1.0 + IDLE_SECONDS + GIVEN_BACK_SECONDS
# The service counts somebody who asked within a minute as looking on.
WATCH_SECONDS = 20.0


class Course:
    """One run."""

    def __init__(self, house: House, results: Results, faults: dict[str, Fault], every: float) -> None:
        self.house, self.results, self.faults, self.every = house, results, faults, every
        self.ledger = house.ledger
        self.crowd = Crowd(house.port, self.ledger, results.seed, HEADER_TIMEOUT_SECONDS)
        self.renewing = {name for name, fault in faults.items() if fault.renews and house.processes > 1}
        swelling = {name for name, fault in faults.items() if fault.swells}
        self.order = schedule.Order(list(faults), self.renewing, swelling, results.seed)
        self.stopped = asyncio.Event()
        self.watching: list[asyncio.Task[None]] = []
        self.clocks = 0.0
        self.begin = 0.0

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.begin

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stopped.set)
        await self.house.wait_until_serving()
        self.ledger.truth.begin(await self.house.cluster.remember())
        self.ledger.fortunes = await self.first_fortunes()
        self.begin = time.monotonic()
        self.clocks = time.time() - self.begin
        self.watching = [asyncio.create_task(self.ledger.pulse.beat()), asyncio.create_task(self.sample())]
        self.watching.append(asyncio.create_task(self.look_on()))
        self.crowd.start()
        try:
            await self.go_through()
            await self.crowd.stop()
            await self.finish()
        finally:
            self.results.seconds = self.now
            for task in [*self.watching, *self.crowd.tasks]:
                task.cancel()

    async def go_through(self) -> None:
        planned = self.results.planned
        await self.rest(CALM_FIRST_SECONDS)
        while not self.stopped.is_set() and self.now + self.every <= planned + 1:
            begun = self.now
            name = self.next_fault()
            self.show(name)
            before = set(self.house.every_process())
            happened = await self.make(name)
            await self.rest(max(begun + self.every - SILENT_SECONDS, self.now + LEAST_CALM_SECONDS))
            if name not in self.renewing and before != set(self.house.every_process()):
                self.ledger.complain(f"{name} cost a process of the service its life")
            await self.fall_silent()
            self.close(happened)
        await self.rest(planned)
        self.results.complete = not self.stopped.is_set()

    def next_fault(self) -> str:
        """Of those that may come now."""
        until = schedule.STEADY_UNTIL * self.results.planned
        name = self.order.next(self.now, until)
        if self.order.steady_from is not None:
            self.results.steady = (self.order.steady_from, until)
        return name

    def show(self, what: str) -> None:
        left = describe_seconds(max(self.results.planned - self.now, 0))
        print(f"{self.now:6.0f} s  {what}, {left} left", file=sys.stderr, flush=True)

    async def make(self, name: str) -> Happened:
        """One fault, from its beginning until all of it is undone."""
        fault, timeline = FAULTS[name], self.ledger.timeline
        dice = random.Random(f"{self.results.seed} {len(self.results.happened)} {name}")
        lines, wrong, began = self.log_lines(), self.ledger.wrong, time.monotonic()
        window = self.house.window = timeline.open(name, fault.allows, began)
        happened = Happened(name, fault.what, "", began - self.begin, 0.0, window, lines, wrong)
        self.results.happened.append(happened)
        try:
            happened.detail = await asyncio.wait_for(fault.make(self.house, dice), MOST_SECONDS)
        except TimeoutError as error:
            raise Problem(f"{name} was not over after {MOST_SECONDS:.0f} s", "Is the machine that busy?") from error
        finally:
            window.end = time.monotonic()
            happened.seconds = window.end - began
            self.house.window = None
        return happened

    def close(self, happened: Happened) -> None:
        """After the calm behind a fault: what it came to."""
        happened.log_lines = self.log_lines() - happened.log_lines
        if happened.log_lines > MOST_LOG_LINES:
            self.ledger.complain(f"{happened.name} made {happened.log_lines} lines of the service's log")
        happened.wrong = self.ledger.wrong - happened.wrong
        print(report.line(happened), flush=True)

    async def fall_silent(self) -> None:
        """For a while the clients only hold their connections, which are parked; the sessions with PostgreSQL begin
        anew, with buffers that have not grown, and memory that was freed is given back."""
        self.crowd.hush()
        await asyncio.sleep(HUSHED_SECONDS)
        if self.order.steady_from is None:
            await self.swell()
        window = self.ledger.timeline.open("silence", UNAVAILABLE, time.monotonic())
        await self.house.cluster.sql(TERMINATE)
        window.end = time.monotonic()
        await asyncio.sleep(RECOVERY_SECONDS)
        await self.stir()
        await self.come_and_go()
        if found := self.look():
            self.results.settled.append(found)
        self.crowd.go_on()

    async def swell(self) -> None:
        """Overloads the service, again and again before drift is looked at: what a process needs for that differs from
        time to time, and the allocator keeps some of the most that was ever needed."""
        window = self.ledger.timeline.open("swell", OVERLOADED, time.monotonic())
        try:
            await by_clients.overload(self.house, random.Random(self.results.seed))
        finally:
            window.end = time.monotonic()
        await asyncio.sleep(RECOVERY_SECONDS)

    async def come_and_go(self) -> None:
        """A crowd asks once each, of the rows that are cached, falls idle and leaves; what it needed is given back."""
        one = target("cached", str(CROWD_ROWS), CROWD_ROWS)
        held: list[Connection] = []
        for _ in range(0, CROWD, CROWD_AT_ONCE):
            opened = await asyncio.gather(
                *(Connection.open(self.house.port, self.ledger) for _ in range(CROWD_AT_ONCE))
            )
            held.extend(connection for connection in opened if connection is not None)
            await asyncio.gather(*(connection.ask(one) for connection in held[-CROWD_AT_ONCE:]))
        await asyncio.sleep(IDLE_SECONDS)
        for connection in held:
            connection.close()
        await asyncio.sleep(GIVEN_BACK_SECONDS)

    async def look_on(self) -> None:
        """Watches, as an operator does: the service then takes a sample each second, and soon remembers as many as it
        ever will."""
        while True:
            await self.house.status()
            await asyncio.sleep(WATCH_SECONDS)

    async def stir(self) -> None:
        """A few requests over connections of their own, so that every process gets some."""
        for _ in range(STIRRING):
            if connection := await Connection.open(self.house.port, self.ledger):
                await connection.ask(target("queries", str(STIRRING_ROWS), STIRRING_ROWS))
                connection.close()

    def log_lines(self) -> int:
        return self.house.log().count("\n")

    async def rest(self, until: float) -> None:
        """Waits, and judges meanwhile what was answered; shorter where the end was asked for."""
        while not self.stopped.is_set() and (left := until - self.now) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopped.wait(), min(left, JUDGE_SECONDS))
            await self.judge()
            for task in [*self.crowd.tasks, *self.watching]:
                if task.done() and (error := task.exception()):
                    raise error
            self.house.is_listening()

    async def judge(self) -> None:
        """Asks PostgreSQL what was written, and compares."""
        truth = self.ledger.truth
        if abs(time.time() - time.monotonic() - self.clocks) > MOST_STEP_SECONDS:
            raise Problem("the wall clock was stepped", "What a row was at which moment is not known; try again.")
        written, until = await self.house.cluster.written()
        truth.learn(written)
        ready = truth.take(until)
        for at in range(0, len(ready), JUDGED_AT_ONCE):
            for trouble in truth.judge(ready[at : at + JUDGED_AT_ONCE]):
                self.ledger.complain(trouble)
            await asyncio.sleep(0)
        truth.forget(until - REMEMBERED_SECONDS)

    def look(self) -> sampler.Sample | None:
        cluster = self.house.cluster
        socket_path = cluster.folder / f".s.PGSQL.{cluster.port}"
        return sampler.look(self.now, self.house.every_process(), self.house.port, socket_path)

    async def sample(self) -> None:
        while True:
            if found := self.look():
                self.results.samples.append(found)
            await asyncio.sleep(SAMPLE_SECONDS)

    async def finish(self) -> None:
        """Nobody asks any more: what is left must add up."""
        await asyncio.sleep(RECOVERY_SECONDS)
        await self.judge()
        ledger, cluster = self.ledger, self.house.cluster
        for trouble in ledger.truth.differs(dict(await cluster.table())):
            ledger.complain(trouble)
        if ledger.under_way:
            ledger.complain(f"{ledger.under_way} requests were never settled")
        if ledger.truth.waiting:
            ledger.complain(f"{len(ledger.truth.waiting)} answers were never judged")
        if deadlocks := cluster.logged("deadlock detected"):
            ledger.complain(f"PostgreSQL found {deadlocks} deadlocks")
        if panics := self.house.log().count("panicked"):
            ledger.complain(f"{panics} panics in the service's log")

    async def first_fortunes(self) -> bytes:
        """The page that every later one must equal, held against the table."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.house.port}/fortunes", timeout=5) as answer:
                    body: bytes = answer.read()
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise Problem(f"/fortunes is not answered: {error}", self.house.child.last_words()) from error
                await asyncio.sleep(0.05)
        check_fortunes(body, await self.house.cluster.fortunes())
        return body
