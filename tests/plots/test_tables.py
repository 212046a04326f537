"""``kaxis figure`` of results made elsewhere."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Cli = Callable[..., tuple[int, str, str]]

PAIR = ["--learner", "B", "--baseline", "A"]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = [f"{n},{K},{s},{rng.uniform(0.5, 0.6):.4f}" for n in "AB" for K in (5, 10, 50) for s in range(6)]
    (tmp_path / "results.csv").write_text("\n".join(["learner,K,seed,accuracy", *rows]))
    return tmp_path / "results.csv"


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (["k-conflict", *PAIR], "k_conflict"),
        (["paired", *PAIR], "paired_results"),
        (["band", *PAIR], "band_results"),
        (["slopes", *PAIR], "slopes"),
        (["power", "--effect", "1", *PAIR], "power"),
        (["places"], "places_results"),
    ],
)
def test_a_table_is_drawn_as_a_store_is(words: list[str], file: str, results: Path, tmp_path: Path, cli: Cli) -> None:
    code, out, err = cli("figure", words[0], results, *words[1:], "--out", tmp_path / "f")
    assert (code, err) == (0, "")
    assert out.split() == [str(tmp_path / "f" / f"{file}.{kind}") for kind in ("svg", "pdf", "png", "csv")]


def test_the_numbers_beside_a_figure_are_those_of_the_analysis(results: Path, tmp_path: Path, cli: Cli) -> None:
    assert cli("figure", "k-conflict", results, *PAIR, "--out", tmp_path)[0] == 0
    assert cli("analyze", "paired", results, *PAIR, "--csv", tmp_path / "paired.csv")[0] == 0
    tables = ((tmp_path / name).read_text().splitlines() for name in ("k_conflict.csv", "paired.csv"))
    drawn, told = ([(row["K"], row["effect"]) for row in csv.DictReader(lines)] for lines in tables)
    assert len(drawn) == 3
    assert drawn == told


def test_a_figure_does_not_write_over_its_table(results: Path, cli: Cli) -> None:
    before = results.read_text()
    code, _, err = cli("figure", "k-conflict", results, *PAIR, "--out", results.parent, "--name", "results")
    assert (code, "is what is read" in err, results.read_text()) == (2, True, before)
    assert not (results.parent / "results.svg").exists()
