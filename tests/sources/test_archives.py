"""Npz, gzip, tar."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kaxis.errors import KaxisError
from kaxis.sources import readers
from kaxis.sources.archives import ARCHIVES, _Unpack


def arrays(**change: Any) -> dict[str, np.ndarray]:
    x = {"train_images": np.zeros((6, 8, 8), np.uint8), "test_images": np.zeros((4, 8, 8), np.uint8)}
    y = {"train_labels": np.array([0, 1, 2, 0, 1, 2]), "test_labels": np.array([0, 1, 2, 0])}
    return {**x, **y, **change}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"train_labels": np.array([0, 1, np.nan, 0, 1, 2])}, "train_labels has NaN"),
        (
            {"train_labels": np.array([1, 2, 3] * 2), "test_labels": np.array([1, 2, 3, 1])},
            "go from 1 to 3; they count from 0: subtract 1",
        ),
        ({"train_labels": np.zeros(5, int)}, "6 train_images and 5 train_labels"),
        ({"test_labels": np.zeros((4, 2), int)}, "whole numbers"),
        ({"train_images": np.zeros((6, 0, 8), np.uint8)}, "images without pixels"),
        ({"train_labels": np.array(["a"] * 6)}, "one class from 0"),
        ({"train_images": np.zeros((6, 8, 8), np.float32)}, "uint8"),
    ],
)  # fmt: skip
def test_npz_of_the_wrong_kind_is_one_line(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **arrays(**change))
    with pytest.raises(KaxisError, match=says):
        readers.npz(tmp_path / "x.npz")


def npy(x: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, x)
    return out.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "kind", ["twice", "encrypted", "huge", "cut off", "wrong header", "no header", "shape that is not there", "pickle"]
)
def test_npz_members_that_are_not_what_they_say(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.npz"
    says = {"twice": "is in it twice", "encrypted": "is encrypted", "huge": r"GiB when unpacked; this machine has"}.get(
        kind, "not a readable npz"
    )
    members = {f"{name}.npy": npy(x) for name, x in arrays().items()}
    if kind == "wrong header":
        members["train_images.npy"] = b"\x93NUMPY\x01\x00\x10\x00{'descr': oops}\n"
    if kind == "no header":
        members["train_images.npy"] = b"text"
        says = "train_images is no array"
    if kind == "shape that is not there":
        members["train_images.npy"] = members["train_images.npy"].replace(b"(6, 8, 8)", b"(6, 8,88)")
    if kind == "pickle":
        members["train_labels.npy"] = npy(np.array([{}] * 6, dtype=object))
    with zipfile.ZipFile(file, "w") as out:
        for name, content in members.items():
            out.writestr(name, content)
        if kind == "twice":
            out.writestr("train_labels.npy", members["train_labels.npy"])
    raw = bytearray(file.read_bytes())
    entry = raw.index(b"PK\x01\x02")
    if kind == "encrypted":
        raw[entry + 8] |= 1
    if kind == "huge":
        raw[entry + 24 : entry + 28] = struct.pack("<I", 2**32 - 2)
        monkeypatch.setattr(readers, "_memory", lambda: 2**31)
    file.write_bytes(raw[: len(raw) // 2] if kind == "cut off" else raw)
    with pytest.raises(KaxisError, match=says):
        readers.npz(file)


def test_a_gzip_bomb_is_read_no_further_than_it_may_be(tmp_path: Path) -> None:
    for name, body in (("a", b"\0" * 10**7), ("b", struct.pack(">4I", 0x803, 2, 28, 28) + b"\0" * 10**7)):
        (tmp_path / name).write_bytes(gzip.compress(body))
        with pytest.raises(KaxisError, match=rf"{name}: "):
            readers._idx(tmp_path / name, (2, 28, 28))


def tar(path: Path, *members: tuple[str, dict[str, Any], bytes]) -> Path:
    with tarfile.open(path, "w:gz") as out:
        for name, fields, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in fields.items():
                setattr(info, key, value)
            out.addfile(info, io.BytesIO(content))
    return path


CIFAR = ARCHIVES["cifar100"]


TRAIN, TEST = (f"{CIFAR.folder}/{f}" for f in CIFAR.files)


@pytest.mark.parametrize(
    "hostile",
    [
        (TRAIN, {"type": tarfile.SYMTYPE, "linkname": "../../outside"}, b""),
        (TRAIN, {"type": tarfile.LNKTYPE, "linkname": "../outside"}, b""),
        (TRAIN, {"type": tarfile.CHRTYPE}, b""),
        (TRAIN, {"type": tarfile.FIFOTYPE}, b""),
        (f"../{TRAIN}", {}, b"x"),
        (f"/tmp/{TRAIN}", {}, b"x"),
        (f"{CIFAR.folder}/../{TRAIN}", {}, b"x"),
    ],
)
def test_nothing_but_the_named_files_leaves_an_archive(
    hostile: tuple[str, dict[str, Any], bytes], tmp_path: Path
) -> None:
    """Even one whose checksum was forged: links, devices and paths that lead out are passed over, and what then lacks
    is said.
    """
    (tmp_path / "outside").write_text("mine")
    into = tmp_path / "data"
    into.mkdir()
    file = tar(into / "a.tar.gz", hostile, (TEST, {}, b"test"))
    with pytest.raises(KaxisError, match=rf"a\.tar\.gz: lacks {TRAIN}"):
        _Unpack(CIFAR)(str(file), "download", None)
    assert (tmp_path / "outside").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "outside"]
    assert all(p.is_file() and not p.is_symlink() for p in (into / CIFAR.folder).iterdir())


def test_an_archive_gives_its_files_whole(tmp_path: Path) -> None:
    file = tar(tmp_path / "a.tar.gz", (f"./{TRAIN}", {}, b"train"), ("else", {}, b"no"), (TEST, {}, b"test"))
    _Unpack(CIFAR)(str(file), "download", None)
    assert (tmp_path / TRAIN).read_bytes() == b"train"
    assert not (tmp_path / "else").exists()


@pytest.mark.parametrize("kind", ["cut off", "text", "bomb"])
def test_an_archive_that_is_none(kind: str, tmp_path: Path) -> None:
    file = tar(tmp_path / "a.tar.gz", (TRAIN, {}, os.urandom(5000)), (TEST, {}, b"test"))
    if kind == "cut off":
        file.write_bytes(file.read_bytes()[:2000])
    elif kind == "text":
        file.write_text("<html>")
    else:
        raw = bytearray(gzip.decompress(file.read_bytes()))
        head = tarfile.TarInfo(TRAIN)
        head.size = 2**33
        raw[:512] = head.tobuf(tarfile.GNU_FORMAT)
        file.write_bytes(gzip.compress(bytes(raw)))
    with pytest.raises(KaxisError, match="declared to have" if kind == "bomb" else "not a readable archive"):
        _Unpack(CIFAR)(str(file), "download", None)
