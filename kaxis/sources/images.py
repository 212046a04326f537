"""Real image sets as uint8 arrays, from the official binary files: found in a local folder, else downloaded with checksums."""

from __future__ import annotations

import hashlib
import os
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kaxis.errors import KaxisError
from kaxis.sources.classes import CIFAR10, CIFAR100_COARSE, CIFAR100_FINE

__all__ = ["ARCHIVES", "Archive", "Images", "data_dir", "download", "load_images", "missing_files"]

PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class Archive:
    """An official archive: where it is, what is in it, and the MD5 sums that its makers publish.

    `files` maps each member to its number of records and its MD5, or None where none is published.
    """

    url: str
    md5: str
    folder: str
    train: dict[str, tuple[int, str | None]]
    test: dict[str, tuple[int, str | None]]

    @property
    def files(self) -> dict[str, tuple[int, str | None]]:
        return {**self.train, **self.test}


ARCHIVES = {
    "cifar10": Archive(
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "c32a1d4ab5d03f1284b67883e8d87530",
        "cifar-10-batches-bin",
        {f"data_batch_{i}.bin": (10_000, None) for i in range(1, 6)},
        {"test_batch.bin": (10_000, None)},
    ),
    "cifar100": Archive(
        "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        "03b5dce01913d631647c71ecec9e9cb8",
        "cifar-100-binary",
        {"train.bin": (50_000, "6172c7755cfe09b2fe270c85cebc1b15")},
        {"test.bin": (10_000, "4499cfba6c016c1be1438163640a0898")},
    ),
}


@dataclass(frozen=True)
class Images:
    """A whole image set.

    Parameters
    ----------
    pixels : array, shape (N, D), uint8
        Training images first.
    n_train : int
    labels : dict of str to array of int64, shape (N,)
        One entry a label view of the file (``fine``, ``coarse``).
    names : dict of str to tuple of str
        Class names of each view.
    checksums : dict of str to str
        MD5 of each file that was read; empty for embedded data.
    """

    pixels: NDArray[np.uint8]
    n_train: int
    labels: dict[str, NDArray[np.int64]]
    names: dict[str, tuple[str, ...]]
    checksums: dict[str, str]


def data_dir(given: str | os.PathLike[str] | None = None) -> Path:
    """The folder of image files: as given, else ``$KAXIS_DATA``, else the user's cache."""
    if given or os.environ.get("KAXIS_DATA"):
        return Path(given or os.environ["KAXIS_DATA"])
    import pooch

    return Path(pooch.os_cache("kaxis"))


def missing_files(name: str, folder: Path) -> list[str]:
    """Files of an archive that the folder lacks."""
    archive = ARCHIVES[name]
    return [file for file in archive.files if not (folder / archive.folder / file).is_file()]


def download(name: str, folder: Path) -> Path:
    """Fetch an official archive into `folder` and unpack the files that are read; a wrong checksum is refused.

    Returns
    -------
    Path
        The folder of the unpacked files.

    Raises
    ------
    KaxisError
        If the download fails, or what came is not the official file.
    """
    import pooch
    import requests

    archive = ARCHIVES[name]
    members = [f"{archive.folder}/{file}" for file in archive.files]
    try:
        pooch.retrieve(
            archive.url,
            known_hash=f"md5:{archive.md5}",
            path=folder,
            fname=archive.url.rsplit("/", 1)[1],
            processor=pooch.Untar(members=members, extract_dir="."),
        )
    except (OSError, ValueError, requests.RequestException) as error:
        reason = (
            "what came is not the official file (checksum)" if "hash" in str(error).lower() else type(error).__name__
        )
        raise KaxisError(
            f"{name}: download of {archive.url} failed: {reason}; or put {archive.folder}/ into a folder and name that with --data"
        ) from None
    return folder / archive.folder


@lru_cache(maxsize=2)
def load_images(name: str, folder: Path) -> Images:
    """A real set by name; files that are not there are downloaded.

    A local file that differs from the official one is used, with a warning, and its checksum is recorded.

    Raises
    ------
    KaxisError
        For a truncated or wrong-size file, a label outside the classes, or a failed download.
    """
    if name == "digits":
        return _digits()
    archive = ARCHIVES[name]
    if missing := missing_files(name, folder):
        if len(missing) < len(archive.files):  # never over files that somebody put there
            raise KaxisError(
                f"{folder / archive.folder} lacks {', '.join(missing)}; add it, or move the folder away to download the set"
            )
        download(name, folder)
    views = 2 if name == "cifar100" else 1
    checksums: dict[str, str] = {}
    parts = []
    for file, (records, official) in archive.files.items():
        raw = (folder / archive.folder / file).read_bytes()
        expected = records * (views + PIXELS)
        if len(raw) != expected:
            raise KaxisError(
                f"{folder / archive.folder / file}: {len(raw)} bytes, the official file has {expected}; truncated or another format"
            )
        checksums[file] = hashlib.md5(raw, usedforsecurity=False).hexdigest()
        if official and checksums[file] != official:
            warnings.warn(f"{file}: MD5 {checksums[file]} is not the official {official}; used as it is", stacklevel=2)
        parts.append(np.frombuffer(raw, np.uint8).reshape(records, views + PIXELS))
    rows = np.concatenate(parts)
    view_names = {"coarse": CIFAR100_COARSE, "fine": CIFAR100_FINE} if name == "cifar100" else {"fine": CIFAR10}
    labels = {view: rows[:, i].astype(np.int64) for i, view in enumerate(view_names)}
    for view, y in labels.items():
        if y.max() >= len(view_names[view]):
            raise KaxisError(
                f"{folder / archive.folder}: {view} label {y.max()} of {len(view_names[view])} classes; not a {name} file"
            )
    return Images(rows[:, views:], sum(n for n, _ in archive.train.values()), labels, view_names, checksums)


def _digits() -> Images:
    """The embedded set: scikit-learn's digits, two thirds for training, every third image of a class for testing (ours)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    y = bunch.target.astype(np.int64)
    rank = np.empty_like(y)
    for k in range(10):
        rank[y == k] = np.arange((y == k).sum())
    order = np.concatenate([np.flatnonzero(rank % 3 != 2), np.flatnonzero(rank % 3 == 2)])
    return Images(
        bunch.data.astype(np.uint8)[order],
        int((rank % 3 != 2).sum()),
        {"fine": y[order]},
        {"fine": tuple("0123456789")},
        {},
    )
