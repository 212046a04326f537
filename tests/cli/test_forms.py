"""Tables for a page and for a paper: whatever a name holds, the reader sees it as it is."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from kaxis.cli.report import Report
from kaxis.errors import visible
from tests.helpers import Cli, Fill, noisy

NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]),
    min_size=1,
    max_size=30,
)


def report(name: str) -> Report:
    rows = [{"learner": name, "effect": 1.5}]
    return Report("paired", f"About {name}", {}, rows, [("learner", lambda r: r["learner"]), ("pp", lambda r: "1.5")])


def texts(source: str) -> list[str]:
    """The inline parts of a page as a reader sees them."""
    parsed = MarkdownIt("commonmark").enable("table").parse(source)
    return ["".join(c.content for c in t.children or []) for t in parsed if t.type == "inline"]


@given(NAMES)
def test_a_page_shows_every_name_as_it_is(name: str) -> None:
    assert texts(report(name).markdown()) == [f"About {visible(name)}", "learner", "pp", visible(name), "1.5"]


def test_a_page_with_formulas_sees_none() -> None:
    """Many readers of Markdown take what stands between two dollars for TeX."""
    assert r"\$x^2\$" in report("$x^2$").markdown()


@given(NAMES)
def test_a_paper_meets_no_command_of_a_name(name: str) -> None:
    """Every character that TeX acts on has a backslash before it, or stands in a command of ours."""
    row = report(name).latex().split("\n")[6]
    own = r"\\text(backslash|asciitilde|asciicircum|less|greater|bar|quotedbl)\{\}|\{[\[\]]\}|\\[&%$#_{}]"
    assert row.endswith(r" & 1.5 \\")
    assert not set(re.sub(own, "", row.removesuffix(r" & 1.5 \\"))) & set("\\&%$#_{}~^")


def test_forms_have_the_numbers_of_the_table(fill: Fill, cli: Cli) -> None:
    store = fill(noisy()).path
    rows = json.loads(cli("analyze", "paired", "--store", store, "--json")[1])["rows"]
    page = cli("analyze", "paired", "--store", store, "--markdown")[1]
    paper = cli("analyze", "paired", "--store", store, "--latex")[1]
    for row in rows:
        assert f"{row['effect']:+.2f}" in page
        assert f"{row['effect']:+.2f}" in paper
