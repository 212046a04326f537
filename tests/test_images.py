"""Image sets in their official formats, a user's own, and the augmentation of what they hold."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kaxis.errors import KaxisError
from kaxis.sources import archives, own, relabel
from kaxis.sources import images as images_module
from kaxis.sources.archives import ARCHIVES
from kaxis.sources.augment import augment, draws, normalised
from kaxis.sources.images import channel_statistics, load_images, square_pixels
from kaxis.sources.info import Archive
from kaxis.sources.load import load_task
from kaxis.spec.sweep import Sweep

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    for cache in (load_images, square_pixels, channel_statistics, own._inspect):
        cache.cache_clear()
    return


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


def write_npz(path: Path, n: int = 12, K: int = 3, size: int = 16, seed: int = 0, **change: Any) -> Path:
    """A small set in MedMNIST's layout whose classes differ in colour."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, Any] = {}
    for split, count in (("train", n * K), ("val", K), ("test", n // 2 * K)):
        y = np.arange(count) % K
        x = rng.integers(0, 120, (count, size, size, 3)) + 40 * y[:, None, None, None]
        arrays |= {f"{split}_images": x.astype(np.uint8), f"{split}_labels": y[:, None].astype(np.uint8)}
    np.savez(path, **{k: v for k, v in (arrays | change).items() if v is not None})
    return path


# ---- official formats -----------------------------------------------------------------------------------


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


# ---- own sets -------------------------------------------------------------------------------------------


def write_folder(root: Path, n: int = 3, test: str = "val") -> Path:
    rng = np.random.default_rng(0)
    for split in ("train", test):
        for k, name in enumerate(("ant", "bee")):
            (root / split / name).mkdir(parents=True)
            for i in range(n):
                image = Image.fromarray(rng.integers(0, 256, (40 + 8 * k, 56, 3)).astype(np.uint8))
                image.save(root / split / name / f"{i}.png")
    return root


@pytest.mark.parametrize("test", ["val", "test"])
def test_folders_of_photographs(test: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "insects", test=test)
    monkeypatch.setenv("KAXIS_DATA", str(tmp_path))
    leg = Sweep.of({"source": "folder:insects", "net": "vgg8", "size": 32, "learners": "bp"})
    assert leg.K == (2,)
    task = load_task(leg.cells()[0].config["source"], 2, 0, pixels=True)
    assert task.features.shape == (12, 32, 32, 3)
    assert sorted(task.facts["classes"]) == ["ant", "bee"]
    assert task.facts["n_train"] == task.facts["n_test"] == 6
    assert leg.cells()[0].source == "folder:insects/size:32"


def test_folders_name_what_is_missing_empty_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(KaxisError, match="no folder at"):
        Sweep.of({"source": f"folder:{tmp_path / 'none'}"})
    with pytest.raises(KaxisError, match="needs folders train/CLASS/"):
        Sweep.of({"source": f"folder:{tmp_path}"})
    root = write_folder(tmp_path / "a")
    (root / "train" / "cat").mkdir()
    with pytest.raises(KaxisError, match="cat: a class with no images"):
        Sweep.of({"source": f"folder:{root}"})
    (root / "train" / "cat").rmdir()
    broken = root / "train" / "bee" / "1.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(KaxisError, match=r"bee/1\.png: not a readable image"):
        load_images(f"folder:{root}", tmp_path, 16)


def test_imagenet100_says_what_to_put_where_and_records_its_list(tmp_path: Path) -> None:
    with pytest.raises(KaxisError, match=r"sign up at image-net\.org .* imagenet100\.txt"):
        load_images("imagenet100", tmp_path, 32)
    wnids = [f"n{i:08d}" for i in range(101)]
    picture = Image.fromarray(np.zeros((32, 32, 3), np.uint8))
    for wnid in wnids:
        for split in ("train", "val"):
            (tmp_path / "imagenet" / split / wnid).mkdir(parents=True)
            picture.save(tmp_path / "imagenet" / split / wnid / "a.JPEG")
    chosen = tmp_path / "imagenet100.txt"
    chosen.write_text("\n".join(wnids[:99]))
    with pytest.raises(KaxisError, match="99 different WordNet ids"):
        load_images("imagenet100", tmp_path, 32)
    chosen.write_text("\n".join([*wnids[1:], wnids[5]]))  # one named twice is one class
    got = load_images("imagenet100", tmp_path, 32)
    assert got.names["fine"] == tuple(wnids[1:])
    assert len(got.pixels) == 200
    assert got.checksums["imagenet100.txt"] == hashlib.md5(chosen.read_bytes()).hexdigest()


def test_decoding_is_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_folder(tmp_path / "a")
    first = load_images(f"folder:{root}", tmp_path, 16).pixels.copy()
    monkeypatch.setattr(own, "_decode", lambda *_: pytest.fail("decoded again"))
    load_images.cache_clear()
    assert (load_images(f"folder:{root}", tmp_path, 16).pixels == first).all()


def test_a_damaged_cache_is_made_again_and_a_full_one_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"folder:{write_folder(tmp_path / 'a')}"
    first = np.array(load_images(name, tmp_path, 16).pixels)
    (file,) = (tmp_path / "cache").rglob("*.npy")
    file.write_bytes(file.read_bytes()[:300])
    load_images.cache_clear()
    assert (load_images(name, tmp_path, 16).pixels == first).all()
    file.unlink()
    load_images.cache_clear()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "open_memmap", full)
    with pytest.raises(KaxisError, match="GiB of decoded images cannot be kept there"):
        load_images(name, tmp_path, 16)
    assert not list((tmp_path / "cache").rglob("*.part"))


# ---- downloads ------------------------------------------------------------------------------------------


class Reply:
    def __init__(self, body: bytes, status: int) -> None:
        self.body, self.status_code, self.headers = body, status, {"Content-Length": str(len(body))}

    def __enter__(self) -> Reply:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def raise_for_status(self) -> None:
        pass

    def iter_content(self, size: int) -> Iterator[bytes]:
        for start in range(0, len(self.body), 10):
            yield self.body[start : start + 10]


def test_an_interrupted_download_goes_on_and_a_wrong_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import requests

    body, asked = bytes(range(100)), []
    a = ARCHIVES["bloodmnist"]
    md5 = hashlib.md5(body).hexdigest()
    monkeypatch.setitem(ARCHIVES, "bloodmnist", Archive(a.url, "", a.folder, {"bloodmnist.npz": (1, md5)}, {}))

    class Cut(Reply):
        def iter_content(self, size: int) -> Iterator[bytes]:
            yield self.body[:40]
            raise requests.ConnectionError("cut")

    monkeypatch.setattr(requests, "get", lambda url, **_: Cut(body, 200))
    with pytest.raises(KaxisError, match="ConnectionError; or put medmnist/bloodmnist"):
        archives.download("bloodmnist", tmp_path)

    def rest(url: str, headers: dict[str, str], **_: object) -> Reply:
        asked.append(headers["Range"])
        return Reply(body[40:], 206)

    monkeypatch.setattr(requests, "get", rest)
    archives.download("bloodmnist", tmp_path)
    assert asked == ["bytes=40-"]
    assert (tmp_path / "medmnist" / "bloodmnist.npz").read_bytes() == body
    other = {"bloodmnist.npz": (1, md5), "more.npz": (1, md5)}
    monkeypatch.setitem(ARCHIVES, "bloodmnist", Archive(a.url, "", a.folder, other, {}))
    mine = tmp_path / "medmnist" / "bloodmnist.npz"
    mine.write_bytes(b"my own file")
    monkeypatch.setattr(requests, "get", lambda url, **_: Reply(body, 200))
    archives.download("bloodmnist", tmp_path)
    assert mine.read_bytes() == b"my own file"
    mine.unlink()
    monkeypatch.setitem(ARCHIVES, "bloodmnist", Archive(a.url, "", a.folder, {"bloodmnist.npz": (1, md5)}, {}))
    monkeypatch.setattr(requests, "get", lambda url, **_: Reply(b"something else", 200))
    with pytest.raises(KaxisError, match="not the official file"):
        archives.download("bloodmnist", tmp_path)
    assert archives.missing_files("bloodmnist", tmp_path) == ["bloodmnist.npz"]


# ---- subsets and held-out images ------------------------------------------------------------------------

PARENTS = np.arange(100) // 5
NAMES = tuple(f"c{i}" for i in range(100))
PARENT_NAMES = tuple(f"p{i}" for i in range(20))


@given(K=st.integers(2, 100), seed=st.integers(0, 5))
def test_within_takes_few_superclasses_across_many(K: int, seed: int) -> None:
    def drawn(subset: str, k: int) -> list[int]:
        chosen = relabel.draw_classes(NAMES, k, seed, subset=subset, parents=PARENTS, parent_names=PARENT_NAMES)
        return chosen.tolist()

    within, across = drawn("within", K), drawn("across", K)
    assert len(set(within)) == len(set(across)) == K
    assert len(set(PARENTS[within])) == -(-K // 5)
    assert len(set(PARENTS[across])) == min(K, 20)
    assert drawn("within", max(2, K - 1)) == within[: max(2, K - 1)]
    assert drawn("across", max(2, K - 1)) == across[: max(2, K - 1)]
    some = drawn("within:p3+p7", min(K, 10))
    assert set(PARENTS[some]) <= {3, 7}


def test_subsets_refuse_what_they_cannot_give() -> None:
    with pytest.raises(KaxisError, match="K = 6: within:p3 has 5 classes"):
        relabel.draw_classes(NAMES, 6, 0, subset="within:p3", parents=PARENTS, parent_names=PARENT_NAMES)
    with pytest.raises(KaxisError, match=r"superclass 'fsh'.*did you mean 'fish'"):
        relabel.draw_classes(NAMES, 2, 0, subset="within:fsh", parents=PARENTS, parent_names=("fish", "trees"))
    for options, says in (
        ({"source": "cifar10", "subset": "within"}, "needs the fine labels"),
        ({"source": "cifar100", "labels": "coarse", "subset": "across"}, "needs the fine labels"),
        ({"source": "cifar100", "subset": "accross"}, "did you mean 'across'"),
        ({"source": "cifar100", "subset": "within", "classes": ["apple", "bed"]}, "choose one"),
    ):
        with pytest.raises(KaxisError, match=says):
            Sweep.of(options)


def test_held_out_images_are_the_seeds_and_no_one_elses(tmp_path: Path) -> None:
    source = {"source": f"npz:{write_npz(tmp_path / 'x.npz')}", "holdout": 0.25, "learners": "bp", "net": "vgg8"}
    config = Sweep.of(source).cells()[0].config["source"]
    a, b = (load_task(config, 3, seed, pixels=True) for seed in (0, 1))
    assert len(a.held_rows) == 9
    assert not set(a.held_rows) & set(a.train_rows)
    assert set(a.held_rows) | set(a.train_rows) == set(range(36))
    assert set(a.held_rows) != set(b.held_rows)
    assert (a.y_held == a.labels("held")).all()
    with pytest.raises(KaxisError, match=r"holdout = 0\.001"):
        load_task({**config, "holdout": 0.001}, 3, 0, pixels=True)


# ---- augmentation ---------------------------------------------------------------------------------------


def pictures(n: int = 5, size: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (n, size, size, 3)).astype(np.uint8))


def back(x: torch.Tensor) -> torch.Tensor:
    """Normalisation undone, pixels 0 .. 255, shape (B, S, S, 3)."""
    return (x.permute(0, 2, 3, 1) * torch.tensor(STD) + torch.tensor(MEAN)) * 255


def test_without_any_kind_images_are_only_normalised() -> None:
    x, u = pictures(), torch.from_numpy(draws(0, 0, 0, 5))
    assert torch.equal(augment(x, u, (), MEAN, STD), normalised(x, MEAN, STD))
    torch.testing.assert_close(back(normalised(x, MEAN, STD)), x.float(), atol=1e-3, rtol=0)


@given(seed=st.integers(0, 50))
def test_crop_and_flip_move_pixels_by_four_at_most(seed: int) -> None:
    """Against a slow crop with padding 4, image by image."""
    x, u = pictures(), torch.from_numpy(draws(seed, 0, 0, 5))
    got = back(augment(x, u, ("crop", "flip"), MEAN, STD)).round().to(torch.uint8)
    padded = torch.nn.functional.pad(x, (0, 0, 4, 4, 4, 4))
    for image, row, out in zip(padded, u, got, strict=True):
        top, left = int(row[0] * 9), int(row[1] * 9)
        crop = image[top : top + 32, left : left + 32]
        assert torch.equal(out, crop.flip(1) if row[2] < 0.5 else crop)


def test_cutout_blanks_a_square_of_eight_or_what_of_it_is_inside() -> None:
    x, u = pictures(200), torch.from_numpy(draws(3, 0, 0, 200))
    out = augment(x, u, ("cutout",), MEAN, STD)
    blank = (out == 0).all(1)
    for one in blank:
        rows, columns = one.any(1).sum().item(), one.any(0).sum().item()
        assert 4 <= rows <= 8
        assert 4 <= columns <= 8
        assert one.sum().item() >= rows * columns
    assert max(one.any(1).sum().item() for one in blank) == 8


def test_jitter_keeps_grey_grey_and_changes_colours() -> None:
    grey = pictures()[..., :1].expand(-1, -1, -1, 3).contiguous()
    u = torch.from_numpy(draws(1, 0, 0, 5))
    out = back(augment(grey, u, ("jitter",), MEAN, STD))
    torch.testing.assert_close(out[..., 0], out[..., 1], atol=0.2, rtol=0)
    still = u.clone()
    still[:, 3:7] = 0.5  # the middle of every range changes nothing
    torch.testing.assert_close(
        back(augment(pictures(), still, ("jitter",), MEAN, STD)), pictures().float(), atol=0.2, rtol=0
    )
    assert (back(augment(pictures(), u, ("jitter",), MEAN, STD)) - pictures()).abs().mean() > 5


def test_brightness_and_contrast_by_hand() -> None:
    x, u = pictures(1), torch.full((1, 10), 0.5)
    u[0, 3] = 0.0  # brightness x 0.6
    torch.testing.assert_close(back(augment(x, u, ("jitter",), MEAN, STD)), 0.6 * x, atol=0.2, rtol=0)
    u[0, 3], u[0, 4] = 0.5, 0.0  # contrast x 0.6 around the mean grey
    grey = (x.float().mean((1, 2)) * torch.tensor([0.299, 0.587, 0.114])).sum()
    torch.testing.assert_close(back(augment(x, u, ("jitter",), MEAN, STD)), 0.6 * x + 0.4 * grey, atol=0.2, rtol=0)


def test_grayscale_hits_one_image_in_five() -> None:
    x, u = pictures(1000, 8), torch.from_numpy(draws(0, 0, 0, 1000))
    out = back(augment(x, u, ("grayscale",), MEAN, STD))
    spread = (out.max(3).values - out.min(3).values).amax((1, 2))
    assert 0.15 < (spread < 0.5).float().mean() < 0.25


def test_statistics_are_those_of_the_training_images(tmp_path: Path) -> None:
    name = f"npz:{write_npz(tmp_path / 'x.npz', n=900)}"
    x = load_images(name, tmp_path).pixels[:2700].reshape(-1, 3) / 255
    mean, std = channel_statistics(name, tmp_path, None)
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-9)
    np.testing.assert_allclose(std, x.std(0), rtol=1e-9)


def test_resizing_keeps_a_flat_image_flat(tmp_path: Path) -> None:
    flat = np.full((36, 16, 16, 3), 77, np.uint8)
    name = f"npz:{write_npz(tmp_path / 'x.npz', train_images=flat)}"
    assert (square_pixels(name, tmp_path, 32)[:36] == 77).all()
    assert images_module.load_images(name, tmp_path).pixels.shape[1] == 16
