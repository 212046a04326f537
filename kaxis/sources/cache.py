"""Decoded images and fitted features on disk: written once, whole or not at all, and used only as they were written."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import math
import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kaxis.errors import KaxisError
from kaxis.io import file_digest, sweep, whole_file, write_text

__all__ = ["as_written", "cache_dir", "cached", "keep", "md5_of"]


def md5_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def cached(key: str, shape: tuple[int, ...], fill: Callable[[NDArray[np.uint8]], None]) -> NDArray[np.uint8]:
    """A uint8 array from the user's cache, mapped into memory so that processes share it and it need not fit.

    What is not there is filled into a file, which takes its name when it is whole. Beside it stands its digest: one
    that does not agree is made again.

    Raises
    ------
    KaxisError
        If the cache cannot take it.
    """
    path = cache_dir() / "images" / f"{key}.npy"
    with contextlib.suppress(OSError, ValueError):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.shape == shape and array.dtype == np.uint8 and as_written(path):
            return array

    def write(part: Path) -> None:
        if shutil.disk_usage(part.parent).free < math.prod(shape):  # or it would be taken from everybody on the disk
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        out = np.lib.format.open_memmap(part, "w+", np.uint8, shape)
        _reserve(part)
        fill(out)
        out.flush()

    try:
        keep(path, write)
    except OSError as error:
        size = np.prod(shape) / 2**30
        raise KaxisError(
            f"{path.parent}: {size:.1f} GiB of decoded images cannot be kept there ({error.strerror or error}); "
            "$XDG_CACHE_HOME moves it"
        ) from None
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _reserve(file: Path) -> None:
    """Take the whole of a sparse file's space now: where a disk fills up under a map, the process is killed.

    Raises
    ------
    OSError
        If there is no room.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    with file.open("r+b") as opened:
        try:
            os.posix_fallocate(opened.fileno(), 0, os.fstat(opened.fileno()).st_size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):  # a file system that cannot
                raise


def cache_dir() -> Path:
    """The user's cache."""
    import pooch

    return Path(pooch.os_cache("kaxis"))


def keep(path: Path, write: Callable[[Path], None]) -> None:
    """Have a file of the cache written, whole or not at all, with its digest beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    with whole_file(path) as part:
        write(part)
        digest = file_digest(part)
    state = path.stat()
    write_text(path.with_suffix(".sha256"), f"{digest} {state.st_size} {state.st_mtime_ns}\n")


def as_written(path: Path) -> bool:
    """Whether a file of the cache is what was written there: by its digest; in a worker, whose parent has looked, by
    size and time.
    """
    try:
        digest, size, changed = path.with_suffix(".sha256").read_text("utf-8").split()
        state = path.stat()
        if multiprocessing.parent_process() is not None and (str(state.st_size), str(state.st_mtime_ns)) == (
            size,
            changed,
        ):
            return True
        return file_digest(path) == digest
    except (OSError, ValueError):
        return False
