"""Tiny ImageNet, read out of its zip file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kaxis.sources.info import Archive, ImageSet, SourceInfo

if TYPE_CHECKING:
    from kaxis.sources.info import Read

__all__ = ["SETS"]


def _read(folder: Path, archive: Archive) -> Read:
    import hashlib

    from kaxis.sources import readers
    from kaxis.sources.cache import cached

    ((path, _),) = archive.images(folder)
    state = path.stat()
    said = repr(("upright", str(path.resolve()), state.st_size, state.st_mtime_ns))
    key = hashlib.sha256(said.encode()).hexdigest()[:16]
    files, y, n_train, wnids = readers.tiny_imagenet_files(path)
    pixels = cached(key, (len(files), 64, 64, 3), lambda out: readers.tiny_imagenet(path, files, out))
    return pixels, {"fine": y}, n_train, {"fine": wnids}


SETS = (
    ImageSet(
        SourceInfo(
            "tiny_imagenet",
            {"fine": 200},
            "Tiny ImageNet, colour; its val set tests",
            64,
            100_000,
            10_000,
            "research only",
            237,
        ),
        Archive(
            "http://cs231n.stanford.edu/",
            "",
            ".",
            {"tiny-imagenet-200.zip": (110_000, "90528d7ca1a48142e341f4ef8d21d0de")},
            {},
        ),
        _read,
    ),
)
