"""Own sets."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kaxis.errors import KaxisError
from kaxis.execute.runner import run
from kaxis.sources import own
from kaxis.sources.images import load_images
from kaxis.sources.load import load_task
from kaxis.spec.study import Study
from kaxis.spec.sweep import Sweep
from kaxis.store.records import Store
from tests.helpers import write_folder


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


def test_a_class_that_is_added_is_seen(tmp_path: Path) -> None:
    """In the same process, as a notebook's is."""
    root = write_folder(tmp_path / "a")
    assert Sweep.of({"source": f"folder:{root}"}).K == (2,)
    write_folder(tmp_path / "other")
    for split in ("train", "val"):
        (root / split / "bee").rename(root / split / "wasp")
        (tmp_path / "other" / split / "bee").rename(root / split / "bee")
    assert Sweep.of({"source": f"folder:{root}"}).K == (3,)


def test_files_that_change_between_two_runs_of_a_process_are_read_again(tmp_path: Path) -> None:
    options = {"source": f"npz:{tmp_path / 'a.npz'}", "K": 2, "seeds": 0, "steps": 2, "learners": ["bp"]}
    seen = []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        x = {f"{split}_images": rng.integers(0, 256, (20, 4, 4), dtype=np.uint8) for split in ("train", "test")}
        np.savez(tmp_path / "a.npz", **x, train_labels=np.arange(20) % 2, test_labels=np.arange(20) % 2)
        store = Store(tmp_path / f"s{seed}")
        run(Study.of("s", options), store, jobs=1)
        seen += [record["data"]["checksums"] for record in store.records()]
    assert seen[0] != seen[1]


def test_names_with_a_plus_make_no_two_sets_one(tmp_path: Path) -> None:
    root = tmp_path / "a"
    for split in ("train", "val"):
        for name in ("a", "b", "a+b", "b+a", "a%2Bb"):
            write_folder(tmp_path / f"{split}{name}")
            (root / split).mkdir(parents=True, exist_ok=True)
            (tmp_path / f"{split}{name}" / split / "bee").rename(root / split / name)
    pairs = [["a", "b+a"], ["a+b", "a"], ["a%2Bb", "a"], ["a", "b"]]
    labels = [Sweep.of({"source": f"folder:{root}", "classes": pair}).cells()[0].source for pair in pairs]
    assert len(set(labels)) == 4
    assert labels[-1].endswith("classes:a+b")
