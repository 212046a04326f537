"""Nothing that is kept of images is taken for others'; what a set's own reader gives is checked."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kaxis.errors import KaxisError
from kaxis.sources import features as computed
from kaxis.sources import images as module
from kaxis.sources.cache import cached
from kaxis.sources.features import features
from kaxis.sources.image_set import Images
from kaxis.sources.images import load_images, square_pixels
from kaxis.sources.own import load_folder


def folder(root: Path, shade: int) -> Path:
    """Two classes of three uncompressed images, so that others have the same names and sizes."""
    rng = np.random.default_rng(shade)
    for split in ("train", "val"):
        for name in ("ant", "bee"):
            (root / split / name).mkdir(parents=True, exist_ok=True)
            for i in range(3):
                Image.fromarray(rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)).save(root / split / name / f"{i}.bmp")
    return root


def test_features_of_rewritten_images_are_computed_anew(tmp_path: Path) -> None:
    one = load_folder(folder(tmp_path / "x", 1), 8)
    before = features(one, "raw", tmp_path / "cache").copy()
    assert np.array_equal(features(one, "raw", tmp_path / "cache"), before)
    other = load_folder(folder(tmp_path / "y", 2), 8)
    assert other.checksums == one.checksums, "names and sizes alone do not tell them apart"
    assert not np.array_equal(features(other, "raw", tmp_path / "cache"), before)


def test_a_matrix_that_was_made_by_other_rules_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = load_folder(folder(tmp_path / "x", 1), 8)
    monkeypatch.setattr(computed, "_compute", lambda *_: np.zeros((12, 3), np.float32))
    assert not features(images, "raw", tmp_path / "cache").any()
    monkeypatch.undo()
    assert not features(images, "raw", tmp_path / "cache").any(), "it is kept"
    monkeypatch.setattr(computed, "RULES", computed.RULES + 1)
    assert features(images, "raw", tmp_path / "cache").any()


def stripes(seed: int = 0, **change: Any) -> Images:
    rng = np.random.default_rng(seed)
    given = {"pixels": rng.integers(0, 256, (12, 8, 8, 1)).astype(np.uint8), "labels": {"fine": np.arange(12) % 3}}
    return Images(n_train=9, names={"fine": ("a", "b", "c")}, checksums={}, **{**given, **change})


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A set whose own reader gives these images."""

    def use(images: Images) -> None:
        load_images.cache_clear()
        square_pixels.cache_clear()
        made = type("Set", (), {"load": staticmethod(lambda *_: images)})
        monkeypatch.setattr(module, "image_set", lambda _: made)

    yield use
    load_images.cache_clear()
    square_pixels.cache_clear()


def test_resized_images_of_a_set_without_checksums_are_its_own(reader: Any, tmp_path: Path) -> None:
    seen = []
    for seed in (0, 1):
        reader(stripes(seed))
        seen.append(square_pixels("stripes", tmp_path, 4).copy())
    assert not np.array_equal(*seen)


def test_features_are_known_by_the_pixels_that_they_are_of(tmp_path: Path) -> None:
    """Whatever a reader says of its files, and whichever images are the training images."""
    one, other = (replace(stripes(seed), checksums={"all.bin": "1"}) for seed in (0, 1))
    made = [features(x, "raw", tmp_path).copy() for x in (one, other, replace(one, n_train=6))]
    for x, y in itertools.combinations(made, 2):
        assert not np.array_equal(x, y)


def test_a_full_disk_under_the_cache_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no signal in the midst of decoding; nothing is taken of the disk before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**20))
    with pytest.raises(KaxisError, match="of decoded images cannot be kept there"):
        cached("all", (2**21,), lambda out: pytest.fail("is filled"))
    assert not list((tmp_path / "kaxis" / "images").iterdir())


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_reserve_takes_images_too(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    assert (cached("all", (9,), lambda out: out.fill(7)) == 7).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": {"fine": np.arange(12) % 3 + 1}}, "fine label 3 of 3 classes"),
        ({"labels": {"fine": np.arange(12) % 3 - 1}}, "fine label -1 of 3 classes"),
        ({"pixels": np.zeros((12, 8, 8, 1), np.float32)}, "pixels of float32"),
        ({"pixels": np.zeros((12, 8, 8), np.uint8)}, r"shape \(12, 8, 8\)"),
    ],
)
def test_what_a_reader_gives_is_checked(change: dict[str, Any], said: str, reader: Any, tmp_path: Path) -> None:
    reader(stripes(**change))
    with pytest.raises(KaxisError, match=said):
        load_images("stripes", tmp_path)


def test_components_that_are_rounding_alone_are_refused() -> None:
    """Whitened, they would be noise of the machine's own at the size of the others."""
    flat = stripes(pixels=np.repeat(np.random.default_rng(0).integers(0, 256, (12, 2, 2, 1)), 4, 1).astype(np.uint8))
    assert features(flat, "pca:4", None).shape == (12, 4)
    with pytest.raises(KaxisError, match="4 components of these training images vary"):
        features(flat, "pca:6", None)
