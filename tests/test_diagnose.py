"""Inside trained networks: information estimators on known cases, kept weights, diagnoses, profiles."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kaxis import plots
from kaxis.errors import KaxisError
from kaxis.execute.runner import run
from kaxis.measure.diagnose import BINS, ESTIMATORS, diagnose, diagnose_rows, known_case
from kaxis.spec.cell import Cell
from kaxis.spec.study import Study
from kaxis.stats.information import fano_bound, gaussian_mixture, histogram, ksg, label_entropy, probe_error
from kaxis.store.records import Store

from .conftest import noisy
from .test_images import write_npz

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# ---- estimators -----------------------------------------------------------------------------------------


def test_the_known_case_carries_what_it_says() -> None:
    """Two equally likely normals, d apart: I = 1 - E[log2(1 + exp(-d z))], z normal around d / 2, by Gauss-Hermite
    quadrature.
    """
    x, y, exact = gaussian_mixture(0.4, 2, 200_000, seed=1)
    d = x[y == 1].mean() - x[y == 0].mean()
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    z = nodes + d / 2
    by_hand = 1 - float((weights * np.log2(1 + np.exp(-d * z))).sum() / weights.sum())
    assert exact == pytest.approx(0.4, abs=1e-6)
    assert by_hand == pytest.approx(0.4, abs=0.01)
    with pytest.raises(ValueError, match="between 0 and log2 K"):
        gaussian_mixture(1.5, 2, 100)


def test_the_known_case_of_many_classes_is_known_too() -> None:
    assert gaussian_mixture(0.25, 200, 10)[2] == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize(("bits", "K"), [(0.25, 10), (0.5, 2), (1.5, 10)])
def test_estimators_are_near_the_known_case(bits: float, K: int) -> None:
    x, y, exact = gaussian_mixture(bits, K, 10_000)
    assert ksg(x, y) == pytest.approx(exact, abs=0.05)
    assert histogram(x, y, bins=50) == pytest.approx(exact, abs=0.05)
    found = [histogram(x, y, bins=b) for b in BINS]
    assert found == sorted(found)  # the bias that grows with the bins, as documented
    bound = fano_bound(probe_error(x[:, None], y, K), K, label_entropy(y))
    assert 0 < bound <= exact


def test_histograms_are_the_plug_in_of_a_table() -> None:
    from sklearn.metrics import mutual_info_score

    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 500)
    x = rng.integers(0, 10, 500) + 0.5 + y
    edges = np.linspace(x.min(), x.max(), 21)
    cut = np.clip(np.digitize(x, edges) - 1, 0, 19)
    assert histogram(x, y, bins=20) == pytest.approx(mutual_info_score(cut, y) / np.log(2))


@given(error=st.floats(0, 1), K=st.integers(2, 200))
def test_fanos_bound_lies_between_0_and_log2_k(error: float, K: int) -> None:
    bound = fano_bound(error, K, np.log2(K))
    assert 0 <= bound <= np.log2(K) + 1e-12
    assert fano_bound(0.0, K, np.log2(K)) == pytest.approx(np.log2(K))
    assert fano_bound(1 - 1 / K, K, np.log2(K)) == pytest.approx(0, abs=1e-9)


@settings(max_examples=10, deadline=None)
@given(K=st.integers(2, 12), spread=st.floats(0, 4), seed=st.integers(0, 100))
def test_a_probes_bound_never_exceeds_log2_k(K: int, spread: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = np.arange(400) % K
    x = spread * rng.standard_normal((K, 5))[y] + rng.standard_normal((400, 5))
    assert fano_bound(probe_error(x, y, K, epochs=5), K, label_entropy(y)) <= np.log2(K) + 1e-9


def test_a_probe_reads_what_is_linear_and_is_at_chance_on_noise() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 2000)
    assert probe_error(np.eye(3)[y] + 0.01 * rng.standard_normal((2000, 3)), y, 3) == 0
    assert probe_error(rng.standard_normal((2000, 3)), y, 3) == pytest.approx(2 / 3, abs=0.08)


def test_what_estimators_say_of_a_known_case() -> None:
    said = known_case(10, 10_000, 0.25)
    assert set(said) == {"exact", "ksg", "probe", *(f"histogram_{b}" for b in BINS)}
    assert said["ksg"] == pytest.approx(said["exact"], abs=0.05)


# ---- trained networks -----------------------------------------------------------------------------------

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


# ---- profiles -------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_profile_is_a_trace_that_viewers_open(cli: Cli, tmp_path: Path) -> None:
    trace = tmp_path / "deep" / "trace.json"
    line = ["run", "digits", "--K", "3", "--seeds", "0", "--steps", "40", "--learners", "dtg_ff", "bp"]
    line += ["--store", str(tmp_path / "runs"), "--profile", str(trace)]
    code, out, _ = cli(*line)
    assert code == 0
    assert len([row for row in out.splitlines() if row.startswith("aten::")]) >= 5
    assert "2 trained" in out
    events = json.loads(trace.read_text())["traceEvents"]
    assert any(e.get("name") == "aten::baddbmm" for e in events)
    before = trace.read_bytes()
    code, _, err = cli(*line)  # nothing left to train: nothing lost
    assert code == 0
    assert "no step was traced" in err
    assert trace.read_bytes() == before
    code, _, err = cli(*("3" if part == "40" else part for part in line[:-1]), str(tmp_path / "short.json"), "--force")
    assert code == 2
    assert "has 3 steps; more than 3 are needed" in err
    assert not (tmp_path / "short.json").exists()
    (tmp_path / "file").write_text("")
    code, _, err = cli(*line[:-1], str(tmp_path / "file" / "x.json"))
    assert code == 2
    assert "profile" in err
