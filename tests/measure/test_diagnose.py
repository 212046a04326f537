"""Trained networks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kaxis import plots
from kaxis.errors import KaxisError
from kaxis.execute.runner import run
from kaxis.measure.diagnose import ESTIMATORS, diagnose, diagnose_rows
from kaxis.spec.cell import Cell
from kaxis.spec.study import Study
from kaxis.store.records import Store
from tests.helpers import Cli, noisy, write_npz

DIGITS: dict[str, Any] = {"source": "digits", "K": 4, "seeds": "0-1", "steps": 60, "batch_size": 32}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("inside") / "runs")
    options = {**DIGITS, "learners": ["dtg_ff", "bp_deepsup", "bp"]}
    run(Study.of("digits", options), store, jobs=1, weights=True)
    return store


def test_layers_of_kept_weights_are_those_of_the_record(trained: Store) -> None:
    results = diagnose(trained, estimators=())
    assert {one.attrs["learner"] for one in results} == {"dtg_ff", "bp_deepsup", "bp"}
    records = {Cell(r["config"]).id: r for r in trained.records()}
    for record in records.values():
        cell = Cell(record["config"])
        (one,) = (o for o in results if o.attrs["learner"] == cell.learner)
        own = one.sel(seed=cell.seed)
        heads = own.layer_accuracy.dropna("layer").values
        assert heads.tolist() == pytest.approx(record["metrics"]["layer_test_accuracy"], abs=1e-12)
        assert float(own.accuracy) == record["metrics"]["test_accuracy"]
        assert max(heads) <= float(own.oracle) <= 1
    (bp,) = (o for o in results if o.attrs["learner"] == "bp")
    assert int(bp.layer_accuracy.isel(seed=0).notnull().sum()) == 1


def test_disagreement_is_a_distance_and_temperatures_are_those_along_training(trained: Store) -> None:
    (one,) = (o for o in diagnose(trained, where={"learner": "dtg_ff"}, estimators=(), temperatures=True))
    d = one.disagreement.values
    assert np.allclose(d, d.transpose(0, 2, 1))
    assert np.allclose(np.diagonal(d, axis1=1, axis2=2), 0)
    assert (one.step.isel(look=0) == 0).all()
    assert np.allclose(one.temperature.isel(look=0), (0.1 + 2.0) / 2)
    record = next(r for r in trained.records() if Cell(r["config"]).learner == "dtg_ff" and r["config"]["seed"] == 1)
    assert one.last_temperature.sel(seed=1).values.tolist() == record["metrics"]["temperature"]


def test_information_and_rows_with_intervals_over_seeds(trained: Store) -> None:
    (one,) = diagnose(trained, where={"learner": "dtg_ff"})
    assert one.information.shape == (2, 4, len(ESTIMATORS))
    assert (one.information.values >= 0).all()
    assert float(one.information.sel(estimator=["probe_goodness", "probe_gap"]).max()) <= 2  # log2 4
    rows = diagnose_rows(one)
    accuracy = next(r for r in rows if r["layer"] is None and r["quantity"] == "accuracy")
    a, b = one.accuracy.values
    assert accuracy["mean"] == pytest.approx((a + b) / 2)
    assert accuracy["ci_upper"] - accuracy["mean"] == pytest.approx(12.706 * abs(a - b) / 2, rel=1e-3)  # t, 1 degree
    assert {r["n_seeds"] for r in rows} == {2}
    figure, drawn = plots.diagnose(one)
    assert len(figure.axes) == 4
    assert {r["quantity"] for r in drawn} == {"accuracy", "temperature", "disagreement", *ESTIMATORS}


def test_conv_nets_are_looked_into_too(tmp_path: Path) -> None:
    source = f"npz:{write_npz(tmp_path / 'x.npz')}"
    options = {"source": source, "net": "vgg8", "width": 0.03, "epochs": 1, "batch_size": 16, "seeds": 0}
    store = Store(tmp_path / "runs")
    run(Study.of("x", {**options, "learners": ["dtg_ff", "bp_deepsup"]}), store, jobs=1, weights=True)
    for one in diagnose(store, estimators=("ksg", "probe_gap")):
        record = next(r for r in store.records() if Cell(r["config"]).learner == one.attrs["learner"])
        assert one.layer_accuracy.isel(seed=0).values.tolist() == record["metrics"]["layer_test_accuracy"]
        assert one.information.shape == (1, 7, 2)
        assert ("temperature" in one) == (one.attrs["learner"] == "dtg_ff")


def test_weights_change_no_record_and_are_made_up_for(tmp_path: Path) -> None:
    study = Study.of("digits", {**DIGITS, "learners": ["dtg_ff"]})
    plain, kept = Store(tmp_path / "plain"), Store(tmp_path / "kept")
    run(study, plain, jobs=1)
    run(study, kept, jobs=1, weights=True)
    without = [{k: v for k, v in r.items() if k != "provenance"} for r in plain.records()]
    assert without == [{k: v for k, v in r.items() if k != "provenance"} for r in kept.records()]
    assert run(study, plain, jobs=1, weights=True).trained == 2  # finished, but without weights
    assert run(study, plain, jobs=1, weights=True).trained == 0
    for cell in study.cells():
        assert torch.load(plain.weights(cell)).keys() == torch.load(kept.weights(cell)).keys()
        for a, b in zip(torch.load(plain.weights(cell)).values(), torch.load(kept.weights(cell)).values(), strict=True):
            assert torch.equal(a, b)
    best = Study.of("digits", {**DIGITS, "learners": ["dtg_ff"], "select": "best", "holdout": 0.2})
    with pytest.raises(KaxisError, match="whose weights are not kept"):
        run(best, plain, jobs=1, weights=True)


def test_diagnose_on_the_command_line(cli: Cli, trained: Store, tmp_path: Path) -> None:
    line = ("diagnose", "--store", trained.path, "--where", "learner=dtg_ff")
    code, out, _ = cli(*line, "--show", "accuracy", "--figure", tmp_path)
    assert code == 0
    assert "oracle" in out
    assert "Bits" not in out
    assert (tmp_path / "diagnose_digits_K4_dtg_ff.svg").exists()
    code, out, _ = cli(*line, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["attrs"]["known_cases"][0]["exact"] == pytest.approx(0.25, abs=1e-6)
    assert {"layer", "quantity", "mean", "ci_lower", "ci_upper", "n_seeds"} <= set(found["rows"][0])


def test_learners_without_layers_are_left_out_by_name(cli: Cli, tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    study = Study.of("digits", {**DIGITS, "learners": ["bp", "bp_ensemble", "bp[temperature=learned]"], "seeds": 0})
    run(study, store, jobs=1, weights=True)
    code, out, _ = cli("diagnose", "--store", store.path, "--show", "accuracy", "--figure", tmp_path)
    assert code == 0
    assert "no two heads to compare" in out
    assert "Left out: learner 'bp_ensemble'" in out
    (one,) = (o for o in diagnose(store, estimators=()) if "temperature" in o)
    assert one.last_temperature.isel(seed=0).isnull().values.tolist() == [True, True, True, False]


def test_configurations_are_not_pooled_as_seeds(cli: Cli, tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    for lr in (0.001, 0.01):
        study = Study.of("digits", {**DIGITS, "learners": ["dtg_ff"], "seeds": 0, "lr": lr})
        run(study, store, jobs=1, weights=True)
    code, _, err = cli("diagnose", "--store", store.path)
    assert code == 2
    assert "choose with --where lr=" in err
    code, _, _ = cli("diagnose", "--store", store.path, "--where", "lr=0.01", "--show", "accuracy")
    assert code == 0


def test_seeds_of_different_lengths_stand_side_by_side(tmp_path: Path) -> None:
    """Epochs of class subsets of different sizes are different numbers of steps."""
    store = Store(tmp_path / "runs")
    options = {k: v for k, v in DIGITS.items() if k != "steps"}
    study = Study.of("digits", {**options, "split": "interleaved", "seeds": "0-2", "epochs": 2, "learners": ["dtg_ff"]})
    run(study, store, jobs=1, weights=True)
    (one,) = diagnose(store, estimators=())
    assert len({float(s.max()) for s in one.step}) > 1
    last = [r["metrics"]["temperature"] for r in store.records()]
    assert sorted(one.last_temperature.values.tolist()) == sorted(last)
    assert all(np.isfinite(r["mean"]) for r in diagnose_rows(one))
    plots.diagnose(one)


def test_weights_are_those_of_the_record(cli: Cli, tmp_path: Path) -> None:
    study = Study.of("digits", {**DIGITS, "learners": ["dtg_ff"], "seeds": 0})
    store, (cell,) = Store(tmp_path / "runs"), study.cells()
    run(study, store, jobs=1, weights=True)
    record = store.read(cell)
    assert record is not None
    store.write(cell, {**record, "data": {**record["data"], "checksums": {"digits": "others"}}})
    code, _, err = cli("diagnose", "--store", store.path)
    assert code == 2
    assert "trained on other files" in err
    run(study, store, jobs=1, force=True)
    assert not store.weights(cell).exists()  # they were of another training
    (tmp_path / "bad" / "runs").mkdir(parents=True)
    (tmp_path / "bad" / "runs" / "weights").write_text("")
    with pytest.raises(KaxisError, match="cannot be written"):
        run(study, Store(tmp_path / "bad" / "runs"), jobs=1, weights=True)


def test_bad_input_is_one_line(cli: Cli, trained: Store, tmp_path: Path) -> None:
    unfinished = Store(tmp_path / "half")
    study = Study.of("digits", {**DIGITS, "learners": ["dtg_ff"]})
    run(study, unfinished, jobs=1, weights=True)
    lost = study.cells()[1]
    (unfinished.path / "cells" / f"{lost.id}.json").unlink()
    damaged = Store(tmp_path / "damaged")
    run(study, damaged, jobs=1, weights=True)
    damaged.weights(study.cells()[0]).write_bytes(b"short")
    plain = Store(tmp_path / "plain")
    run(study, plain, jobs=1)
    for arguments, words in (
        (["--store", trained.path, "--where", "seed=7"], "records has seed=7"),
        (["--store", trained.path, "--where", "sead=0"], "did you mean 'seed'"),
        (["--store", tmp_path / "none"], "no store at"),
        (["--store", unfinished.path], "seed 1 is not finished"),
        (["--store", plain.path], "its weights were not kept; run it with --weights"),
        (["--store", damaged.path], "not whole"),
        (["--store", trained.path, "--show", "temperatures"], "has none to learn"),
        (["--store", trained.path, "--show", "colours"], "colours"),
    ):
        code, out, err = cli("diagnose", *arguments)
        assert (code, out) == (2, ""), err
        assert words in err
        assert err.count("\n") == 1


def test_failed_cells_and_rules_are_named(cli: Cli, fill: Callable[..., Store], tmp_path: Path) -> None:
    store = Store(tmp_path / "rules")
    run(Study.of("digits", {**DIGITS, "learners": ["ff_hybrid"], "K": 10, "seeds": 0}), store, jobs=1, weights=True)
    code, _, err = cli("diagnose", "--store", store.path)
    assert code == 2
    assert "a rule or an ensemble" in err
    code, _, err = cli("diagnose", "--store", fill(noisy(0.0)).path)
    assert code == 2
    assert "its weights were not kept" in err
