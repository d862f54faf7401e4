"""The targets file: what it may say, and what is refused.

**Invariant:** the example is read too, so that it cannot go stale.
"""

import unittest
from pathlib import Path

from ..postgres import ROOT, techempower_settings
from ..problem import Problem
from ..targets import choose, fill, read


class TargetsTest(unittest.TestCase):
    def test_the_example_can_be_read(self) -> None:
        targets = read((ROOT / "benches/targets.example.toml").read_text())
        self.assertEqual(targets["ntex"].command, ("/path/to/ntex-db",))
        self.assertEqual(targets["before"].commit, "HEAD~10")
        self.assertTrue(targets["native"].is_ours)

    def test_a_command_is_cut_as_a_shell_would(self) -> None:
        target = read("[targets.x]\ncommand = \"serve --name 'a b'\"\n")["x"]
        self.assertEqual(target.command, ("serve", "--name", "a b"))

    def test_other_machines_are_refused(self) -> None:
        for host in ("192.0.2.1", "example.org", "10.0.0.1"):
            with self.assertRaisesRegex(Problem, "Only this machine"):
                read(f'[targets.x]\ncommand = "x"\nurl = "http://{host}:80"\n')
        for host in ("127.0.0.5", "[::1]", "localhost"):
            read(f'[targets.x]\ncommand = "x"\nurl = "http://{host}:{{port}}"\n')

    def test_what_means_nothing_is_refused_by_name(self) -> None:
        for text, said in (
            ("[targets.x]\nflag = []\n", "flag"),
            ("[target.x]\n", "target"),
            ('[targets.x]\ndatabase = "pipe"\n', "unix or tcp"),
            ('[targets.x]\npaths = { bd = "/" }\n', "bd"),
            ('[targets.x]\ncommand = "x"\ncommit = "HEAD"\n', "commit"),
            ("[targets.ours]\n", "always there"),
            ("[targets\n", "cannot be read"),
        ):
            with self.assertRaisesRegex(Problem, said):
                read(text)

    def test_any_commit_is_a_target_and_an_unknown_name_is_not(self) -> None:
        nowhere = Path("/nowhere")
        self.assertEqual([target.commit for target in choose(["ours", "commit:HEAD~3"], nowhere)], [None, "HEAD~3"])
        with self.assertRaisesRegex(Problem, "known are ours"):
            choose(["theirs"], nowhere)
        with self.assertRaisesRegex(Problem, "twice"):
            choose(["ours", "ours"], nowhere)

    def test_only_known_braces_are_filled(self) -> None:
        self.assertEqual(fill('{port} {"a": 1}', {"port": "80"}), '80 {"a": 1}')

    def test_settings_come_from_the_compose_file(self) -> None:
        settings = techempower_settings((ROOT / "docker-compose.yml").read_text())
        self.assertEqual(settings["max_connections"], "2000")
        self.assertEqual(settings["pg_stat_statements.track"], "all")
