"""Checkpoints, weights, caches."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kaxis.errors import KaxisError
from kaxis.execute.runner import run
from kaxis.io import seal, sweep, unseal
from kaxis.measure.diagnose import diagnose
from kaxis.sources.images import channel_statistics, load_images, square_pixels
from kaxis.sources.load import prepare
from kaxis.spec.cell import Cell
from kaxis.spec.study import Study
from kaxis.spec.sweep import Sweep
from kaxis.store.records import Store
from kaxis.train import loop
from kaxis.train.checkpoint import Checkpoint, load_weights
from kaxis.train.loop import train
from tests.helpers import ROOT
from tests.store.spoilt import record_file

pytestmark = pytest.mark.filterwarnings("ignore:.*skipped")  # said on stderr too


def small(**options: Any) -> list[Cell]:
    return Sweep.of(
        {"source": "digits", "K": 4, "seeds": "0-1", "steps": 60, "batch_size": 32, "width": 16, "depth": 2, **options}
    ).cells()


class Stop(Exception):
    pass


def stopped_after(steps: int, cells: list[Cell], folder: Path) -> None:
    """Train and stop, as if killed, with a checkpoint written after every step."""
    left = [steps]

    def after_step() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Stop

    with pytest.raises(Stop):
        train(cells, keep=folder, keep_every=0.0, after_step=after_step)


def results(cells: list[Cell], **options: Any) -> list[Any]:
    return [(r["metrics"], r["curves"]) for r in train(cells, **options)[0]]


@pytest.mark.parametrize("learner", ["dtg_ff", "bp_ensemble", "bp_deepsup[norm=layernorm]", "ff_hybrid_bn"])
@pytest.mark.parametrize("steps", [1, 37, 59])
def test_an_mlp_goes_on_in_mid_training_to_the_same_bits(learner: str, steps: int, tmp_path: Path) -> None:
    cells = small(learners=[learner], seeds="0-1" if learner != "ff_hybrid_bn" else "0")
    stopped_after(steps, cells, tmp_path)
    assert len(list(tmp_path.glob("*.pt"))) == 1
    steps_done = []
    resumed = results(cells, keep=tmp_path, after_step=lambda: steps_done.append(1))
    assert len(steps_done) == 60 - steps
    assert resumed == results(cells)


def test_seeds_in_another_order_do_not_take_each_others_weights(tmp_path: Path) -> None:
    cells = small(learners=["bp"], seeds="0-2")
    stopped_after(40, cells, tmp_path)
    again = cells[::-1]
    assert results(again, keep=tmp_path) == results(cells)[::-1]


def test_another_backend_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = small(learners=["bp"])
    stopped_after(40, cells, tmp_path)
    steps_done: list[int] = []
    monkeypatch.setattr(loop, "cpu_matmul", lambda _: contextlib.nullcontext("another"))
    results(cells, keep=tmp_path, after_step=lambda: steps_done.append(1))
    assert len(steps_done) == 60


def test_rewritten_images_start_anew(tmp_path: Path) -> None:
    """Others of the same names and sizes: facts of a record do not tell these apart."""

    def draw(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for split, name in itertools.product(("train", "val"), "ab"):
            file = tmp_path / "images" / split / name / "0.bmp"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)).save(file)
        for cache in (load_images, square_pixels, channel_statistics, prepare):
            cache.cache_clear()

    draw(1)
    cells = small(source=f"folder:{tmp_path / 'images'}", size=8, K=2, seeds=0, learners=["bp"])
    stopped_after(40, cells, tmp_path)
    draw(2)
    steps_done: list[int] = []
    results(cells, keep=tmp_path, after_step=lambda: steps_done.append(1))
    assert len(steps_done) == 60


def test_a_rule_of_somebodys_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    """Its module keeps nothing that changes besides parameters; where one does: tests/test_rules_conv.py."""

    cells = small(learners=["predsim"], rules=[str(ROOT / "docs" / "predsim.py")], seeds=0)
    whole = results(cells)
    stopped_after(30, cells, tmp_path)
    assert list(tmp_path.glob("*.pt"))
    assert results(cells, keep=tmp_path) == whole


FREEZES = """
import torch, kaxis

@kaxis.rule("freezes")
class Freezes(torch.nn.Module):
    def __init__(self, start):
        super().__init__()
        self.hidden, self.head = start.hidden(0), start.linear("head", start.features(0), start.K)
        self.register_buffer("steps", torch.zeros(()))
    def logits(self, x):
        return [self.head(self.hidden(x).relu())]
    def loss(self, x, y):
        self.steps += 1
        if self.steps == 20:
            self.hidden.requires_grad_(False)
        return torch.nn.functional.cross_entropy(self.logits(x)[0], y)
"""


def test_a_layer_that_a_rule_froze_stays_frozen(tmp_path: Path) -> None:
    file = tmp_path / "freezes.py"
    file.write_text(FREEZES)
    cells = small(learners=["freezes"], rules=[str(file)], seeds=0)
    whole = results(cells)
    stopped_after(30, cells, tmp_path)
    assert list(tmp_path.glob("*.pt"))
    assert results(cells, keep=tmp_path) == whole


def test_no_flipped_bit_of_a_checkpoint_is_gone_on_from(tmp_path: Path) -> None:
    cells = small(learners=["dtg_ff"])
    whole = results(cells)
    stopped_after(30, cells, tmp_path)
    (file,) = tmp_path.glob("*.pt")
    content = file.read_bytes()
    rng = np.random.default_rng(0)
    for at in [0, len(content) - 1, *rng.integers(0, len(content), 10)]:
        flipped = bytearray(content)
        flipped[at] ^= 1 << int(rng.integers(8))
        file.write_bytes(flipped)
        assert results(cells, keep=tmp_path) == whole


@pytest.mark.parametrize("done", [10**6, 60, 0, -5, "30", 30.5, None])
def test_a_checkpoint_does_not_end_a_training(done: Any, tmp_path: Path) -> None:
    """Even one whose digest is right: the number of steps done lies inside the training."""
    cells = small(learners=["dtg_ff"])
    stopped_after(30, cells, tmp_path)
    (file,) = tmp_path.glob("*.pt")
    payload = unseal(file.read_bytes())
    assert payload is not None
    kept = torch.load(io.BytesIO(payload), weights_only=True)
    made = io.BytesIO()
    torch.save({**kept, "done": done}, made)
    file.write_bytes(seal(made.getvalue()))
    assert results(cells, keep=tmp_path) == results(cells)


def test_a_checkpoint_without_a_digest_is_of_an_older_version(tmp_path: Path) -> None:
    cells = small(learners=["dtg_ff"])
    stopped_after(30, cells, tmp_path)
    (file,) = tmp_path.glob("*.pt")
    file.write_bytes(unseal(file.read_bytes()) or b"")
    steps: list[int] = []
    results(cells, keep=tmp_path, after_step=lambda: steps.append(1))
    assert len(steps) == 60


@pytest.fixture
def with_weights(tmp_path: Path) -> tuple[Store, Cell]:
    options = {"source": "digits", "K": 4, "steps": 60, "batch_size": 32, "width": 16, "depth": 2}
    study = Study.of("s", {**options, "seeds": 0, "learners": ["dtg_ff"]})
    store = Store(tmp_path / "store")
    run(study, store, jobs=1, device="cpu", weights=True)
    return store, study.cells()[0]


def test_flipped_bits_of_weights_are_refused(with_weights: tuple[Store, Cell]) -> None:
    store, cell = with_weights
    file = store.weights(cell)
    content = file.read_bytes()
    rng = np.random.default_rng(0)
    for at in [0, len(content) // 2, len(content) - 1, *rng.integers(0, len(content), 20)]:
        flipped = bytearray(content)
        flipped[at] ^= 1 << int(rng.integers(8))
        file.write_bytes(flipped)
        with pytest.raises(KaxisError, match=r"weights .*: not whole"):
            diagnose(store, estimators=())
    file.write_bytes(content)
    diagnose(store, estimators=())


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan])
def test_weights_that_contradict_the_record_are_refused(factor: float, with_weights: tuple[Store, Cell]) -> None:
    """Zeroed ones, say, whose digest is right."""
    store, cell = with_weights
    payload = unseal(store.weights(cell).read_bytes())
    assert payload is not None
    kept = {name: t * factor for name, t in torch.load(io.BytesIO(payload), weights_only=True).items()}
    made = io.BytesIO()
    torch.save(kept, made)
    store.weights(cell).write_bytes(seal(made.getvalue()))
    with pytest.raises(KaxisError, match=r"their test accuracy is 0\.\d+, the record of .* says"):
        diagnose(store, estimators=())


def test_weights_of_before_digests_are_read_and_compared(with_weights: tuple[Store, Cell]) -> None:
    store, cell = with_weights
    payload = unseal(store.weights(cell).read_bytes())
    assert payload is not None
    store.weights(cell).write_bytes(payload)
    diagnose(store, estimators=())
    store.weights(cell).write_bytes(payload[:-3])
    with pytest.raises(KaxisError, match="not whole"):
        diagnose(store, estimators=())


def test_weights_of_another_shape_are_not_spread_over_the_net(with_weights: tuple[Store, Cell], tmp_path: Path) -> None:
    made = io.BytesIO()
    torch.save({"0/w": torch.zeros(1)}, made)
    (tmp_path / "w.pt").write_bytes(seal(made.getvalue()))

    class Net:
        device = "cpu"

        def tensors(self, n: int) -> dict[str, torch.Tensor]:
            return {"w": torch.ones(4, 4)}

    with pytest.raises(KaxisError, match="w of another shape"):
        load_weights(tmp_path / "w.pt", Net(), [0])


def test_a_run_without_weights_leaves_those_of_another(with_weights: tuple[Store, Cell]) -> None:
    """Two runs at once, one with --weights: the other trains the cell too, and deletes nothing."""
    from kaxis.execute.grouping import stacks_of
    from kaxis.execute.worker import Job, work

    store, cell = with_weights
    record_file(store, cell).unlink()  # as it is while both train
    job = Job(store.path, "cpu", None, False, 60.0)
    work(job, stacks_of([cell], 5)[0], lambda *done: None)
    assert store.has(cell)
    assert store.weights(cell).exists()
    diagnose(store, estimators=())


def test_what_killed_writers_left_is_swept_after_a_day(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    old, new, record = (tmp_path / "cells" / name for name in ("a.part", "b.part", f"{'0' * 20}.json"))
    for file in (old, new, record):
        file.write_text("")
    for file in (old, record):
        os.utime(file, (0, 0))
    store.prepare()
    assert [f.exists() for f in (old, new, record)] == [False, True, True]
    sweep(tmp_path / "nowhere")


def test_a_checkpoint_that_cannot_be_removed_is_no_matter(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "none", 0).forget(small(learners=["bp"]))
