"""Which test samples a cell got right: kept in its record, in the order of the test set, and believed only where it
agrees.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kaxis.errors import KaxisError
from kaxis.execute.runner import run
from kaxis.outcomes import pack, unpack
from kaxis.sources.load import load_task
from kaxis.spec.cell import Cell
from kaxis.spec.study import Study
from kaxis.store.cube import load_cube
from kaxis.store.records import Store
from kaxis.store.schema import fault
from kaxis.train.dense import DenseStack


@given(st.lists(st.booleans(), max_size=70))
def test_what_is_packed_comes_back(right: list[bool]) -> None:
    assert unpack(pack(np.array(right, bool)), len(right)).tolist() == right


@pytest.mark.parametrize("text", ["oA", "oA==oA==", "ö", "AAAA", "oQ=="])
def test_bits_of_other_samples_are_refused(text: str) -> None:
    with pytest.raises(KaxisError, match=r"base64|samples"):
        unpack(text, 3)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(tmp_path_factory.mktemp("store"))
    options = {"source": "digits", "K": 5, "seeds": "0-1", "steps": 60, "learners": ["bp", "bp_ensemble"]}
    best = {"source": "digits", "K": 5, "seeds": 0, "steps": 60, "learners": "bp", "holdout": 0.2, "select": "best"}
    run(Study.of("plain", options), made, device="cpu", weights=True)
    run(Study.of("best", best), made, device="cpu")
    return made


def test_every_record_says_which_and_as_many_as_its_accuracy(store: Store) -> None:
    for record in store.records():
        right = unpack(record["test_right"], record["data"]["n_test"])
        assert right.sum() == round(record["metrics"]["test_accuracy"] * len(right))
        assert 0 < right.sum() < len(right)


def test_they_are_the_samples_in_the_order_of_the_test_set(store: Store) -> None:
    """By hand, from the weights that were kept, one sample after another."""
    cells = [c for c in Study.of("s", {"source": "digits", "K": 5, "seeds": 1, "steps": 60, "learners": "bp"}).cells()]
    record = next(r for r in store.records() if r["config"] == cells[0].config)
    task = load_task(cells[0].config["source"], 5, 1)
    stack = DenseStack(cells, [(1, 0)], {1: task}, "cpu")
    from kaxis.train.checkpoint import load_weights

    load_weights(store.weights(cells[0]), stack, [0])
    p = {name: tensor[0].double() for name, tensor in stack.net.p.items()}
    by_hand = []
    for row, label in zip(task.test_rows, task.y_test, strict=True):
        h = torch.from_numpy(task.features[row]).double()[:, None]
        for layer in range(4):
            h = torch.relu(p[f"W{layer}"] @ h + p[f"b{layer}"])
        by_hand.append(int((p["R3"] @ h + p["c3"]).argmax()) == label)
    assert unpack(record["test_right"], len(by_hand)).tolist() == by_hand


@pytest.mark.parametrize(
    "altered", [lambda right: ~right, lambda right: right[:-1], lambda right: np.append(right, True)]
)
def test_bits_that_contradict_the_accuracy_are_a_fault(altered, store: Store) -> None:  # type: ignore[no-untyped-def]
    record = json.loads(json.dumps(next(iter(store.records()))))
    assert fault(record) is None
    right = unpack(record["test_right"], record["data"]["n_test"])
    assert fault({**record, "test_right": pack(altered(right))}) is not None
    assert fault({k: v for k, v in record.items() if k != "test_right"}) is None  # as older records are


def test_a_resumed_cell_has_the_same_bits(tmp_path: Path) -> None:
    options = {"source": "digits", "K": 5, "steps": 200, "learners": "bp", "holdout": 0.2, "select": "best", "seeds": 0}
    from kaxis.train.loop import train

    cells = Study.of("s", options).cells()
    (whole,), _ = train(cells)

    class Cut(Exception):
        pass

    count = iter(range(1000))

    def stop() -> None:
        if next(count) == 149:
            raise Cut

    with pytest.raises(Cut):
        train(cells, keep=tmp_path, keep_every=0, after_step=stop)
    (resumed,), _ = train(cells, keep=tmp_path)
    assert resumed == whole


def test_the_cube_gives_them_on_request(store: Store) -> None:
    cube = load_cube(store, {"select": "last"}, outcomes=True)
    assert "right" not in load_cube(store, {"select": "last"})
    assert cube.has_outcomes.all()
    share = cube.right.sum("sample") / cube.n_test
    np.testing.assert_allclose(share.values, cube.test_accuracy.values)
    record = next(r for r in store.records() if Cell(r["config"]).learner == "bp" and r["config"]["seed"] == 1)
    mine = cube.right.sel(learner="bp", seed=1, K=5).isel(source=0).values
    assert mine.tolist() == unpack(record["test_right"], record["data"]["n_test"]).tolist()


def test_cells_without_them_are_told_apart(store: Store, tmp_path: Path) -> None:
    """As records of older versions are."""
    old = Store(tmp_path)
    old.prepare()
    for record in list(store.records()):
        bare = record["config"]["seed"] == 1
        kept = {k: v for k, v in record.items() if k != "config" and not (bare and k == "test_right")}
        old.write(Cell(record["config"]), kept)
    cube = load_cube(old, {"select": "last"}, outcomes=True)
    assert cube.has_outcomes.sel(seed=0).all()
    assert not cube.has_outcomes.sel(seed=1).any()
    assert not cube.right.sel(seed=1).any()
