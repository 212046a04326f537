"""A tuned learner: the same candidates for each, chosen on held-out samples, each trained once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kaxis.errors import KaxisError
from kaxis.execute.runner import run
from kaxis.spec.cell import Cell
from kaxis.spec.study import Study
from kaxis.spec.sweep import Sweep
from kaxis.store.cube import load_cube
from kaxis.store.records import Store
from tests.helpers import write_npz

TUNED: dict[str, Any] = {
    "source": "digits", "K": 3, "seeds": "0-1", "steps": 40, "width": 16, "depth": 2, "holdout": 0.2,
    "learners": ["bp", "dtg_ff[t_max=1]", "pepita"], "tune": ["lr=1e-3,0.01"],
}  # fmt: skip


def records(store: Store) -> dict[str, dict[str, Any]]:
    return {str(Cell(r["config"])): r for r in store.records()}


def test_the_best_on_held_out_samples_is_the_record_and_says_what_was_tried(tmp_path: Path) -> None:
    store, study = Store(tmp_path), Study.of("tuned", TUNED)
    assert run(study, store, jobs=1).trained == 6
    alone = Store(tmp_path / "alone")
    plain = {k: v for k, v in TUNED.items() if k != "tune"}
    names = ["bp[lr=0.001]", "bp[lr=0.01]", "dtg_ff[t_max=1,lr=0.001]", "dtg_ff[t_max=1,lr=0.01]"]
    run(Study.of("each", {**plain, "learners": names}), alone, jobs=1)
    each = records(alone)
    for name in ("bp", "dtg_ff[t_max=1]"):
        for seed in (0, 1):
            mine = records(store)[f"digits/holdout:0.2 K=3 {name} seed {seed}"]
            assert [t["status"] for t in mine["tuning"]["tried"]] == ["done", "done"]
            own = {
                t["learner"]: each[f"digits/holdout:0.2 K=3 {t['learner']} seed {seed}"]
                for t in mine["tuning"]["tried"]
            }
            assert {t["id"] for t in mine["tuning"]["tried"]} == {Cell(r["config"]).id for r in own.values()}
            best = max(own.values(), key=lambda r: (r["metrics"]["held_accuracy"], -r["metrics"]["held_loss"]))
            assert mine["metrics"] == best["metrics"]
            assert mine["tuning"]["chosen"] == best["config"]["learner"]["name"]
    assert list(load_cube(store).learner.values) == ["bp", "dtg_ff[t_max=1]", "pepita"]
    assert run(study, store, jobs=1).trained == 0


def test_what_was_tried_is_not_tried_again(tmp_path: Path) -> None:
    """A run that was stopped between its candidates goes on with those that are left."""
    store = Store(tmp_path)
    run(Study.of("tuned", TUNED), store, jobs=1)
    whole = records(store)
    beside = tmp_path / "tried" / "cells"
    kept = {f.name: f.stat().st_mtime_ns for f in beside.glob("*.json")}
    lost = sorted(kept)[0]
    (beside / lost).unlink()
    for f in (tmp_path / "cells").glob("*.json"):
        f.unlink()
    run(Study.of("tuned", TUNED), store, jobs=1)
    after = {f.name: f.stat().st_mtime_ns for f in beside.glob("*.json")}
    assert {name for name in after if after[name] != kept[name]} == {lost}
    assert {k: r["metrics"] for k, r in records(store).items()} == {k: r["metrics"] for k, r in whole.items()}


def test_a_candidate_that_is_asked_for_by_itself_too_has_its_own_record(tmp_path: Path) -> None:
    store = Store(tmp_path)
    sweeps = [{"learners": ["bp"]}, {"learners": ["bp[lr=0.001]"], "tune": []}]
    study = Study.of("both", {**TUNED, "sweep": sweeps})
    assert run(study, store, jobs=1).trained == 4
    assert run(study, store, jobs=1).trained == 0
    found = records(store)
    for seed in (0, 1):
        plain = found[f"digits/holdout:0.2 K=3 bp[lr=0.001] seed {seed}"]
        assert "tuning" not in plain
        assert plain["metrics"]["held_accuracy"] in [
            t["held_accuracy"] for t in found[f"digits/holdout:0.2 K=3 bp seed {seed}"]["tuning"]["tried"]
        ]


def test_candidates_of_other_files_are_not_chosen_from(tmp_path: Path) -> None:
    """The tuned records are gone, the images are others: what was tried on the old ones is not used in silence."""
    file = write_npz(tmp_path / "x.npz")
    options = {**TUNED, "source": f"npz:{file}", "learners": ["bp"], "steps": 5}
    store = Store(tmp_path / "store")
    run(Study.of("x", options), store, jobs=1)
    for record in (store.path / "cells").glob("*.json"):
        record.unlink()
    for kept in (store.path / "tried" / "cells").glob("*.json"):
        record = json.loads(kept.read_text())
        assert record["data"]["checksums"]
        cell, rest = Cell(record["config"]), {k: v for k, v in record.items() if k != "config"}
        rest["data"] = {**rest["data"], "checksums": dict.fromkeys(rest["data"]["checksums"], "0" * 64)}
        Store(store.path / "tried").write(cell, rest)
    with pytest.raises(KaxisError, match="was trained on other files; use --force"):
        run(Study.of("x", options), store, jobs=1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"holdout": 0}, "tune = lr=1e-3,0.01: needs held-out training samples; set holdout, for example 0.1"),
        ({"tune": ["lr"]}, "tune = lr: write a setting and its values"),
        ({"tune": ["lr=1,1.0"]}, "1 is given twice"),
        ({"tune": ["lr=1,2", "lr=3"]}, "lr is given twice"),
        ({"tune": ["rate=1,2"]}, "is not key=value with a key out of"),
        ({"tune": ["t_max=1,2"], "learners": ["bp"]}, "t_max has no effect on it"),
        ({"learners": ["bp[lr=0.1]"]}, "tune = lr: learner .bp.lr=0.1.. says lr itself"),
        ({"tune": ["lr=" + ",".join(f"{i}" for i in range(1, 102))]}, "101 candidates for each learner, 100 at most"),
        (
            {
                "tune": [
                    f"{k}={','.join(str(i) for i in range(1, 99))}" for k in ("lr", "clip", "weight_decay", "t_max")
                ]
            },
            "92,236,816 candidates for each learner",
        ),
    ],
)
def test_what_cannot_be_tuned_is_one_line(change: dict[str, Any], says: str) -> None:
    with pytest.raises(KaxisError, match=says) as error:
        Sweep.of({**TUNED, **change})
    assert "\n" not in str(error.value)


def test_tuned_and_untuned_cells_are_never_mixed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for tune in ([], TUNED["tune"]):
        run(Study.of("x", {**TUNED, "learners": ["bp"], "seeds": 0, "tune": tune}), store, jobs=1)
    with pytest.raises(KaxisError, match=r"the store holds lr = 0\.001 and tuned"):
        load_cube(store)
    assert load_cube(store, {"lr": "tuned"}).sizes["seed"] == 1
