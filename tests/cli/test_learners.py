"""``kaxis learners``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from kaxis.spec.learners import TABLE, parse
from tests.helpers import ROOT

Cli = Callable[..., tuple[int, str, str]]

RULE = '''import kaxis


@kaxis.rule("mine", strength=0.25)
class Mine:
    """Learns by itself.

    More of it.
    """
'''


def test_every_learner_is_listed_with_what_its_brackets_take(cli: Cli) -> None:
    code, out, err = cli("learners", "--json")
    assert (code, err) == (0, "")
    rows = {row["learner"]: row for row in json.loads(out)["rows"]}
    assert list(rows) == list(TABLE)
    for name, row in rows.items():
        assert row["about"], name
        for key, value in row["brackets"].items():
            assert parse(f"{name}[{key}={value}]").name.startswith(name)
    assert cli("learners")[1].count("\n") > len(TABLE)


def test_the_page_of_published_rules_says_the_same(cli: Cli) -> None:
    rows = {row["learner"]: row for row in json.loads(cli("learners", "--json")[1])["rows"]}
    page = (ROOT / "docs" / "learners" / "README.md").read_text("utf-8")
    table = re.findall(r"^\| \[(\w+)\]\(\w+\.md\) \| (.+?) \| (row|code) \| (.+?) \|", page, re.M)
    assert len(table) > 10
    for name, about, kind, nets in table:
        row = rows[name]
        assert (about, kind, nets.lower()) == (row["about"], row["kind"], ", ".join(row["nets"]))


def test_a_rule_of_ones_own_is_listed(tmp_path: Path) -> None:
    """In a process of its own: a name that joins the table stays there."""
    (tmp_path / "rule.py").write_text(RULE)
    line = [sys.executable, "-m", "kaxis", "learners", "--rules", "rule.py", "--json"]
    out = subprocess.run(line, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    (mine,) = [row for row in json.loads(out)["rows"] if row["learner"] == "mine"]
    assert (mine["about"], mine["kind"], mine["brackets"]) == ("Learns by itself.", "code", {"strength": 0.25})
