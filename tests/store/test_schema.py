"""What a record holds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kaxis.stats.effects import paired
from kaxis.store.cube import load_cube
from tests.helpers import Cli, Fill, fake_result, noisy
from tests.store.spoilt import AB, record_file, the_cell

pytestmark = pytest.mark.filterwarnings("ignore:.*skipped")  # said on stderr too


def edit(file: Path, change: Callable[[dict[str, Any]], None], *, keep_digest: bool = False) -> None:
    """As by hand: the digest stays what it was, or goes as in a record of an older version."""
    record = json.loads(file.read_text())
    change(record)
    if not keep_digest:
        record["provenance"].pop("digest", None)
    file.write_text(json.dumps(record, indent=1))


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    *places, last = path.split(".")

    def change(record: dict[str, Any]) -> None:
        for place in places:
            record = record[place]
        if value is put:
            del record[last]
        else:
            record[last] = value

    return change


ALTERED = [
    ("metrics.test_accuracy", 1.7),
    ("metrics.test_accuracy", -3),
    ("metrics.test_accuracy", "0.9"),
    ("metrics.test_accuracy", True),
    ("metrics.test_accuracy", math.nan),
    ("metrics.test_accuracy", 1e308),
    ("metrics.test_accuracy", None),
    ("metrics.test_accuracy", 0.501),  # a changed digit: its curve says otherwise
    ("metrics.test_loss", math.inf),
    ("metrics.train_loss", -1.0),
    ("metrics.selected_step", 7),
    ("metrics.layer_test_accuracy", [0.5, "x"]),
    ("metrics", {}),
    ("metrics", []),
    ("status", "failed"),  # with its metrics kept
    ("status", "finished"),
    ("reason", "diverged"),
    ("reason", 3),
    ("curves.step", [10, 0]),
    ("curves.step", [0, 10**30]),
    ("curves.test_accuracy", [0.1]),
    ("curves.train_loss", 7),
    ("data.chance", 1.5),
    ("data.n_train", 0),
    ("data.n_train", "many"),
    ("counts.parameters", -1),
    ("provenance", None),
    *((field, put) for field in ("curves", "metrics", "counts", "reason", "data", "status", "provenance", "config")),
    ("data.chance", put),
    ("metrics.train_accuracy", put),
]


@pytest.mark.parametrize(("path", "value"), ALTERED)
def test_a_record_with_a_wrong_field_is_named_counted_and_trained_again(
    path: str, value: Any, fill: Fill, cli: Cli
) -> None:
    store, cell = fill(noisy()), the_cell()
    file = record_file(store, cell)
    record = json.loads(file.read_text())
    put(path, value)(record)
    if isinstance(record.get("provenance"), dict):
        record["provenance"].pop("digest", None)  # as older records are: by its fields alone
    file.write_text(json.dumps(record))
    assert not store.has(cell)  # so a run trains it again
    cube = load_cube(store)
    effect = paired(cube, **AB)
    assert int(effect.n_seeds.sel(K=3)[0]) == 4
    assert any(file.name in p for p in cube.attrs["problems"])
    assert any(cell.id in note or str(cell) in note for note in effect.attrs["notes"])
    code, out, _ = cli("status", "--store", store.path, "--json")
    assert code == 0
    seen = json.loads(out)
    assert any(file.name in p for p in seen["problems"])
    assert sum(r["cells"] for r in seen["rows"] if r["status"] == "done") == 29
    if path != "config":
        assert [(r["learner"], r["cells"]) for r in seen["rows"] if r["status"] == "damaged"] == [("dtg_ff", 1)]
    assert cli("store", "check", "--store", store.path)[0] == 1


@pytest.mark.parametrize(
    "change",
    [put("metrics.test_loss", 0.21), put("data.n_train", 11), put("provenance.finished", "2027"), put("more", 1)],
)
def test_a_digest_covers_the_whole_record(change: Callable[[dict[str, Any]], None], fill: Fill) -> None:
    """Edited so that every field is right by itself."""

    def whole(record: dict[str, Any]) -> None:
        change(record)
        record["curves"]["test_loss"][-1] = record["metrics"]["test_loss"]

    store, cell = fill(noisy()), the_cell()
    edit(record_file(store, cell), whole, keep_digest=True)
    assert store.read(cell) is None
    assert "not what its digest says" in str(load_cube(store).attrs["problems"])
    edit(record_file(store, cell), lambda record: None)  # without one it is a record of an older version
    assert store.read(cell) is not None


def test_a_record_may_be_laid_out_anew(fill: Fill) -> None:
    """White space is no content: an editor, or another system's line ends, harm nothing."""
    store, cell = fill(noisy()), the_cell()
    file = record_file(store, cell)
    before = store.read(cell)
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert store.read(cell) == before
    file.write_text(json.dumps(json.loads(file.read_text())))
    assert store.read(cell) == before


def test_records_of_older_versions_stay_valid_and_are_counted(fill: Fill, cli: Cli) -> None:
    store, cell = fill(noisy()), the_cell()
    code, out, _ = cli("store", "check", "--store", store.path)
    assert (code, "30 of them with a digest that agrees, 0 of before" in out) == (
        1,
        True,
    )  # made-up accuracies: doubted
    for file in (store.path / "cells").iterdir():
        edit(file, lambda record: None)
    assert len(list(store.records())) == 30
    assert store.undigested == 30
    code, out, _ = cli("store", "check", "--store", store.path, "--json")
    found = json.loads(out)
    assert (found["records"], len(found["without_digest"])) == (30, 30)
    assert any("no whole number of 10 samples" in p for p in found["problems"])
    assert store.read(cell) is not None


def test_whatever_a_finished_training_may_show_can_be_read_again(fill: Fill) -> None:
    """A test loss has no limit: only the training loss decides that a cell has diverged."""
    store, cell = fill(noisy()), the_cell()
    made = fake_result(0.9, 0.8)
    made["metrics"]["test_loss"] = made["curves"]["test_loss"][-1] = 3e38
    store.write(cell, made)
    assert store.read(cell) is not None


def test_the_digest_is_provenance_and_replacing_a_record_renews_it(fill: Fill) -> None:
    store, cell = fill(noisy()), the_cell()
    record = store.read(cell)
    assert record is not None
    store.write(cell, record)
    assert store.read(cell) is not None
    assert set(record) == {"config", *fake_result(0, 0)}
