"""Relabelling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaxis.errors import KaxisError
from kaxis.sources.image_set import Images
from kaxis.sources.images import load_images
from kaxis.sources.load import load_task
from kaxis.sources.relabel import draw_classes, draw_sample, label_view
from kaxis.spec.images import ImageSpec
from kaxis.spec.sweep import Sweep


@given(st.integers(0, 50), st.integers(2, 10), st.integers(2, 10))
def test_class_subsets_nest(seed: int, a: int, b: int) -> None:
    names = tuple("abcdefghij")
    small, large = sorted((a, b))
    assert set(draw_classes(names, small, seed)) <= set(draw_classes(names, large, seed))


def _toy(n_classes: int = 12, per_class: int = 9) -> Images:
    y = np.tile(np.arange(n_classes), per_class).astype(np.int64)
    pixels = np.random.default_rng(0).integers(0, 256, (len(y), 4, 5, 1), dtype=np.uint8)
    return Images(pixels, len(y), {"fine": y}, {"fine": tuple(f"c{i}" for i in range(n_classes))}, {})


@given(st.integers(0, 20), st.integers(2, 12))
def test_merge_is_balanced_and_respects_fine_classes(seed: int, groups: int) -> None:
    toy = _toy()
    y, names = label_view(toy, f"merge:{groups}", seed)
    sizes = [len(set(toy.labels["fine"][y == g])) for g in range(groups)]
    assert sum(sizes) == 12
    assert max(sizes) - min(sizes) <= 1
    assert sorted(name for merged in names for name in merged.split("+")) == sorted(toy.names["fine"])


@given(st.integers(0, 20), st.integers(2, 12), st.integers(12, 60))
@settings(max_examples=50)
def test_train_total_is_kept_and_balanced(seed: int, K: int, total: int) -> None:
    y = _toy().labels["fine"]
    y = np.where(y < K, y, -1)
    source = ImageSpec(name="toy", train_total=total)
    if -(-total // K) > 9:
        with pytest.raises(KaxisError, match="images a class"):
            draw_sample(y, K, seed, source)
        return
    counts = np.bincount(y[draw_sample(y, K, seed, source)], minlength=K)
    assert counts.sum() == total
    assert counts.max() - counts.min() <= 1


def test_per_class_samples_nest_along_K() -> None:
    y = _toy().labels["fine"]
    source = ImageSpec(name="toy", per_class=4)
    small = draw_sample(np.where(y < 3, y, -1), 3, 0, source)
    large = draw_sample(np.where(y < 8, y, -1), 8, 0, source)
    assert (np.bincount(y[large], minlength=8)[:8] == 4).all()
    assert set(small) <= set(large)


def test_named_classes() -> None:
    cell = Sweep.of({"source": "digits", "classes": ["7", "1"], "learners": "bp"}).cells()[0]
    task = load_task(cell.config["source"], cell.K, cell.seed)
    assert task.facts["classes"] == ["7", "1"]
    with pytest.raises(KaxisError, match="class 'x' is not one of"):
        load_task({**cell.config["source"], "classes": ["x", "1"]}, 2, 0)


@pytest.mark.parametrize(("split", "sizes"), [("writers", (1157, 640)), ("interleaved", (1201, 596))])
def test_digits_task(split: str, sizes: tuple[int, int]) -> None:
    """Pixels are standardised on the training images of all classes."""
    cell = Sweep.of({"source": "digits", "K": 10, "learners": "bp", "split": split}).cells()[0]
    task = load_task(cell.config["source"], 10, 0)
    assert (task.facts["n_train"], task.facts["n_test"]) == sizes
    assert not set(task.train_rows) & set(task.test_rows)
    train = task.features[task.train_rows]
    assert np.allclose(train.mean(0), 0, atol=1e-5)
    assert np.allclose(train.std(0)[train.std(0) > 0], 1, atol=1e-4)


def test_no_test_digit_is_of_a_writer_who_trains() -> None:
    """Writers wrote the same sequence of digits one after the other: the split is where it starts anew."""
    from sklearn.datasets import load_digits

    from kaxis.sources.sets.digits import WRITERS

    y = load_digits().target
    assert (y[WRITERS : WRITERS + 100] == y[:100]).all()
    images = load_images("digits/writers", Path())
    assert images.n_train == WRITERS
    assert (images.labels["fine"] == y).all()  # contiguous
    old = Sweep.of({"source": "digits", "learners": "bp", "split": "interleaved"}).cells()[0]
    assert "split" not in old.config["source"]  # as records of earlier versions have it
    assert old.source == "digits/interleaved"
    with pytest.raises(KaxisError, match="split = interleaved: not an option of the source 'cifar10'"):
        Sweep.of({"source": "cifar10", "split": "interleaved", "learners": "bp"})
