"""Whether calls are found in callgrind's file.

**Invariant:** the excerpt is what callgrind writes.
"""

import tempfile
import unittest
from pathlib import Path

from ..callgrind_file import ENTRIES, Counts, count_calls, read
from ..problem import Problem

# The names stand where they come first: mi_free's and one entry's in a call, another entry's at the function itself.
EXCERPT = """\
# callgrind format
version: 1
positions: line
events: Ir
summary: 11184940

fl=(231) vec.rs
fn=(40) alloc::raw_vec::finish_grow
51 3
cfi=(162) alloc-aligned.c
cfn=(1228) mi_malloc_aligned
calls=12 409
* 468
cfn=(1454) mi_free
calls=7 +3
* 91

fl=(162)
fn=(3610) mi_zalloc_aligned
286 20
cfn=(1230) mi_theap_malloc_aligned
calls=5 236
* 195

fn=(1228)
274 240
cfn=(1230)
calls=1002 236
* 195

fl=(17) map.rs
fn=(99) http::header::map::HeaderMap<T>::try_reserve_one
12 8
cfi=(162)
cfn=(1228)
calls=1000 -20
* 39000
cfn=(3610)
calls=5 +8
* 215
"""


class CallgrindFileTest(unittest.TestCase):
    def test_calls_are_found_by_whole_and_by_shortened_names(self) -> None:
        self.assertEqual(count_calls(EXCERPT, frozenset({"mi_malloc_aligned"})), 1012)
        self.assertEqual(count_calls(EXCERPT, frozenset({"mi_free"})), 7)

    def test_a_function_named_at_its_own_place_is_known_where_it_is_called(self) -> None:
        self.assertEqual(count_calls(EXCERPT, frozenset({"mi_zalloc_aligned"})), 5)

    def test_instructions_and_allocations_are_read_together(self) -> None:
        self.assertEqual(read_text(EXCERPT), Counts(11_184_940, 1017))

    def test_a_run_without_a_total_or_without_the_allocator_is_a_problem(self) -> None:
        with self.assertRaisesRegex(Problem, "no total"):
            read_text(EXCERPT.replace("summary", "elsewhere"))
        renamed = EXCERPT
        for entry in ENTRIES:
            renamed = renamed.replace(entry, "je_malloc")
        with self.assertRaisesRegex(Problem, "no call of the allocator"):
            read_text(renamed)


def read_text(text: str) -> Counts:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "callgrind.1"
        file.write_text(text)
        return read(file)
