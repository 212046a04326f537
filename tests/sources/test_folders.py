"""Folders."""

from __future__ import annotations

import os
import shutil
import unicodedata
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kaxis.errors import KaxisError
from kaxis.sources.archives import data_dir
from kaxis.sources.cache import cached
from kaxis.sources.images import load_images
from kaxis.sources.own import left_out
from kaxis.spec.sweep import Sweep
from tests.helpers import encoded

Cli = Callable[..., tuple[int, str, str]]


def folders(root: Path, splits: tuple[str, str] = ("train", "val"), classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    rng = np.random.default_rng(0)
    for split in splits:
        for name in classes:
            (root / split / name).mkdir(parents=True)
            for i in range(2):
                Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(root / split / name / f"{i}.png")
    return root


@pytest.mark.parametrize(
    "hidden", ["._0.png", ".DS_Store", ".ipynb_checkpoints/0-checkpoint.png", "Thumbs.db", "desktop.ini"]
)
@pytest.mark.parametrize("split", ["train", "val"])
def test_hidden_files_do_not_count(hidden: str, split: str, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    root = folders(tmp_path / "a")
    for place in (root / split, root / split / "cat"):
        (place / hidden).parent.mkdir(exist_ok=True)
        (place / hidden).write_bytes(b"\0\5\26\7")
    images = load_images(f"folder:{root}", tmp_path, 8)
    assert (len(images.pixels), images.n_train) == (8, 4)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("s2/1.png", "1 in train/ (in sub-folders of a class)"),
        ("s2/deep/1.jfif", "1 in train/ (in sub-folders of a class)"),
        ("1.avif", "1 in train/ (.avif is not read)"),
        ("1.HEIC", "1 in train/ (.heic is not read)"),
        ("1.dcm", "1 in train/ (.dcm is not read)"),
    ],
)
def test_images_left_out_are_counted_and_said(file: str, says: str, tmp_path: Path, cli: Cli) -> None:
    root = folders(tmp_path / "a")
    (root / "train/cat" / file).parent.mkdir(parents=True, exist_ok=True)
    (root / "train/cat" / file).write_bytes(b"x")
    with pytest.warns(UserWarning, match="left out: 1 in train"):
        Sweep.of({"source": f"folder:{root}", "learners": "bp", "size": 8})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code, out, _ = cli("data", "check", f"folder:{root}")
    assert code == 0
    assert f"left out: {says}" in out
    assert left_out(f"folder:{root}", tmp_path) == says


@pytest.mark.parametrize("suffix", [".jfif", ".JPG", ".jpe", ".tiff", ".pgm"])
def test_suffixes_that_are_read(suffix: str, tmp_path: Path) -> None:
    root = folders(tmp_path / "a")
    kind = {".jfif": "JPEG", ".JPG": "JPEG", ".jpe": "JPEG", ".tiff": "TIFF", ".pgm": "PPM"}[suffix]
    (root / "train/cat" / f"9{suffix}").write_bytes(encoded(np.full((8, 8), 200, np.uint8), kind))
    assert load_images(f"folder:{root}", tmp_path, 8).n_train == 5


@pytest.mark.parametrize("name", ["val", "test", "valid", "validation"])
def test_names_of_the_test_split(name: str, tmp_path: Path) -> None:
    assert len(load_images(f"folder:{folders(tmp_path / name, ('train', name))}", tmp_path, 8).pixels) == 8


def test_two_test_splits_are_said(tmp_path: Path) -> None:
    root = folders(tmp_path / "a")
    for name in ("cat", "dog"):
        (root / "test" / name).mkdir(parents=True)
        (root / "test" / name / "1.png").write_bytes(encoded(np.zeros((8, 8), np.uint8), "PNG"))
    assert left_out(f"folder:{root}", tmp_path) == "4 in val/ (test/ is there)"


@pytest.mark.parametrize(("train", "val"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_accents_written_in_two_ways_are_one_class(train: str, val: str, tmp_path: Path) -> None:
    for split, form in (("train", train), ("val", val)):
        folders(tmp_path / "a", (split,), ("chat", unicodedata.normalize(form, "bébé")))  # type: ignore[arg-type]
    images = load_images(f"folder:{tmp_path / 'a'}", tmp_path, 8)
    assert images.names["fine"] == (unicodedata.normalize("NFC", "bébé"), "chat")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: (r / "val/dog").rename(r / "val/wolf"), r"val/wolf: no such class in train/"),
        (lambda r: shutil.copytree(r / "train/dog", r / "train/wolf"), r"val lacks class 'wolf', which .*train has"),
        (
            lambda r: (r / "val").rename(r / "holdout"),
            r"needs folders train/CLASS/ and val/CLASS/ or test/CLASS/; it has holdout, train",
        ),
        (lambda r: [f.unlink() for f in (r / "val/cat").iterdir()], r"val/cat: a class with no images"),
        (lambda r: (r / "train/cat/0.png").write_bytes(b""), r"train/cat/0\.png: not a readable image \(empty\)"),
        (
            lambda r: ((r / "train/cat/0.png").unlink(), (r / "train/cat/0.png").symlink_to("none")),
            r"a file of its own|train",
        ),
        (
            lambda r: (r / "train" / unicodedata.normalize("NFD", "é")).mkdir() or (r / "train/é").mkdir(),
            "written in different ways",
        ),
        (lambda r: (r / "train/a\x1b[31m").mkdir(), "control characters"),
    ],
)  # fmt: skip
def test_which_file_or_folder_is_wrong_is_said(change: Callable[[Path], Any], says: str, tmp_path: Path) -> None:
    root = folders(tmp_path / "a")
    change(root)
    if says.startswith("a file of its own"):  # a dangling link: one image less, and said
        assert left_out(f"folder:{root}", tmp_path) == "1 in train/ (no regular files)"
        return
    with pytest.raises(KaxisError, match=says):
        load_images(f"folder:{root}", tmp_path, 8)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
@pytest.mark.parametrize("place", ["train/cat/0.png", "train/cat", "val"])
def test_what_may_not_be_read_is_named(place: str, tmp_path: Path) -> None:
    root = folders(tmp_path / "a")
    (root / place).chmod(0)
    try:
        with pytest.raises(KaxisError, match=f"{place}: Permission denied"):
            load_images(f"folder:{root}", tmp_path, 8)
    finally:
        (root / place).chmod(0o755)


def test_one_folder_has_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folders(tmp_path / "here" / "pets")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "here"))
    written = ["pets", "pets/", "./pets", "../here/pets", str(root), f"{root}/", "~/pets"]
    ids = {Sweep.of({"source": f"folder:{w}", "learners": "bp", "size": 8}).cells()[0].id for w in written}
    assert len(ids) == 1
    monkeypatch.setenv(
        "KAXIS_DATA", "~"
    )  # below the data folder it is called by its place there, however it is written
    names = {Sweep.of({"source": f"folder:{w}", "learners": "bp", "size": 8}).data.name for w in (str(root), "~/pets")}
    assert names == {"folder:pets"}
    assert data_dir() == tmp_path / "here"
    assert data_dir("~/d") == tmp_path / "here" / "d"


@pytest.mark.parametrize("half", ["first", "last"])
def test_a_decoded_cache_with_a_zeroed_half_is_made_again(half: str, tmp_path: Path) -> None:
    made = []

    def fill(out: np.ndarray) -> None:
        made.append(1)
        out[:] = 7

    assert (cached("k", (50, 4, 4, 3), fill) == 7).all()
    (file,) = (tmp_path / "cache").rglob("*.npy")
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    for i in range(128, middle) if half == "first" else range(middle, len(content)):
        content[i] = 0
    file.write_bytes(content)
    assert (cached("k", (50, 4, 4, 3), fill) == 7).all()
    assert (cached("k", (50, 4, 4, 3), fill) == 7).all()
    assert len(made) == 2
