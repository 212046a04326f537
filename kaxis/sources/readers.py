"""Readers of the official formats: bytes in, arrays out. No pickle, nothing unpacked to disk, sizes checked first.

Each returns pixels (N, H, W, C) of uint8, training images first, and labels (N,) from 0.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kaxis.errors import KaxisError

__all__ = ["Pixels", "bordered", "cifar", "decode", "idx", "npz", "stl10", "tiny_imagenet", "tiny_imagenet_files"]

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]


def _exact(path: Path, expected: int) -> bytes:
    raw = path.read_bytes()
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
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise KaxisError(f"{path}: not a whole gzip file ({error})") from None
    head = np.frombuffer(raw[: 4 + 4 * len(shape)], ">u4")
    if len(head) < 1 + len(shape) or head[0] != 0x0800 + len(shape) or tuple(head[1:]) != shape:
        raise KaxisError(f"{path}: not an idx file of {' x '.join(map(str, shape))} bytes")
    if len(raw) != 4 + 4 * len(shape) + int(np.prod(shape)):
        raise KaxisError(f"{path}: {len(raw)} bytes inside, its header says otherwise; truncated")
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def npz(path: Path) -> tuple[Pixels, Labels, int]:
    """MedMNIST's layout: ``train_images``, ``train_labels``, ``test_images``, ``test_labels``; ``val_*`` are left alone.

    Images (N, H, W) or (N, H, W, 3) of uint8; labels (N,) or (N, 1) of whole numbers.
    """
    try:
        with path.open("rb") as raw, zipfile.ZipFile(raw), np.load(path, allow_pickle=False) as file:
            lacking = [k for s in ("train", "test") for k in (f"{s}_images", f"{s}_labels") if k not in file]
            if lacking:
                raise KaxisError(f"{path}: has no array '{lacking[0]}'; it has {', '.join(file.files)}")
            x = [file[f"{s}_images"] for s in ("train", "test")]
            y = [file[f"{s}_labels"] for s in ("train", "test")]
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, KaxisError):
            raise
        raise KaxisError(f"{path}: not a readable npz file without pickled objects ({error})") from None
    for split, images, labels in zip(("train", "test"), x, y, strict=True):
        if (
            images.dtype != np.uint8
            or images.ndim not in (3, 4)
            or (images.ndim == 4 and images.shape[3] not in (1, 3))
        ):
            raise KaxisError(
                f"{path}: {split}_images is {images.dtype} {images.shape}; uint8 (N, H, W) or (N, H, W, 3) is read"
            )
        if labels.dtype.kind not in "iu" or labels.size != len(images) or (labels.size and labels.min() < 0):
            raise KaxisError(
                f"{path}: {split}_labels is {labels.dtype} {labels.shape}; one class from 0 an image is read"
            )
    if not all(len(images) for images in x):
        raise KaxisError(f"{path}: {len(x[0])} training and {len(x[1])} test images; one or more of either is needed")
    shapes = [images.reshape(*images.shape[:3], -1).shape for images in x]
    if shapes[0][1:] != shapes[1][1:]:
        raise KaxisError(f"{path}: training images {shapes[0]} and test images {shapes[1]}; one shape is read")
    classes = int(max(labels.max() for labels in y)) + 1
    for split, labels in zip(("training", "test"), y, strict=True):
        if classes > 10_000 or (np.bincount(labels.reshape(-1), minlength=classes) == 0).any():
            absent = next(k for k in range(classes) if not (labels == k).any())
            raise KaxisError(f"{path}: class {absent} has no {split} images; labels go from 0 to {classes - 1}")
    pixels = np.concatenate([images.reshape(*images.shape[:3], -1) for images in x])
    return pixels, np.concatenate([labels.reshape(-1) for labels in y]).astype(np.int64), len(x[0])


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
    except (OSError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise KaxisError(f"{path}: not the tiny-imagenet-200 archive ({error})") from None


def _exactly(image: Any, size: int) -> Any:
    if image.size != (size, size):
        raise ValueError(f"{image.size[0]} x {image.size[1]} pixels, {size} x {size} expected")
    return image


def decode(raw: bytes, name: str, fit: Callable[[Any], Any]) -> Pixels:
    """An image file's bytes as (H, W, 3); grey and palette images become colour."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(raw)) as image:
            return np.asarray(fit(image.convert("RGB")))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise KaxisError(f"{name}: not a readable image ({error})") from None


def bordered(pixels: Pixels, size: int) -> Pixels:
    """Images in the middle of a black square."""
    before = [(size - side) // 2 for side in pixels.shape[1:3]]
    after = [size - side - b for side, b in zip(pixels.shape[1:3], before, strict=True)]
    return np.pad(pixels, ((0, 0), (before[0], after[0]), (before[1], after[1]), (0, 0)))
