"""Readers of the official formats: bytes in, arrays out. No pickle, nothing unpacked to disk, sizes checked first.

Each returns pixels (N, H, W, C) of uint8, training images first, and labels (N,) from 0.
"""

from __future__ import annotations

import gzip
import io
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kaxis.errors import KaxisError
from kaxis.io import read_bounded

__all__ = ["Pixels", "bordered", "cifar", "decode", "idx", "npz", "stl10", "tiny_imagenet", "tiny_imagenet_files"]

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]


def _exact(path: Path, expected: int) -> bytes:
    size = 0
    try:
        size = path.stat().st_size
        raw = read_bounded(path, expected)
    except OSError as error:
        if size > expected:
            raise KaxisError(
                f"{path}: {size} bytes, the official file has {expected}; truncated or another format"
            ) from None
        raise KaxisError(f"{path}: {error.strerror or error}") from None
    if len(raw) != expected:
        raise KaxisError(f"{path}: {len(raw)} bytes, the official file has {expected}; truncated or another format")
    return raw


def cifar(files: Sequence[tuple[Path, int]], views: int) -> tuple[Pixels, list[Labels]]:
    """CIFAR's binary files: one label byte a view, then 3 planes of 32 x 32."""
    width = views + 3 * 32 * 32
    rows = np.concatenate([np.frombuffer(_exact(path, n * width), np.uint8).reshape(n, width) for path, n in files])
    pixels = rows[:, views:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return pixels, [rows[:, i].astype(np.int64) for i in range(views)]


def stl10(images: Sequence[tuple[Path, int]], labels: Sequence[tuple[Path, int]]) -> tuple[Pixels, Labels]:
    """STL-10's binary files: 3 planes of 96 x 96, each column by column; labels 1 to 10."""
    parts = [np.frombuffer(_exact(p, n * 27648), np.uint8).reshape(n, 3, 96, 96) for p, n in images]
    y = np.concatenate([np.frombuffer(_exact(p, n), np.uint8) for p, n in labels]).astype(np.int64)
    return np.concatenate(parts).transpose(0, 3, 2, 1), y - 1


def idx(images: Sequence[tuple[Path, int]], labels: Sequence[tuple[Path, int]]) -> tuple[Pixels, Labels]:
    """MNIST's idx files, gzipped: grey, 28 x 28."""
    x = [_idx(p, (n, 28, 28)) for p, n in images]
    y = [_idx(p, (n,)) for p, n in labels]
    return np.concatenate(x)[..., None], np.concatenate(y).astype(np.int64)


def _idx(path: Path, shape: tuple[int, ...]) -> Pixels:
    size = 4 + 4 * len(shape) + int(np.prod(shape))
    try:
        with gzip.open(path) as file:
            raw = file.read(size + 1)  # no more than there may be, whatever it would unpack to
    except (OSError, EOFError, zlib.error) as error:
        raise KaxisError(f"{path}: not a whole gzip file ({error})") from None
    head = np.frombuffer(raw[: 4 + 4 * len(shape)], ">u4")
    if len(head) < 1 + len(shape) or head[0] != 0x0800 + len(shape) or tuple(head[1:]) != shape:
        raise KaxisError(f"{path}: not an idx file of {' x '.join(map(str, shape))} bytes")
    if len(raw) != size:
        raise KaxisError(
            f"{path}: {'more' if len(raw) > size else len(raw)} bytes inside, its header says {size}; truncated or "
            "another file"
        )
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def npz(path: Path) -> tuple[Pixels, Labels, int]:
    """MedMNIST's layout: ``train_images``, ``train_labels``, ``test_images``, ``test_labels``; ``val_*`` are left
    alone.

    Images (N, H, W) or (N, H, W, 3) of uint8; labels (N,) or (N, 1) of whole numbers from 0.

    Raises
    ------
    KaxisError
        Also for members that are encrypted, there twice, or larger than this machine's memory: before they are
        unpacked.
    """
    try:
        if not path.is_file():
            raise OSError(22, "no regular file")
        with path.open("rb") as raw, zipfile.ZipFile(raw) as archive:
            _check_members(path, archive.infolist())
            with np.load(path, allow_pickle=False) as file:
                lacking = [k for s in ("train", "test") for k in (f"{s}_images", f"{s}_labels") if k not in file]
                if lacking:
                    raise KaxisError(f"{path}: has no array '{lacking[0]}'; it has {', '.join(file.files) or 'none'}")
                x = [file[f"{s}_images"] for s in ("train", "test")]
                y = [file[f"{s}_labels"] for s in ("train", "test")]
    except KaxisError:
        raise
    except Exception as error:  # numpy and zipfile raise of every kind for files that are spoilt
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise KaxisError(f"{path}: not a readable npz file without pickled objects ({why})") from None
    for split, images, labels in zip(("train", "test"), x, y, strict=True):
        _check_split(path, split, images, labels)
    if not all(len(images) for images in x):
        raise KaxisError(f"{path}: {len(x[0])} training and {len(x[1])} test images; one or more of either is needed")
    shapes = [images.reshape(*images.shape[:3], -1).shape for images in x]
    if shapes[0][1:] != shapes[1][1:]:
        raise KaxisError(f"{path}: training images {shapes[0]} and test images {shapes[1]}; one shape is read")
    _check_labels(path, y)
    pixels = np.concatenate([images.reshape(*images.shape[:3], -1) for images in x])
    return pixels, np.concatenate([labels.reshape(-1) for labels in y]).astype(np.int64), len(x[0])


def _check_split(path: Path, split: str, images: NDArray[Any], labels: NDArray[Any]) -> None:
    for part, array in (("images", images), ("labels", labels)):
        if not isinstance(array, np.ndarray):  # numpy hands out what has no header as bytes
            raise KaxisError(f"{path}: {split}_{part} is no array")
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        raise KaxisError(
            f"{path}: {split}_images is {images.dtype} {images.shape}; uint8 (N, H, W) or (N, H, W, 3) is read"
        )
    if not all(images.shape[1:3]):
        raise KaxisError(f"{path}: {split}_images is {images.shape}: images without pixels")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise KaxisError(f"{path}: {split}_labels has NaN or infinity; one class from 0 an image is read")
    if labels.dtype.kind not in "iu" or labels.ndim > 2 or (labels.ndim == 2 and labels.shape[1] != 1):
        raise KaxisError(
            f"{path}: {split}_labels is {labels.dtype} {labels.shape}; one class from 0 an image is read, "
            "whole numbers (N,) or (N, 1)"
        )
    if labels.size != len(images):
        raise KaxisError(
            f"{path}: {len(images)} {split}_images and {labels.size} {split}_labels; one label an image is read"
        )
    if labels.size and labels.min() < 0:
        raise KaxisError(f"{path}: {split}_labels has {labels.min()}; one class from 0 an image is read")


def _check_labels(path: Path, y: Sequence[NDArray[Any]]) -> None:
    """Classes are counted from 0, and every one of them has images in both splits."""
    classes = int(max(labels.max() for labels in y)) + 1
    if min(labels.min() for labels in y) == 1 and classes <= 10_000:
        raise KaxisError(f"{path}: labels go from 1 to {classes - 1}; they count from 0: subtract 1")
    for split, labels in zip(("training", "test"), y, strict=True):
        if classes > 10_000 or (np.bincount(labels.reshape(-1).astype(np.int64), minlength=classes) == 0).any():
            absent = next(k for k in range(classes) if not (labels == k).any())
            raise KaxisError(f"{path}: class {absent} has no {split} images; labels go from 0 to {classes - 1}")


def _check_members(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    names = [m.filename for m in members]
    if twice := next((n for n, count in Counter(names).items() if count > 1), None):
        raise KaxisError(f"{path}: '{twice}' is in it twice; which one counts?")
    if locked := next((m.filename for m in members if m.flag_bits & 1), None):
        raise KaxisError(f"{path}: '{locked}' is encrypted")
    size, memory = sum(m.file_size for m in members), _memory()
    if size > memory:
        raise KaxisError(
            f"{path}: {size / 2**30:,.1f} GiB when unpacked; this machine has {memory / 2**30:.1f} GiB of memory"
        )


def _memory() -> int:
    """Bytes of this machine's memory; a terabyte where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 2**40


def tiny_imagenet_files(path: Path) -> tuple[list[str], Labels, int, tuple[str, ...]]:
    """Names in Tiny ImageNet's zip, training images first, their labels, the number for training, and the WordNet ids.

    Labels follow the sorted ids. The published val set, whose labels are in a list, serves for testing.
    """
    root = "tiny-imagenet-200/"
    with _zip(path) as archive:
        wnids = sorted(archive.read(root + "wnids.txt").decode().split())
        number = {wnid: k for k, wnid in enumerate(wnids)}
        train = sorted(n for n in archive.namelist() if n.startswith(root + "train/") and n.endswith(".JPEG"))
        listed = archive.read(root + "val/val_annotations.txt").decode().splitlines()
        val = [line.split("\t")[:2] for line in listed]
        y = [number[name.split("/")[2]] for name in train] + [number[wnid] for _, wnid in val]
    names = train + [f"{root}val/images/{file}" for file, _ in val]
    return names, np.array(y, np.int64), len(train), tuple(wnids)


def tiny_imagenet(path: Path, names: Sequence[str], out: Pixels) -> None:
    """The images of Tiny ImageNet's zip, read in place into `out`; grey ones become colour."""
    with _zip(path) as archive:
        for i, name in enumerate(names):
            out[i] = decode(archive.read(name), f"{path}!{name}", lambda image: _exactly(image, 64))


@contextmanager
def _zip(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except KaxisError:
        raise
    except (OSError, EOFError, LookupError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise KaxisError(f"{path}: not the tiny-imagenet-200 archive ({error})") from None


def _exactly(image: Any, size: int) -> Any:
    if image.size != (size, size):
        raise ValueError(f"{image.size[0]} x {image.size[1]} pixels, {size} x {size} expected")
    return image


def decode(raw: bytes, name: str, fit: Callable[[Any], Any]) -> Pixels:
    """An image file's bytes as (H, W, 3), the way up that its EXIF orientation says; grey and palette images become
    colour.

    Pixels of 16 bits are scaled from the full range of their type, 0 .. 65535; floats from 0 .. 1 (ours).

    Raises
    ------
    KaxisError
        Naming the file, if it is no image, or its pixels have no known range.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(raw)) as opened:
            image = ImageOps.exif_transpose(_eight_bits(opened))
            if 0 in image.size:
                raise ValueError(f"{image.size[0]} x {image.size[1]} pixels")
            return np.asarray(fit(image.convert("RGB")))
    except UnidentifiedImageError:
        raise KaxisError(
            f"{name}: not a readable image ({'empty' if not raw else 'of no format that is known'})"
        ) from None
    except Exception as error:  # decoders raise of every kind for files that are spoilt
        raise KaxisError(f"{name}: not a readable image ({str(error) or type(error).__name__})") from None


def _eight_bits(image: Any) -> Any:
    """Grey pixels of more than 8 bits as 8; other modes as they are (Pillow keeps the high byte of 16-bit colour)."""
    from PIL import Image

    if not image.mode.startswith(("I", "F")):
        return image
    x = np.asarray(image)
    if image.mode == "F" or x.dtype.kind == "f":
        low, high = float(x.min()), float(x.max())
        if not (low >= 0 and high <= 1):  # NaN too
            raise ValueError(f"float pixels from {low:g} to {high:g}; 0 to 1 is read")
        x = x * np.float32(255)
    elif image.mode.startswith("I;16") or image.format in ("PNG", "PPM"):  # older Pillow opens these two as 32 bits
        if int(x.min()) < 0 or int(x.max()) > 65_535:
            raise ValueError(f"pixels from {x.min()} to {x.max()}; 0 to 65535 is read")
        x = x.astype(np.float32) / np.float32(257)  # 65535 / 255
    else:
        raise ValueError(f"{image.mode} pixels ({x.dtype}) have no known range; 8 or 16 bits are read")
    made = Image.fromarray(np.rint(x).astype(np.uint8))
    made.info.update(image.info)
    exif = image.getexif()
    if exif:
        made.info["exif"] = exif.tobytes()
    return made


def bordered(pixels: Pixels, size: int) -> Pixels:
    """Images in the middle of a black square."""
    before = [(size - side) // 2 for side in pixels.shape[1:3]]
    after = [size - side - b for side, b in zip(pixels.shape[1:3], before, strict=True)]
    return np.pad(pixels, ((0, 0), (before[0], after[0]), (before[1], after[1]), (0, 0)))
