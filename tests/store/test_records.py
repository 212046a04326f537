"""Records and the cube: nothing lost, nothing mixed, nothing foreign taken in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kaxis.errors import KaxisError
from kaxis.spec.cell import Cell
from kaxis.spec.study import Study
from kaxis.spec.sweep import Sweep
from kaxis.store.cube import load_cube
from kaxis.store.records import Store
from tests.helpers import ROOT, fake_result, noisy

Fill = Callable[..., Store]


def test_cube_has_every_cell_in_its_place(fill: Fill) -> None:
    accuracy = noisy()
    cube = load_cube(fill(accuracy))
    assert cube.test_accuracy.dims == ("source", "K", "learner", "seed")
    assert dict(cube.sizes) | {"step": 2} == {"source": 1, "K": 3, "learner": 2, "seed": 5, "step": 2, "layer": 1}
    for cell in Sweep.of(
        {"source": "digits", "K": "3 5 10", "seeds": "0-4", "learners": ["bp_deepsup", "dtg_ff"]}
    ).cells():
        at = {"source": cell.source, "K": cell.K, "learner": cell.learner, "seed": cell.seed}
        assert float(cube.test_accuracy.sel(at)) == accuracy(cell)
        assert str(cube.status.sel(at).item()) == "done"


def test_missing_and_failed_cells_are_not_numbers(fill: Fill) -> None:
    cube = load_cube(fill(lambda c: None if (c.K, c.seed) == (3, 1) else "failed" if (c.K, c.seed) == (5, 2) else 0.5))
    assert (cube.status.sel(K=3, seed=1) == "missing").all()
    assert (cube.status.sel(K=5, seed=2) == "failed").all()
    assert "diverged" in str(cube.reason.sel(K=5, seed=2).values[0, 0])
    assert np.isnan(cube.test_accuracy.sel(K=5, seed=2)).all()
    assert int(np.isnan(cube.test_accuracy).sum()) == 4


def test_truncated_and_foreign_files_are_named_and_left_alone(fill: Fill) -> None:
    store = fill(noisy())
    files = sorted((store.path / "cells").iterdir())
    files[0].write_bytes(files[0].read_bytes()[:100])
    files[1].rename(store.path / "cells" / "other.json")
    (store.path / "cells" / "notes.txt").write_text("hello")
    (store.path / "cells" / "x.json.part").write_text("{")
    cube = load_cube(store)
    assert len(cube.attrs["problems"]) == 3
    assert int((cube.status == "done").sum()) == 28
    assert files[0].exists()
    assert (store.path / "cells" / "notes.txt").exists()


def test_a_truncated_record_is_not_a_finished_cell(fill: Fill) -> None:
    store = fill(noisy())
    cell = Sweep.of({"source": "digits", "K": 3, "seeds": "0", "learners": ["dtg_ff"]}).cells()[0]
    assert store.has(cell)
    file = store.path / "cells" / f"{cell.id}.json"
    file.write_bytes(file.read_bytes()[:-20])
    assert not store.has(cell)


def test_a_failure_of_before_that_is_done_by_now_is_history(fill: Fill) -> None:
    """Mended and run again, a learner needs no choice between its versions."""
    fill(lambda cell: "failed" if cell.learner == "dtg_ff" else noisy()(cell), lr=0.01, learners=["dtg_ff"])
    store = fill(noisy())
    cube = load_cube(store)
    assert (cube.status == "done").all()
    assert len(list(store.records())) == 45


def test_two_configurations_are_refused_until_one_is_chosen(fill: Fill) -> None:
    fill(noisy())
    store = fill(noisy(), lr=0.01)
    with pytest.raises(
        KaxisError, match=r"lr = 0\.001 and 0\.01 for digits: choose with --where lr=0\.01 \(trained last\)"
    ):
        load_cube(store)
    assert int((load_cube(store, {"lr": "0.01"}).status == "done").sum()) == 30
    assert int((load_cube(store, {"lr": "1e-3"}).status == "done").sum()) == 30
    with pytest.raises(KaxisError, match="did you mean 'lr'"):
        load_cube(store, {"l": "0.01"})
    with pytest.raises(KaxisError, match="none of 60 records has lr=7"):
        load_cube(store, {"lr": "7"})


def test_learners_trained_differently_are_a_mixture_too(fill: Fill) -> None:
    """bp_deepsup at 8,000 steps beside dtg_ff at 100 is no comparison."""
    fill(noisy(), learners=["bp_deepsup"])
    store = fill(noisy(), learners=["dtg_ff"], steps=100)
    with pytest.raises(KaxisError, match="steps = 100 and 8000"):
        load_cube(store)


@pytest.mark.parametrize(
    ("one", "other", "message", "where"),
    [
        ({"steps": 3}, {"epochs": 1}, "steps = 3 and none", {"epochs": "1"}),
        ({"learners": "asge", "holdout": 0.1}, {"tune": ["norm=none,layernorm"]}, "tune = none and", {"tune": "none"}),
        ({"holdout": 0.1}, {"tune": ["bias=yes,no"]}, "bias = tuned and yes", {"bias": "yes"}),
        ({"learners": "predsim"}, {"weight_decay": 0.5}, "weight_decay = 0.0 and 0.5", {"weight_decay": "0"}),
        ({"source": "cifar10", "net": "vgg8"}, {"kernels": "plain"}, "kernels = fused and plain", {"kernels": "plain"}),
    ],
)
def test_what_one_configuration_leaves_out_is_a_difference(
    fill: Fill, one: dict[str, Any], other: dict[str, Any], message: str, where: dict[str, str]
) -> None:
    """A setting at its default is not named; records with it and without it are no pair of seeds."""
    small = {"K": [3], "seeds": "0-1", "learners": "bp", **one}
    fill(noisy(), **small)
    store = fill(noisy(), **{k: v for k, v in small.items() if not (k == "steps" and "epochs" in other)}, **other)
    with pytest.raises(KaxisError, match=message):
        load_cube(store)
    assert int((load_cube(store, where).status == "done").sum()) == 2


def test_brackets_make_learners_of_their_own(fill: Fill) -> None:
    cube = load_cube(fill(noisy(), learners=["bp_deepsup", "dtg_ff", "dtg_ff[lr=0.01]", "dtg_ff[t_max=1]"]))
    assert cube.learner.values.tolist() == ["bp_deepsup", "dtg_ff", "dtg_ff[lr=0.01]", "dtg_ff[t_max=1]"]


def test_sources_may_differ_in_steps(fill: Fill) -> None:
    fill(noisy(), steps=1000)
    cube = load_cube(fill(noisy(), source="synthetic"))
    assert cube.source.values.tolist() == ["synthetic", "digits"]


def test_empty_and_impossible_stores(tmp_path: Path) -> None:
    with pytest.raises(KaxisError, match="holds no records"):
        load_cube(Store(tmp_path))
    (tmp_path / "f").write_text("")
    with pytest.raises(KaxisError, match="is a file"):
        Store(tmp_path / "f")
    with pytest.raises(KaxisError, match="cannot be written"):
        Store(tmp_path / "f" / "below").prepare()


def test_a_plan_is_kept_with_its_date_and_never_rewritten(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    study = Study.of("s", {"source": "digits", "K": 3})
    store.note_study(study)
    (first,) = (tmp_path / "studies").iterdir()
    before = first.read_bytes()
    store.note_study(study)
    assert first.read_bytes() == before
    store.note_study(Study.of("s", {"source": "digits", "K": 3, "plan": {"learner": "bp"}}))
    kept = store.studies()
    assert len(kept) == 2
    assert {c.id for c in kept[0][0].cells()} == {c.id for c in kept[1][0].cells()}
    assert kept[0][1] <= kept[1][1]


def test_a_failed_write_leaves_the_old_record(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    cell = Cell(Sweep.of({"source": "digits", "K": 3, "learners": "bp"}).cells()[0].config)
    store.write(cell, fake_result(0.9, 0.8))
    with pytest.raises(ValueError, match="JSON"):
        store.write(cell, {**fake_result(0.9, 0.8), "metrics": {"test_accuracy": float("nan")}})
    (record,) = store.records()
    assert record["metrics"]["test_accuracy"] == 0.8
    assert json.loads((tmp_path / "cells" / f"{cell.id}.json").read_text())["config"] == cell.config


def test_cells_that_were_asked_for_and_never_run_are_missing_from_the_cube_by_name(fill: Fill) -> None:
    store = fill(noisy(), K="3 5")
    store.note_study(
        Study.of("s", {"source": "digits", "K": "3 5 10", "seeds": "0-5", "learners": ["bp_deepsup", "dtg_ff"]})
    )
    cube = load_cube(store)
    assert cube.K.values.tolist() == [3, 5, 10]
    assert (cube.status.sel(K=10) == "missing").all()
    assert cube.asked.all()


def test_a_record_of_another_format_is_not_read(fill: Fill) -> None:
    store = fill(noisy())
    file = next((store.path / "cells").iterdir())
    record = json.loads(file.read_text())
    record["config"]["format"] = 0
    (store.path / "cells" / f"{Cell(record['config']).id}.json").write_text(json.dumps(record))
    cube = load_cube(store)
    assert len(cube.attrs["problems"]) == 1
    assert int((cube.status == "done").sum()) == 30


def test_doing_a_cell_again_keeps_the_date_of_its_first_result(tmp_path: Path) -> None:
    """Else a plan written after the results would look older than they are."""
    store = Store(tmp_path)
    store.prepare()
    cell = Sweep.of({"source": "digits", "K": 3, "seeds": "0", "learners": "bp"}).cells()[0]
    for date in ("2026-01-02", "2026-02-02", "2026-03-02"):
        store.write(cell, {**fake_result(0.9, 0.8), "provenance": {"finished": date}})
    assert str(load_cube(store).finished.item()) == "2026-01-02"


def test_records_may_be_read_by_whoever_may_read_the_folder(fill: Fill) -> None:
    store = fill(noisy())
    plain = store.path / "plain"
    plain.write_text("")
    modes = {file.stat().st_mode for file in (store.path / "cells").iterdir()}
    assert modes == {plain.stat().st_mode}


def test_no_link_is_committed() -> None:
    root = ROOT
    assert not [p for p in (*root.glob("studies/**/*"), *root.glob("figures/*")) if p.is_symlink()]
