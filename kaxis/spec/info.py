"""What is said of a source before any of it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["SourceInfo"]


@dataclass(frozen=True)
class SourceInfo:
    """A source: how many classes it has in each label view, and where it comes from.

    Parameters
    ----------
    name : str
    views : dict of str to int
        Classes of each named label view; empty for the synthetic teacher, which has as many as asked for.
    about : str
        One line for ``kaxis data list``.
    size : int or None
        Side of its images in pixels; None where they have no size of their own.
    train, test : int
        Images.
    licence : str
    download : int
        MiB.
    channels : int
        Of its raw features.
    """

    name: str
    views: Mapping[str, int]
    about: str
    size: int | None = None
    train: int = 0
    test: int = 0
    licence: str = ""
    download: int = 0
    channels: int = 3

    @property
    def real(self) -> bool:
        return bool(self.views)
