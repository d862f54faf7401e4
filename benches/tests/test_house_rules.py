"""What a file looks like: the rules of tests/tidy, for the files here.

**Invariant:** a file that breaks a rule is named.
"""

import ast
import sys
import unittest
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent
LONGEST_FILE, LONGEST_FUNCTION, LONGEST_LINE = 400, 70, 120


class HouseRulesTest(unittest.TestCase):
    def setUp(self) -> None:
        self.files = sorted(FOLDER.rglob("*.py"))

    def test_each_module_says_what_it_is_and_what_always_holds(self) -> None:
        for file in self.files:
            header = ast.get_docstring(ast.parse(file.read_text())) or ""
            self.assertEqual(header.count("**Invariant:** "), 1, file)
            self.assertFalse(header.startswith("**Invariant"), file)

    def test_files_functions_and_lines_keep_to_their_length(self) -> None:
        for file in self.files:
            lines = file.read_text().splitlines()
            self.assertLessEqual(len(lines), LONGEST_FILE, file)
            self.assertLessEqual(max(map(len, lines)), LONGEST_LINE, file)
            for node in ast.walk(ast.parse("\n".join(lines))):
                if isinstance(node, ast.FunctionDef):
                    self.assertLessEqual((node.end_lineno or 0) - node.lineno, LONGEST_FUNCTION, f"{file}: {node.name}")

    def test_only_the_standard_library_is_imported(self) -> None:
        for file in self.files:
            for node in ast.walk(ast.parse(file.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [node.module or ""]
                for name in names:
                    self.assertIn(name.split(".")[0], sys.stdlib_module_names, file)
