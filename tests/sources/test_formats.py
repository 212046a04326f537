"""Official formats."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kaxis.errors import KaxisError
from kaxis.sources.archives import ARCHIVES
from kaxis.sources.images import load_images, square_pixels
from kaxis.sources.info import Archive
from kaxis.spec.sweep import Sweep
from tests.helpers import write_npz


def counted(monkeypatch: pytest.MonkeyPatch, name: str, **counts: int) -> None:
    """The archive with this many records a file, and no checksums."""
    a = ARCHIVES[name]

    def shrink(files: dict[str, Any]) -> dict[str, Any]:
        return {f: (next((n for part, n in counts.items() if f.startswith(part)), 0), None) for f in files}

    small = Archive(a.url, a.md5, a.folder, shrink(a.train), shrink(a.test), shrink(a.also))
    monkeypatch.setitem(ARCHIVES, name, small)


def jpeg(array: np.ndarray, mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.fromarray(array).convert(mode).save(out, "JPEG", quality=95)
    return out.getvalue()


def idx(array: np.ndarray) -> bytes:
    head = np.array([0x0800 + array.ndim, *array.shape], ">u4").tobytes()
    return gzip.compress(head + array.astype(np.uint8).tobytes())


def test_fashion_mnist_is_idx_and_gets_a_border(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted(monkeypatch, "fashion_mnist", train=20, t10k=10)
    rng, folder = np.random.default_rng(0), tmp_path / "fashion-mnist"
    folder.mkdir()
    x, y = rng.integers(1, 256, (30, 28, 28)), np.arange(30) % 10
    for part, at in (("train", slice(0, 20)), ("t10k", slice(20, 30))):
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(x[at]))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(y[at]))
    got = load_images("fashion_mnist", tmp_path)
    assert got.pixels.shape == (30, 32, 32, 1)
    assert got.n_train == 20
    assert (got.pixels[:, 2:30, 2:30, 0] == x).all()
    assert got.pixels[:, :2].sum() == 0
    assert got.labels["fine"].tolist() == y.tolist()
    seen = square_pixels("fashion_mnist", tmp_path, None)
    assert seen.shape == (30, 32, 32, 3)
    assert (seen == seen[..., :1]).all()
    whole = (folder / "train-images-idx3-ubyte.gz").read_bytes()
    for damaged, says in ((whole[:-40], "not a whole gzip"), (idx(x[:19]), "not an idx file"), (b"", "gzip|idx")):
        (folder / "train-images-idx3-ubyte.gz").write_bytes(damaged)
        load_images.cache_clear()
        with pytest.raises(KaxisError, match=says):
            load_images("fashion_mnist", tmp_path)


def test_stl10_is_column_major_with_labels_from_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted(monkeypatch, "stl10", train=4, test=2)
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    x = np.random.default_rng(0).integers(0, 256, (6, 96, 96, 3)).astype(np.uint8)
    for part, at in (("train", slice(0, 4)), ("test", slice(4, 6))):
        (folder / f"{part}_X.bin").write_bytes(x[at].transpose(0, 3, 2, 1).tobytes())
        (folder / f"{part}_y.bin").write_bytes(np.arange(1, 11, dtype=np.uint8)[: len(x[at])].tobytes())
    got = load_images("stl10", tmp_path)
    assert (got.pixels == x).all()
    assert got.labels["fine"].tolist() == [0, 1, 2, 3, 0, 1]
    assert got.names["fine"][2] == "car"
    (folder / "test_y.bin").write_bytes(bytes([0, 1]))
    load_images.cache_clear()
    with pytest.raises(KaxisError, match="not a stl10 file"):
        load_images("stl10", tmp_path)


def tiny(path: Path, n: int = 3, bad: bytes | None = None) -> np.ndarray:
    """Two classes; the first image is grey, as some in the real archive are."""
    rng, root = np.random.default_rng(0), "tiny-imagenet-200/"
    wnids = ["n02", "n01"]
    flat = rng.integers(0, 256, (2 * n + 2, 3)).astype(np.uint8)
    pictures = np.broadcast_to(flat[:, None, None, :], (2 * n + 2, 64, 64, 3))
    with zipfile.ZipFile(path, "w") as z:
        z.writestr(root + "wnids.txt", "\n".join(wnids))
        i = 0
        for wnid in sorted(wnids):
            for k in range(n):
                raw = jpeg(pictures[i], "L" if i == 0 else "RGB")
                z.writestr(f"{root}train/{wnid}/images/{wnid}_{k}.JPEG", bad if bad is not None and i == 1 else raw)
                i += 1
        z.writestr(root + "val/val_annotations.txt", "val_0.JPEG\tn02\t0\t0\t1\t1\nval_1.JPEG\tn01\t0\t0\t1\t1\n")
        for k in range(2):
            z.writestr(f"{root}val/images/val_{k}.JPEG", jpeg(pictures[i + k]))
        z.writestr("../escape.txt", "never written")
    return flat


def test_tiny_imagenet_is_read_from_its_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted(monkeypatch, "tiny_imagenet", tiny=8)
    flat = tiny(tmp_path / "tiny-imagenet-200.zip")
    got = load_images("tiny_imagenet", tmp_path)
    assert got.pixels.shape == (8, 64, 64, 3)
    assert got.n_train == 6
    assert got.labels["fine"].tolist() == [0, 0, 0, 1, 1, 1, 1, 0]
    assert got.names["fine"] == ("n01", "n02")
    assert len(set(got.pixels[0, 0, 0].tolist())) == 1
    assert np.abs(got.pixels[5, 30, 30].astype(int) - flat[5].astype(int)).max() < 6
    assert not (tmp_path.parent / "escape.txt").exists()


def test_tiny_imagenet_names_what_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted(monkeypatch, "tiny_imagenet", tiny=8)
    path = tmp_path / "tiny-imagenet-200.zip"
    tiny(path, bad=b"no picture")
    with pytest.raises(KaxisError, match=r"n01_1\.JPEG: not a readable image"):
        load_images("tiny_imagenet", tmp_path)
    path.write_bytes(path.read_bytes()[:500])
    load_images.cache_clear()
    with pytest.raises(KaxisError, match="not the tiny-imagenet-200 archive"):
        load_images("tiny_imagenet", tmp_path)


@pytest.mark.parametrize("name", ["pathmnist", "dermamnist", "bloodmnist"])
def test_medmnist_is_npz_with_labels_in_columns(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted(monkeypatch, name, **{name[:4]: 0})
    (tmp_path / "medmnist").mkdir()
    write_npz(tmp_path / "medmnist" / f"{name}.npz", K=7, size=28)
    got = load_images(name, tmp_path)
    assert got.pixels.shape == (7 * 18, 32, 32, 3)
    assert got.n_train == 84
    assert got.labels["fine"].shape == (126,)
    assert len(got.names["fine"]) == {"pathmnist": 9, "dermamnist": 7, "bloodmnist": 8}[name]


def test_npz_takes_no_pickles_and_says_what_is_wrong(tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"train_images": None}, "no array 'train_images'"),
        ({"train_labels": np.array([{"a": 1}] * 36, dtype=object)}, "without pickled objects"),
        ({"train_images": np.zeros((36, 16, 16, 3), np.float32)}, "uint8"),
        ({"train_labels": np.zeros((36, 2), np.int64)}, "one class from 0 an image"),
        ({"train_labels": np.tile([0, 2, 3], 12)}, "class 1 has no training images"),
        ({"test_labels": np.zeros(18, np.int64)}, "class 1 has no test images"),
        ({"train_labels": np.tile([0, 1, 10**7], 12)}, "class 2 has no training images"),
        ({"test_images": np.zeros((18, 8, 8, 3), np.uint8)}, "one shape"),
        (
            {"test_images": np.zeros((0, 16, 16, 3), np.uint8), "test_labels": np.zeros(0, np.int64)},
            "one or more of either",
        ),
    ]
    for change, says in cases:
        path = write_npz(tmp_path / "x.npz", **change)
        with pytest.raises(KaxisError, match=says):
            Sweep.of({"source": f"npz:{path}"})
    oblong = {f"{s}_images": np.zeros((n, 16, 32, 3), np.uint8) for s, n in (("train", 36), ("test", 18))}
    with pytest.raises(KaxisError, match="16 x 32 pixels; name a --size"):
        square_pixels(f"npz:{write_npz(path, **oblong)}", tmp_path, None)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(KaxisError, match="not a readable npz"):
        Sweep.of({"source": f"npz:{path}"})
