"""Nothing that somebody has is written over by a slip, and a folder that is no store is not taken for an empty one."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr

import kaxis
from tests.helpers import Cli, Fill, noisy

TABLE = "K,learner,seed,accuracy\n" + "".join(
    f"{K},{name},{seed},{0.5 + 0.01 * seed + 0.002 * K * (name == 'B')}\n"
    for K in (3, 5)
    for name in "AB"
    for seed in range(4)
)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("analyze paired {t} --baseline A --csv {t}", "is what is read"),
        ("analyze paired {t} --baseline A --csv {p}", "and no .csv file"),
        ("report {t} --baseline A --out {t}", "is what is read"),
        ("report --baseline bp_deepsup --store {s} --out {t}", "and no .html file"),
        ("cube --store {s} --out {t}", "and no .nc file"),
        ("store pack {t} --store {s}", "and no .tar.gz file"),
    ],
)
def test_a_file_of_somebodys_is_not_written_over(words: str, said: str, tmp_path: Path, fill: Fill, cli: Cli) -> None:
    table, program = tmp_path / "t.csv", tmp_path / "p.py"
    table.write_text(TABLE)
    program.write_text("mine")
    store = fill(noisy())
    code, _, err = cli(*words.format(t=table, p=program, s=store.path).split())
    assert (code, said in err) == (2, True), err
    assert (table.read_text(), program.read_text()) == (TABLE, "mine")
    assert cli("analyze", "paired", table, "--baseline", "A", "--csv", tmp_path / "new.csv")[0] == 0
    assert cli("analyze", "paired", table, "--baseline", "A", "--csv", tmp_path / "new.csv")[0] == 0


@pytest.mark.parametrize("words", ["status", "store check", "store pack {t}/x.tar.gz", "analyze paired", "cube"])
def test_a_folder_that_is_no_store_is_said_to_be_none(words: str, tmp_path: Path, fill: Fill, cli: Cli) -> None:
    store = fill(noisy())
    for place, said in (
        (store.path.parent, f"stores in it: {store.path.name}"),
        (store.path / "cells", f"{store.path} is one"),
        (tmp_path / "nowhere", f"--store {tmp_path / 'nowhere'}"),
    ):
        code, _, err = cli(*words.format(t=tmp_path).split(), "--store", place)
        assert (code, said in err) == (2, True), err


def test_a_figure_of_places_that_shows_none_is_refused(tmp_path: Path, fill: Fill, cli: Cli) -> None:
    store = fill(noisy())
    code, _, err = cli("figure", "places", "--k", "7", "--store", store.path, "--out", tmp_path)
    assert (code, "no seed has every learner at K = 7" in err) == (2, True)


@pytest.mark.parametrize(
    "words", ["equivalence {t} --margin 1", "power {t} --effect 1", "differential {t} --of t --against u --K 3"]
)
def test_seeds_that_are_left_out_are_named(words: str, tmp_path: Path, cli: Cli) -> None:
    table = tmp_path / "two.csv"
    rows = [f"{source},{line}" for source in "tu" for line in TABLE.splitlines()[1:]]
    table.write_text("source,K,learner,seed,accuracy\n" + "\n".join(r for r in rows if r[:7] != "t,3,B,2") + "\n")
    pair = ["--baseline", "A", "--learner", "B"]
    code, out, err = cli("analyze", *words.format(t=table).split(), *pair)
    assert (code, "t K=3 B seed 2: missing" in out) == (0, True), out + err


def test_a_gap_names_what_has_no_training_accuracy(tmp_path: Path, cli: Cli) -> None:
    table = tmp_path / "t.csv"
    lines = TABLE.splitlines()
    rows = [f"{line},{'' if line.startswith('3,A,1') else 0.9}" for line in lines[1:]]
    table.write_text("\n".join([f"{lines[0]},train_accuracy", *rows]) + "\n")
    code, out, _ = cli("analyze", "gap", table, "--baseline", "A")
    assert (code, "t K=3 seed 1: no training accuracy" in out) == (0, True), out


def test_slopes_of_unequal_training_say_so(fill: Fill) -> None:
    one = kaxis.load_cube(str(fill(noisy()).path))
    samples = xr.full_like(one.test_accuracy, 1000.0)
    legs = [
        one.assign(n_train=samples, epochs=xr.full_like(samples, passes)).assign_coords(source=[name])
        for name, passes in (("a", 5.0), ("b", 40.0), ("c", 5.2))
    ]
    both = xr.concat(legs, "source", combine_attrs="override")
    said = [
        kaxis.verdicts(kaxis.conflict(both, learner="dtg_ff", baseline="bp_deepsup", synthetic="a", real=real))
        for real in "bc"
    ]
    assert said[0][1].startswith("They were trained on up to 5,000 samples (a) and 40,000 samples (b)")
    assert not any("each pass counted" in line for line in said[1])
