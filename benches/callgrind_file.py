"""What callgrind leaves in its file: how many instructions were executed, and how often the allocator was called.

The format is that of Callgrind's chapter in Valgrind's manual: `fn=` names the function whose lines follow, `cfn=` one
that it calls, and `calls=` how often. A name is written out once, as `(7) name`, and stands as `(7)` from then on.

**Invariant:** a call of the allocator is counted once, where it is entered: its entry points do not call each other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .problem import Problem

# Where Rust enters mimalloc: what the crate's `GlobalAlloc` calls. A block that grows in its place counts too.
ENTRIES = frozenset({"mi_malloc_aligned", "mi_zalloc_aligned", "mi_realloc_aligned"})
TOTAL = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)
FUNCTION = re.compile(r"^c?fn=\((\d+)\)(?: (.+))?$")


@dataclass(frozen=True)
class Counts:
    """Of a whole run, or of one request."""

    instructions: float
    allocations: float


def read(file: Path) -> Counts:
    """The counts of a whole run."""
    text = file.read_text() if file.exists() else ""
    total = TOTAL.search(text)
    if total is None:
        raise Problem(f"callgrind left no total in {file.name}", "Run the service under valgrind by hand to see why.")
    allocations = count_calls(text, ENTRIES)
    if allocations == 0:
        raise Problem(
            f"no call of the allocator is in {file.name}",
            "Is it another allocator now? Then name what its GlobalAlloc calls in benches/callgrind_file.py.",
        )
    return Counts(int(total[1]), allocations)


def count_calls(text: str, callees: frozenset[str]) -> int:
    """How often any of these functions was called."""
    names: dict[str, str] = {}
    callee, calls = "", 0
    for line in text.splitlines():
        if (function := FUNCTION.match(line)) is not None:
            number, name = function.groups()
            if name is not None:
                names[number] = name
            callee = names.get(number, "")
        elif line.startswith("calls=") and callee in callees:
            calls += int(line.removeprefix("calls=").split()[0])
    return calls
