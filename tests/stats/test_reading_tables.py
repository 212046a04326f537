"""Tidy tables."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaxis.errors import KaxisError
from kaxis.stats.effects import paired
from kaxis.stats.tables import cube_from_rows, read_csv
from tests.helpers import Cli, kaxis
from tests.stats.tables import table, write_table


def test_a_table_made_elsewhere_goes_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = table()
    file = write_table(tmp_path / "results.csv", rows)
    assert kaxis("analyze", "paired", file, "--baseline", "A", "--learner", "B", "--json") == 0
    shown = json.loads(capsys.readouterr().out)["rows"]
    assert [(r["source"], r["K"], r["n_seeds"]) for r in shown] == [("results", k, 5) for k in (5, 10, 50)]
    a, b = ([r["accuracy"] for r in rows if r["K"] == 5 and r["learner"] == n] for n in "AB")
    assert shown[0]["effect"] == pytest.approx(100 * (np.mean(b) - np.mean(a)))
    for verb in ("contrast", "slope"):
        assert kaxis("analyze", verb, file, "--baseline", "A", "--learner", "B") == 0
    assert kaxis("analyze", "equivalence", file, "--margin", "5", "--baseline", "A") == 0
    assert "Shown to lie within 5 pp of 0: results K = 5" in capsys.readouterr().out
    assert kaxis("analyze", "power", file, "--effect", "1", "--baseline", "A") == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"accuracy": 62.5}, "row 3: accuracy = 62.5: a fraction between 0 and 1, not per cent"),
        ({"accuracy": "high"}, "accuracy = high"),
        ({"seed": 1.5}, "seed = 1.5: a whole number"),
        ({"K": 0}, "K = 0"),
        ({"seed": 0}, "seed 0 is there twice"),
    ],
)
def test_bad_tables_are_one_line(
    change: dict[str, Any], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = table()
    rows[2] = {**rows[2], **change}
    file = write_table(tmp_path / "r.csv", rows)
    assert kaxis("analyze", "paired", file, "--baseline", "A") == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_run_that_is_there_twice_is_named_with_what_tells_the_two_apart(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "r.csv").write_text("K,learner,seed,accuracy,lr\n5,A,0,.5,.1\n5,B,0,.5,.1\n5,A,0,.6,.2\n")
    code, _, err = cli("analyze", "paired", tmp_path / "r.csv", "--baseline", "A")
    assert code == 2
    assert "line 4, row 3: r K=5 A seed 0 is there twice, first in line 2, row 1; they differ in lr: make that" in err


def test_tables_without_a_column_or_with_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_table(tmp_path / "r.csv", [{"K": 5, "learner": "A", "accuracy": 0.5}])
    assert kaxis("analyze", "paired", file) == 2
    assert "has no column 'seed'" in capsys.readouterr().err
    assert kaxis("analyze", "paired", tmp_path / "none.csv") == 2
    assert "No such file" in capsys.readouterr().err
    good = write_table(tmp_path / "g.csv", table())
    assert kaxis("analyze", "paired", good, "--store", tmp_path) == 2
    assert "stands alone" in capsys.readouterr().err


def test_a_failed_run_of_a_table_is_named(tmp_path: Path) -> None:
    rows = table()
    rows[0]["accuracy"] = ""
    cube = read_csv(write_table(tmp_path / "r.csv", rows))
    result = paired(cube, learner="B", baseline="A")
    assert result.n_seeds.sel(K=5).item() == 4
    assert result.attrs["notes"] == ["r K=5 A seed 0: failed"]


@settings(deadline=None, max_examples=25)
@given(shift=st.floats(-0.2, 0.2), order=st.permutations(range(5)), extra=st.booleans(), swap=st.booleans())
def test_what_must_not_matter_does_not(shift: float, order: list[int], extra: bool, swap: bool) -> None:
    """Shifting both learners, renaming seeds, adding a K or a learner; swapping learners flips signs."""
    rows = table()
    changed = [{**r, "seed": order[r["seed"]], "accuracy": min(1.0, max(0.0, r["accuracy"] + shift))} for r in rows]
    if extra:
        changed += [
            {"K": 99, "learner": "A", "seed": 0, "accuracy": 0.1},
            {"K": 5, "learner": "C", "seed": 7, "accuracy": 0.3},
        ]
    names = ("A", "B") if swap else ("B", "A")
    one = paired(cube_from_rows(rows), learner="B", baseline="A").sel(K=[5, 10, 50])
    other = paired(cube_from_rows(changed), learner=names[0], baseline=names[1]).sel(K=[5, 10, 50])
    sign = -1 if swap else 1
    np.testing.assert_allclose(one.effect.values, sign * other.effect.values, atol=1e-9)
    np.testing.assert_allclose(one.ci.values, (sign * other.ci.values)[::sign], atol=1e-9)
    np.testing.assert_allclose(one.p.values, other.p.values)


ROW = {"K": 5, "learner": "A", "seed": 0, "accuracy": 0.5}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Source": "x"}, "the column 'Source' would not be read; rename it 'source'"),
        ({"Train Accuracy": 0.5}, "the column 'Train Accuracy' would not be read; rename it 'train_accuracy'"),
        ({"K": "1_0"}, "K = 1_0: a whole number"),
        ({"accuracy": "0.5_0"}, "accuracy = 0.5_0: a fraction"),
    ],
)
def test_nothing_is_passed_over_for_how_it_is_written(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(KaxisError, match=re.escape(said)):
        read_csv(write_table(tmp_path / "t.csv", [ROW | change]))


def test_a_name_is_one_however_its_accents_are_typed() -> None:
    names = [unicodedata.normalize(form, "Bé") for form in ("NFC", "NFD")]
    cube = cube_from_rows([ROW | {"learner": name, "seed": seed} for seed, name in enumerate(names)])
    assert cube.learner.values.tolist() == [names[0]]


def test_chance_is_one_for_all_learners_of_a_seed() -> None:
    both = [ROW | {"learner": name} for name in "AB"]
    cube = cube_from_rows([both[0] | {"chance": 0.3}, both[1]])
    assert cube.chance.values.ravel().tolist() == [0.3, 0.3]
    assert cube_from_rows(both).chance.values.ravel().tolist() == [0.2, 0.2]
    with pytest.raises(KaxisError, match=r"K=5 seed 0: chance is 0.1 and 0.58; it is of the data"):
        cube_from_rows([both[0] | {"chance": 0.1}, both[1] | {"chance": 0.58}])
