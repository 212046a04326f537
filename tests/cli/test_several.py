"""Several learners, several sources: what one of them lacks is its own, and is named."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kaxis.spec.cell import Cell
from kaxis.spec.study import Study
from tests.helpers import Cli, Fill, noisy
from tests.stats.tables import write_table


def rows(lacks: tuple[str, ...] = ("C",), source: str = "s") -> list[dict[str, Any]]:
    """Learners A to D over four K; those that lack have failed at the largest."""
    rng = np.random.default_rng(0)
    return [
        {"source": source, "K": K, "learner": name, "seed": seed}
        | {"accuracy": "failed" if (K, name in lacks) == (50, True) else round(0.5 + rng.normal(0, 0.01), 4)}
        for K in (5, 10, 20, 50)
        for name in "ABCD"
        for seed in range(7)
    ]


@pytest.mark.parametrize("verb", ["shrunk", "sequential", "contrast"])
@pytest.mark.parametrize("lacks", ["B", "C", "D"])
def test_a_learner_without_an_answer_is_named_and_the_others_go_on(
    verb: str, lacks: str, tmp_path: Path, cli: Cli
) -> None:
    file = write_table(tmp_path / "t.csv", rows((lacks,)))
    code, out, _ = cli("analyze", verb, file, "--baseline", "A")
    assert code == 0
    said = re.search(rf"Refused: {lacks} - A: s: no seed is complete along K = 5, 10, 20, 50, not done.* at .*", out)
    assert said is not None
    assert "--drop-incomplete" not in said[0], "would leave none"
    answer = json.loads(cli("analyze", verb, file, "--baseline", "A", "--json")[1])
    assert {r["learner"] for r in answer["rows"]} == {*"BCD"} - {lacks}
    assert len(answer["attrs"]["refused"]) == 1
    assert cli("analyze", verb, file, "--baseline", "A", "--learner", lacks)[0] == 2


@pytest.mark.parametrize("verb", ["shrunk", "sequential"])
def test_the_cells_that_any_learner_lacks_are_named(verb: str, tmp_path: Path, cli: Cli) -> None:
    table = rows(())
    next(r for r in table if (r["K"], r["learner"], r["seed"]) == (50, "B", 6))["accuracy"] = "failed"
    file = write_table(tmp_path / "t.csv", table)
    drop = ["--drop-incomplete"] if verb == "shrunk" else []
    assert "s K=50 B seed 6: failed" in cli("analyze", verb, file, "--baseline", "A", *drop)[1]


def test_a_band_is_drawn_of_every_source_that_has_one(tmp_path: Path, cli: Cli) -> None:
    file = write_table(tmp_path / "t.csv", [*rows(("B",), "holes"), *rows((), "whole")][:-1])
    words = ["figure", "band", file, "--baseline", "A", "--out", tmp_path]
    code, out, err = cli(*words, "--learner", "B")
    assert (code, "band_whole.svg" in out, "band_holes.svg" in out) == (0, True, True), (
        "B has no cell at one K: none asked"
    )
    code, out, err = cli(*words, "--learner", "D")
    assert (code, "band_holes.svg" in out, "band_whole.svg" in out) == (0, True, False)
    assert "left out: whole: a band over all K needs two seeds or more, each done at every K" in err


def test_a_table_is_not_judged_by_a_store_that_lies_about(
    fill: Fill, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = fill(noisy(), tmp_path / "runs")
    plan = {"learner": "dtg_ff", "baseline": "bp_deepsup", "low": [3], "high": [5]}
    store.note_study(Study.of("other", {"source": "digits", "K": "3 5", "plan": plan}))
    names = {"A": "bp_deepsup", "B": "dtg_ff"}
    table = [row | {"learner": names.get(row["learner"], row["learner"])} for row in rows((), "digits")]
    file = write_table(tmp_path / "t.csv", table)
    monkeypatch.chdir(tmp_path)
    assert cli("report", file, "--out", tmp_path / "r.html")[0] == 0
    text = (tmp_path / "r.html").read_text()
    assert "no study&#39;s plan" in text or "no study's plan" in text
    assert "minus low" not in text


def test_a_slope_whose_seeds_were_added_until_it_was_clear_is_headed_so(fill: Fill, tmp_path: Path, cli: Cli) -> None:
    store = fill(noisy(), tmp_path / "runs")
    plan = {"effect": 1.0, "spread": 0.5, "max_seeds": 20, "block": 5}
    store.note_study(Study.of("grown", {"source": "digits", "K": "3 5 10", "plan": plan}))
    assert cli("report", "--store", store.path, "--out", tmp_path / "r.html")[0] == 0
    head = (tmp_path / "r.html").read_text().partition("<table")[0]
    assert "whose seeds were added until it was clear: too narrow, quote kaxis analyze sequential" in head


def test_what_is_no_file_in_the_place_of_a_record_is_named_before_anything_is_trained(tmp_path: Path, cli: Cli) -> None:
    grid = ["digits", "--K", "3", "--seeds", "0-1", "--learners", "bp", "--steps", "2", "--jobs", "1"]
    assert cli("run", *grid, "--store", tmp_path)[0] == 0
    first, second = sorted((tmp_path / "cells").iterdir())
    for file in (first, second):
        file.unlink()
    second.mkdir()
    code, _, err = cli("run", *grid, "--store", tmp_path)
    assert (code, str(second) in err, "no regular file" in err) == (2, True, True)
    assert not first.exists()
    second.rmdir()
    assert cli("run", *grid, "--store", tmp_path)[0] == 0
    assert Cell(json.loads(second.read_text())["config"]).id == second.stem


def test_a_dry_run_refuses_what_a_run_refuses(cli: Cli) -> None:
    code, _, err = cli("run", "digits", "--K", "3", "--on", "serail", "--dry-run")
    assert (code, "did you mean 'serial'" in err) == (2, True)


def test_a_figure_has_a_name(tmp_path: Path, cli: Cli) -> None:
    file = write_table(tmp_path / "t.csv", rows(()))
    words = ["figure", "k-conflict", file, "--baseline", "A", "--learner", "B", "--out", tmp_path / "f", "--name", ""]
    assert cli(*words)[0] == 2
    assert not (tmp_path / "f").exists()


def test_a_probability_is_not_rounded_to_certainty(tmp_path: Path, cli: Cli) -> None:
    file = write_table(tmp_path / "t.csv", rows(()))
    out = cli("analyze", "paired", file, "--baseline", "A", "--interval", "t", "--prob", "0.9999")[1]
    assert "99.99% t interval" in out
    assert "100%" not in out


def test_a_second_plan_of_a_study_is_no_secret(tmp_path: Path, cli: Cli) -> None:
    file, store = tmp_path / "s.toml", ["--store", tmp_path / "store"]
    grid = (
        "source = 'digits'\nK = [3, 5]\nseeds = 0\nsteps = 2\nlearners = ['bp', 'bp_deepsup']\n[plan]\nlearner = 'bp'\n"
    )
    for plan, said in (("", False), ("", False), ("low = [3]\nhigh = [5]\n", True)):
        file.write_text(grid + plan)
        with warnings.catch_warnings(record=True, action="always") as seen:
            assert cli("run", file, "--jobs", "1", *store)[0] == 0
        assert any("the study 's' has another plan in this store" in str(w.message) for w in seen) == said
