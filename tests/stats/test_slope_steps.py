"""Training length."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kaxis.errors import KaxisError
from kaxis.spec.cell import Cell
from kaxis.stats.contrasts import contrast, slope_steps
from kaxis.stats.effects import paired
from kaxis.store.cube import load_cube
from kaxis.store.records import Store
from tests.helpers import Cli, noisy

Fill = Callable[..., Store]


def test_the_slope_after_each_number_of_steps_is_the_contrast_there(fill: Fill) -> None:
    cube = load_cube(fill(noisy()))
    rng = np.random.default_rng(0)
    cube["test_accuracy_curve"] = cube.test_accuracy_curve + rng.normal(0, 0.01, cube.test_accuracy_curve.shape)
    out = slope_steps(cube, learner="dtg_ff", baseline="bp_deepsup")
    assert out.step.values.tolist() == [10]  # the start is no training
    at = cube.assign(test_accuracy=cube.test_accuracy_curve.sel(step=10, drop=True))
    expected = contrast(at, learner="dtg_ff", baseline="bp_deepsup")
    for name in ("effect", "ci", "p", "n_seeds", "per_seed"):
        assert out[name].sel(step=10).values == pytest.approx(expected[name].values)
    with pytest.raises(KaxisError, match="no learning curves"):
        slope_steps(load_cube(fill(noisy()), curves=False), learner="dtg_ff", baseline="bp_deepsup")


def test_sources_looked_at_after_other_steps_stand_side_by_side(fill: Fill, tmp_path: Path, cli: Cli) -> None:
    store = fill(noisy())
    fill(noisy(), source="synthetic")
    cube = load_cube(store)
    cube["test_accuracy_curve"] = cube.test_accuracy_curve.where((cube.source == "digits") | (cube.step == 0))
    with pytest.raises(KaxisError):
        slope_steps(cube.sel(source=["synthetic"]), learner="dtg_ff", baseline="bp_deepsup")
    out = slope_steps(cube, learner="dtg_ff", baseline="bp_deepsup")
    assert out.source.values.tolist() == ["digits"]
    code, said, _ = cli("figure", "slope-steps", "--store", store.path, "--out", tmp_path / "f")
    assert code == 0
    assert "slope_steps.csv" in said
    assert "paired" not in said


def test_temperatures_need_no_layer_accuracies(fill: Fill) -> None:
    """As where the best look counts, for which layers are not looked at."""
    store = fill(noisy())
    for record in list(store.records()):
        metrics = {**record["metrics"], "layer_test_accuracy": [], "temperature": [0.5, 1.0]}
        store.write(Cell(record["config"]), {**record, "metrics": metrics})
    cube = load_cube(store)
    assert cube.sizes["layer"] == 2
    assert cube.layer_test_accuracy.isnull().all()


def test_cubes_without_curves_say_the_same(fill: Fill) -> None:
    store = fill(noisy())
    whole, lean = load_cube(store), load_cube(store, curves=False)
    assert "step" not in lean.dims
    pair = {"learner": "dtg_ff", "baseline": "bp_deepsup"}
    assert paired(whole, **pair).identical(paired(lean, **pair))
