"""One name for learners of different sources."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from kaxis.errors import KaxisError
from kaxis.spec.study import Study
from kaxis.stats.effects import paired
from kaxis.stats.names import called
from kaxis.store.cube import load_cube
from tests.helpers import Cli, Fill, noisy

NAMES = {"dtg_ff": ["dtg_ff[lr=0.004]"], "bp_deepsup": ["bp_deepsup[lr=0.008]"]}
CALL = ["--call", "dtg_ff=dtg_ff[lr=0.004]", "bp_deepsup=bp_deepsup[lr=0.008]"]


@pytest.fixture
def cube(fill: Fill) -> xr.Dataset:
    """Digits at the common rates, the teacher with rates in brackets."""
    fill(noisy())
    return load_cube(fill(noisy(), source="synthetic", learners=[one for own in NAMES.values() for one in own]))


def test_effects_are_those_under_their_own_names(cube: xr.Dataset) -> None:
    joined = called(cube, NAMES)
    assert joined.learner.values.tolist() == ["bp_deepsup", "dtg_ff"]
    both = paired(joined, learner="dtg_ff", baseline="bp_deepsup")
    for source, pair in (
        ("digits", ("dtg_ff", "bp_deepsup")),
        ("synthetic", ("dtg_ff[lr=0.004]", "bp_deepsup[lr=0.008]")),
    ):
        alone = paired(cube, learner=pair[0], baseline=pair[1])
        for name in ("effect", "ci", "p", "n_seeds", "difference"):
            np.testing.assert_array_equal(both[name].sel(source=source), alone[name].sel(source=source))
    for name in cube.data_vars:
        assert (joined[name].dims, joined[name].dtype) == (cube[name].dims, cube[name].dtype)


def test_a_name_is_for_one_learner_of_a_source(fill: Fill) -> None:
    cube = load_cube(fill(noisy(), learners=["dtg_ff", "dtg_ff[lr=0.004]", "bp"]))
    with pytest.raises(KaxisError, match=r"call dtg_ff: digits has dtg_ff and dtg_ff\[lr=0.004\]; one of a source"):
        called(cube, {"dtg_ff": ["dtg_ff[lr=0.004]"]})
    with pytest.raises(KaxisError, match="learner 'bq' is not in the store"):
        called(cube, {"dtg_ff": ["bq"]})
    assert called(cube, {}) is cube


def test_sources_at_their_own_rates_stand_on_one_axis(cube: xr.Dataset, fill: Fill, cli: Cli, tmp_path: Path) -> None:
    store = ["--store", fill(noisy()).path]
    assert cli("analyze", "conflict", "--real", "digits", *store)[0] == 2
    code, out, err = cli("analyze", "conflict", "--real", "digits", *store, *CALL)
    assert (code, err) == (0, "")
    assert "dtg_ff is the name of dtg_ff[lr=0.004] too." in out
    code, out, err = cli("figure", "k-conflict", *store, *CALL, "--out", tmp_path)
    assert (code, err) == (0, "")
    assert {line.split(",")[0] for line in (tmp_path / "k_conflict.csv").read_text().splitlines()[1:]} == {
        "digits",
        "synthetic",
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("paired --call dtg_ff", "write NAME=LEARNER"),
        ("paired --call dtg_ff[lr=0.1]=dtg_ff", "write NAME=LEARNER"),
        ("paired --call a=nobody", "learner 'nobody' is not in the store"),
        ("images --call dtg_ff=dtg_ff[lr=0.004]", "looked up by their own names"),
        ("reproduction --call dtg_ff=dtg_ff[lr=0.004]", "looked up by their own names"),
    ],
)
def test_what_cannot_be_called_is_refused(words: str, said: str, cube: xr.Dataset, fill: Fill, cli: Cli) -> None:
    code, _, err = cli("analyze", *words.split(), "--store", fill(noisy()).path)
    assert (code, said in err) == (2, True), err


def test_a_plan_is_found_under_its_learners_own_names(fill: Fill, cli: Cli) -> None:
    plan = {"learner": "dtg_ff[lr=0.004]", "baseline": "bp_deepsup[lr=0.008]"}
    options = {"source": "digits", "K": "3 5 10", "seeds": "0-4", "learners": list(plan.values())}
    store = fill(noisy(), **options)
    store.note_study(Study.of("own", {**options, "plan": plan}))
    assert "primary contrast of the study" in cli("analyze", "contrast", *CALL, "--store", store.path)[1]


def test_of_several_values_of_a_condition_one_is_enough(fill: Fill, cli: Cli) -> None:
    for source in ("synthetic", "digits"):
        store = fill(noisy(), source=source)
    words = ["analyze", "paired", "--store", store.path, "--where"]
    both, one = (cli(*words, *w)[1] for w in (("source=digits", "source=synthetic"), ("source=digits",)))
    assert ("synthetic" in both, "synthetic" in one, "digits" in one) == (True, False, True)
    assert "none of" in cli(*words, "source=digits", "source=cifar10")[2]
    assert cli(*words, "K=3", "K=5", "K=7")[0] == 2
