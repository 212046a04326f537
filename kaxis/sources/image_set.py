"""A whole image set in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["Images"]


@dataclass(frozen=True)
class Images:
    """A whole image set.

    Parameters
    ----------
    pixels : array, shape (N, H, W, C), uint8
        Training images first; C is 1 or 3.
    n_train : int
    labels : dict of str to array of int64, shape (N,)
        One entry a label view of the file (``fine``, ``coarse``).
    names : dict of str to tuple of str
        Class names of each view.
    checksums : dict of str to str
        MD5 of each file that was read; empty for embedded data.
    stamp : str
        Of what the checksums do not tell apart: of folders of images, when each was changed.
    """

    pixels: NDArray[np.uint8]
    n_train: int
    labels: dict[str, NDArray[np.int64]]
    names: dict[str, tuple[str, ...]]
    checksums: dict[str, str]
    stamp: str = ""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the pixels: what is computed of them is known by it, whatever a reader says of its files."""
        return hashlib.sha256(np.ascontiguousarray(self.pixels).data).hexdigest()

    @property
    def flat(self) -> NDArray[np.uint8]:
        """Pixels as rows, shape (N, C * H * W), channel by channel."""
        return self.pixels.transpose(0, 3, 1, 2).reshape(len(self.pixels), -1)
