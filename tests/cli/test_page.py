"""The page of a store: whole, alone, and what its tables say is what the verbs say."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from kaxis.page import Page, Picture, Section, Table, render
from kaxis.spec.study import Study
from kaxis.spec.table import OPTIONS
from kaxis.store.records import Store
from tests.helpers import noisy

ROOT = Path(__file__).parents[2]
Fill = Callable[..., Store]
Cli = Callable[..., tuple[int, str, str]]
PAIR = ("--baseline", "bp_deepsup", "--learner", "dtg_ff")


class Reader(HTMLParser):
    """Addresses, ids and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.addresses += [v or "" for k, v in attrs if k in ("href", "src", "xlink:href", "action")]
        self.ids += [known["id"] or ""] if "id" in known else []
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()


@pytest.fixture
def page(fill: Fill, cli: Cli, tmp_path: Path) -> str:
    fill(noisy(), tmp_path / "store")
    code, out, err = cli("report", "--store", tmp_path / "store", "--out", tmp_path / "page.html")
    assert (code, err, out.strip()) == (0, "", str(tmp_path / "page.html"))
    return (tmp_path / "page.html").read_text("utf-8")


def test_it_is_whole_and_asks_for_nothing(page: str) -> None:
    read = Reader(page)
    assert not read.open
    assert len(read.ids) == len(set(read.ids))
    for address in read.addresses:
        assert address.startswith("data:") or address[1:] in read.ids, address
    assert "url(#" not in re.sub(r"url\(#p\d+-", "", page), "a figure's own parts have names of their own"


@pytest.mark.parametrize("verb", ["paired", "gap", "contrast"])
def test_its_numbers_are_those_of_the_verbs(verb: str, page: str, cli: Cli, tmp_path: Path) -> None:
    line = ("analyze", verb, *PAIR, "--store", tmp_path / "store", "--csv", tmp_path / "own.csv")
    assert cli(*line)[0] == 0
    kept = re.search(rf'download="{verb}_digits.csv" href="data:text/csv;base64,([^"]*)"', page)
    assert kept
    assert base64.b64decode(unquote(kept[1])) == (tmp_path / "own.csv").read_bytes()


def test_the_first_thing_it_says_is_the_slope(page: str, cli: Cli, tmp_path: Path) -> None:
    said = re.search(r'<div class="verdict">\s*<p>(.*?)</p>', page, re.S)
    assert said
    _, out, _ = cli("analyze", "slope", *PAIR, "--store", tmp_path / "store")
    interval = re.search(r"\[[-+.\d]+, [-+.\d]+\]", out)
    assert interval
    assert f"digits {interval[0]}, n = 5" in said[1]


def test_every_analysis_is_on_it_or_says_why_not(fill: Fill, cli: Cli, tmp_path: Path) -> None:
    """Of the committed main store: each source has its tables, layers too."""
    out = tmp_path / "page.html"
    assert cli("report", "--store", ROOT / "studies/results/main", "--source", "digits", "--out", out)[0] == 0
    page = out.read_text("utf-8")
    for verb in ("paired", "contrast", "gap", "layers", "rankings"):
        assert f'download="{verb}_digits.csv"' in page
    fill(lambda c: noisy()(c) if c.K == 5 else None, tmp_path / "one")
    assert cli("report", "--store", tmp_path / "one", "--out", out)[0] == 0
    page = out.read_text("utf-8")
    assert "No slope along K can be given" in page
    assert "<p>No contrast: " in page


def test_text_is_taken_as_text() -> None:
    bad = "</script><script>alert(1)</script>&\"'"
    table = Table(bad, [bad], [[bad]], frozenset([bad]), [bad], "x", bad, bad)
    picture = Picture('<svg xmlns="http://www.w3.org/2000/svg"/>', bad, bad)
    page = render(Page(bad, [bad], [picture], [Section(bad, "a", [bad], [picture], [table], [bad])], bad))
    assert "<script>alert" not in page
    assert not Reader(page).open


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--source", "digit"), "source 'digit' is not in the store, which has one of: digits"),
        (("--baseline", "bp_deep"), "baseline 'bp_deep' is not in the store"),
        (("--out", "/nowhere/page.html"), "--out /nowhere/page.html: No such file or directory"),
    ],
)
def test_bad_input(more: tuple[str, ...], said: str, fill: Fill, cli: Cli, tmp_path: Path) -> None:
    fill(noisy(), tmp_path)
    code, _, err = cli("report", "--store", tmp_path, *more)
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert said in err


STORES = sorted(path.name for path in (ROOT / "studies/results").iterdir() if path.is_dir())


@pytest.mark.parametrize("name", STORES)
def test_its_commands_ask_for_the_same_cells(name: str) -> None:
    """Typed again, of every committed study."""
    for study, _ in Store(ROOT / "studies/results" / name).studies():
        for sweep in study.sweeps:
            flags = sweep.flags()
            if not sweep.rules and ":" not in flags[0]:  # what files of somebody's say now, nobody knows
                assert {c.id for c in _typed(*flags).cells()} == {c.id for c in sweep.cells()}, study.name


def _typed(source: str, *words: str) -> Study:
    """As the command line reads it."""
    given: dict[str, Any] = {}
    for word in words:
        if word.startswith("--"):
            name = word[2:].replace("-", "_")
            on = name in OPTIONS
            name = name if on else name.removeprefix("no_")
            given[name] = on if OPTIONS[name][0].is_bool else []
        else:
            given[name].append(word)
    lists = {k: v if OPTIONS[k][0].is_list or not isinstance(v, list) else " ".join(v) for k, v in given.items()}
    return Study.of("typed", {"source": source, **lists})


def test_a_table_made_elsewhere_has_a_page(cli: Cli, tmp_path: Path) -> None:
    rows = [f"{K},{n},{s},{0.5 + 0.01 * s + 0.001 * K * (n == 'B')}" for K in (5, 10) for n in "AB" for s in range(4)]
    (tmp_path / "own.csv").write_text("\n".join(["K,learner,seed,accuracy", *rows]))
    code, _, err = cli("report", tmp_path / "own.csv", "--baseline", "A", "--out", tmp_path / "page.html")
    assert (code, err) == (0, "")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "B against A" in page
    assert f"--baseline A --learner B {tmp_path / 'own.csv'}" in page, "what to type"
    code, _, err = cli("report", tmp_path / "own.csv", "--out", tmp_path / "page.html")
    assert code == 2
    assert "'bp_deepsup' is not in the table, which has one of: A, B" in err


def test_seeds_that_lack_a_K_are_counted_where_they_are_left_out(tmp_path: Path, cli: Cli) -> None:
    rows = [
        f"{K},{name},{seed},{0.5 + 0.01 * seed + 0.002 * K * (name == 'B') * (1 + seed)}"
        for K in (3, 5, 10)
        for name in "AB"
        for seed in range(4)
        if (K, name, seed) != (5, "B", 3)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["K,learner,seed,accuracy", *rows]))
    out = tmp_path / "page.html"
    assert cli("report", tmp_path / "t.csv", "--baseline", "A", "--out", out)[0] == 0
    page = out.read_text("utf-8")
    assert "n = 3 of 4 seeds, the others lack a K" in page
    assert "No contrast" not in page
