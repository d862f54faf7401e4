"""What is asked, and whether an answer is right by itself: status apart, its head, its shape, its numbers.

**Invariant:** nothing is believed of a body but what the contract of its route says; no clock and no socket is
touched.
"""

from __future__ import annotations

import email.utils
import functools
import html
import json
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass

ROWS = 10_000
MOST_ROWS_ASKED = 500
# A `Date` may be rendered once a second, and must be right within two.
DATE_SECONDS = 2

JSON, TEXT, HTML = b"application/json", b"text/plain", b"text/html; charset=utf-8"
TYPES = {
    "json": JSON,
    "plaintext": TEXT,
    "fortunes": HTML,
    "db": JSON,
    "queries": JSON,
    "updates": JSON,
    "cached": JSON,
}
# How the mix is made: several in twenty requests each.
WEIGHTS = {"json": 3, "plaintext": 2, "db": 4, "queries": 4, "updates": 3, "fortunes": 2, "cached": 2}
PATHS = {"queries": "/queries?queries=", "updates": "/updates?queries=", "cached": "/cached-queries?count="}
# Counts as clients write them, and what they are read as. Large ones are rare: they are much work.
COUNTS = (
    *((str(count), count) for count in (1, 2, 3, 5, 7, 10, 15, 20)),
    ("", 1),
    ("x", 1),
    ("0", 1),
    ("-3", 1),
    ("64", 64),
)
RARE_COUNTS = (("500", 500), ("501", 500), ("99999999999999999999", 500))
RARE = 0.005

FORTUNES_HEAD = (
    "<!DOCTYPE html><html><head><title>Fortunes</title></head><body><table><tr><th>id</th><th>message</th></tr>"
)
FORTUNES_FOOT = "</table></body></html>"
ADDED = (0, "Additional fortune added at request time.")

Row = tuple[int, int]


class WrongAnswer(Exception):
    """What is wrong with an answer."""


@dataclass(frozen=True)
class Target:
    """One thing to ask."""

    route: str
    path: str
    rows: int = 0

    @property
    def request(self) -> bytes:
        return f"GET {self.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

    @property
    def needs_database(self) -> bool:
        return self.route not in ("json", "plaintext")


@dataclass(frozen=True)
class Answer:
    """A status, the head's fields by their names in lower case, and the body."""

    status: int
    fields: dict[bytes, bytes]
    body: bytes

    @property
    def closes(self) -> bool:
        return self.fields.get(b"connection", b"").lower() == b"close"


def target(route: str, count: str = "", rows: int = 1) -> Target:
    """Something to ask of this route; where it takes a number of rows, `count` is how that is written."""
    if route in PATHS:
        return Target(route, PATHS[route] + count, rows)
    return Target(route, f"/{route}", 1 if route == "db" else 0)


def draw(dice: random.Random) -> Target:
    """Any route, by weight, with any count."""
    route = dice.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    return target(route, *dice.choice(RARE_COUNTS if dice.random() < RARE else COUNTS))


def check(asked: Target, answer: Answer, fortunes: bytes, sent: float, answered: float) -> list[Row]:
    """The rows of an answer; times are wall-clock ones. A body is judged where the status is 200, a head always."""
    for name in (b"server", b"date", b"content-type", b"content-length"):
        if name not in answer.fields:
            raise WrongAnswer(f"{asked.path}: {answer.status} without {name.decode()}")
    if not is_date_right(answer.fields[b"date"], sent, answered):
        raise WrongAnswer(f"{asked.path}: Date is {answer.fields[b'date']!r}, answered at {http_date(int(answered))!r}")
    if answer.status == 503 and not answer.fields.get(b"retry-after", b"").isdigit():
        raise WrongAnswer(f"{asked.path}: 503 without Retry-After")
    if answer.status != 200:
        return []
    if answer.fields[b"content-type"] != TYPES[asked.route]:
        raise WrongAnswer(f"{asked.path}: Content-Type is {answer.fields[b'content-type']!r}")
    if asked.rows:
        return read_rows(asked, answer.body)
    expected = {"json": b'{"message":"Hello, World!"}', "plaintext": b"Hello, World!", "fortunes": fortunes}
    if answer.body != expected[asked.route]:
        raise WrongAnswer(f"{asked.path}: {answer.body[:200]!r}")
    return []


def read_rows(asked: Target, body: bytes) -> list[Row]:
    """The rows of `/db` or of an array, each checked: keys, types, ranges, how many, and none twice where that is
    promised."""
    try:
        said = json.loads(body)
    except ValueError as error:
        raise WrongAnswer(f"{asked.path}: not JSON ({error}): {body[:200]!r}") from error
    worlds = [said] if asked.route == "db" else said
    if not isinstance(worlds, list) or len(worlds) != asked.rows:
        raise WrongAnswer(f"{asked.path}: not {asked.rows} rows: {body[:200]!r}")
    rows = []
    for world in worlds:
        if not isinstance(world, dict) or list(world) != ["id", "randomNumber"]:
            raise WrongAnswer(f"{asked.path}: a row is {world!r}")
        row = (world["id"], world["randomNumber"])
        if not all(type(number) is int and 1 <= number <= ROWS for number in row):
            raise WrongAnswer(f"{asked.path}: a row is {world!r}")
        rows.append(row)
    if asked.route == "updates" and len({row[0] for row in rows}) < len(rows):
        raise WrongAnswer(f"{asked.path}: a row was written twice: {body[:200]!r}")
    return rows


def is_date_right(date: bytes, sent: float, answered: float) -> bool:
    seconds = range(int(sent) - DATE_SECONDS, int(answered) + DATE_SECONDS + 1)
    return any(http_date(second) == date for second in seconds)


@functools.lru_cache(maxsize=64)
def http_date(second: int) -> bytes:
    """As RFC 9110 section 5.6.7 wants it."""
    return email.utils.formatdate(second, usegmt=True).encode()


def check_fortunes(body: bytes, table: Iterable[tuple[int, str]]) -> None:
    """Whether a page shows these fortunes and the added one, sorted and escaped; how a character is escaped is left
    open."""
    page = body.decode()
    if not (page.startswith(FORTUNES_HEAD) and page.endswith(FORTUNES_FOOT)):
        raise WrongAnswer(f"/fortunes: {page[:200]!r}")
    middle = page[len(FORTUNES_HEAD) : -len(FORTUNES_FOOT)]
    shown = re.findall(r"<tr><td>(\d+)</td><td>([^<>\"']*)</td></tr>", middle)
    expected = sorted([*table, ADDED], key=lambda fortune: fortune[1].encode())
    if [(int(number), html.unescape(text)) for number, text in shown] != expected:
        raise WrongAnswer(f"/fortunes: {middle[:400]!r}")
    if sum(len(f"<tr><td>{number}</td><td>{text}</td></tr>") for number, text in shown) != len(middle):
        raise WrongAnswer("/fortunes: there is something between the rows")
