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


def test_the_slope_after_each_epoch_where_larger_K_take_more_steps(fill: Fill, tmp_path: Path, cli: Cli) -> None:
    """As with all images of every class: both K are looked at after the same epochs, and after other steps."""
    store, rng = fill(noisy(), K=(3, 5)), np.random.default_rng(0)
    for record in list(store.records()):
        steps, epochs = ([0, 235, 469, 4688], 120.0128) if record["config"]["K"] == 3 else ([0, 469, 938, 9375], 120.0)
        rising = sorted(rng.uniform(0.2, 0.9, 4))
        record["metrics"] |= {"test_accuracy": rising[-1], "train_accuracy": rising[-1]}
        record["data"] |= {"epochs": epochs}
        record["curves"] = {"step": steps, **{k: rising for k in record["curves"] if k != "step"}}
        record["metrics"] |= {"test_loss": rising[-1], "train_loss": rising[-1]}
        store.write(Cell(record["config"]), record)
    cube, pair = load_cube(store), {"learner": "dtg_ff", "baseline": "bp_deepsup"}
    assert slope_steps(cube, **pair).step.values.tolist() == [469]  # twelve epochs beside six
    with pytest.raises(KaxisError, match="by = week: step or epoch"):
        slope_steps(cube, **pair, by="week")  # type: ignore[arg-type]
    out = slope_steps(cube, **pair, by="epoch")
    assert out.epoch.values.tolist() == [6, 12, 120]
    looks = [cube.sel(K=K).test_accuracy_curve.sel(step=step) for K, step in ((3, 235), (5, 469))]
    apart = [100 * (c.sel(learner="dtg_ff") - c.sel(learner="bp_deepsup")) for c in looks]
    expected = (apart[1] - apart[0]) / np.log(5 / 3)
    assert out.per_seed.sel(epoch=6).values.ravel() == pytest.approx(expected.values.ravel())
    assert out.effect.sel(epoch=120).values == pytest.approx(contrast(cube, **pair).effect.values)
    assert cli("figure", "slope-steps", "--by", "epoch", "--store", store.path, "--out", tmp_path)[0] == 0
    assert "digits,12.0," in (tmp_path / "slope_steps.csv").read_text()


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
