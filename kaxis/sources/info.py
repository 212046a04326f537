"""What is said of a set of images before any of it is read: its facts, its files, and how to read them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kaxis.spec.info import SourceInfo

if TYPE_CHECKING:  # listing sets reads none
    import numpy as np
    from numpy.typing import NDArray

    from kaxis.sources.image_set import Images

    Read = tuple[NDArray[np.uint8], dict[str, NDArray[np.int64]], int, dict[str, tuple[str, ...]]]
    """Pixels (N, H, W, C), training images first; labels by view; number of training images; class names by view."""

__all__ = ["Archive", "ImageSet", "SourceInfo"]


@dataclass(frozen=True)
class Archive:
    """An official archive: where it is, what is in it, and the MD5 sums that its makers publish.

    Parameters
    ----------
    url : str
        Of a tar archive; or, ending in a slash, the place of `files`, which are then fetched one by one.
    md5 : str
        Of the tar archive.
    folder : str
        Below the data folder.
    train, test : dict
        Each file's number of records and its MD5, or None where none is published.
    also : dict
        Files with neither training nor test images of their own.
    """

    url: str
    md5: str
    folder: str
    train: dict[str, tuple[int, str | None]]
    test: dict[str, tuple[int, str | None]]
    also: dict[str, tuple[int, str | None]] = field(default_factory=dict)

    def images(self, folder: Path) -> list[tuple[Path, int]]:
        """Files of training images, then of test images, below the data folder, with their numbers of records."""
        return [(folder / self.folder / file, n) for file, (n, _) in (self.train | self.test).items()]

    def others(self, folder: Path) -> list[tuple[Path, int]]:
        """Those of `also`."""
        return [(folder / self.folder / file, n) for file, (n, _) in self.also.items()]

    @property
    def n_train(self) -> int:
        return sum(n for n, _ in self.train.values())

    @property
    def files(self) -> dict[str, tuple[int, str | None]]:
        return {**self.train, **self.test, **self.also}


@dataclass(frozen=True)
class ImageSet:
    """A set of images: one of the package, or of an installed package (entry point of the group ``kaxis.sets``).

    Parameters
    ----------
    info : SourceInfo
    archive : Archive, optional
        Its official files, with ``read``.
    read : callable, optional
        ``read(folder, archive)`` reads them from the data folder; see `Read`.
    load : callable, optional
        Instead of both, ``load(name, folder, size)`` gives the whole set.
    needs : tuple of str
        Files and folders below the data folder that a set without an archive is made from.
    terms : str
        Why it cannot be fetched, and what to do.
    """

    info: SourceInfo
    archive: Archive | None = None
    read: Callable[[Path, Archive], Read] | None = None
    load: Callable[[str, Path, int | None], Images] | None = None
    needs: tuple[str, ...] = ()
    terms: str = ""
