"""The digits that scikit-learn brings along."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kaxis.sources.info import ImageSet, SourceInfo

if TYPE_CHECKING:
    from kaxis.sources.image_set import Images

__all__ = ["SETS"]

WRITERS = 1157
"""Where the tenth of about fourteen writers begins: each wrote the same sequence of digits, which starts anew there."""


def _load(name: str, folder: Path, size: int | None) -> Images:
    """The embedded set: scikit-learn's digits, whose pixels go from 0 to 16, in order of their writers.

    By writer (ours) the first nine train and the others test. Else every third image of a class tests, whose writer the
    training images know: what older records were made on.
    """
    import numpy as np
    from sklearn.datasets import load_digits

    from kaxis.sources.image_set import Images

    bunch = load_digits()
    y = bunch.target.astype(np.int64)
    rank = np.empty_like(y)
    for k in range(10):
        rank[y == k] = np.arange((y == k).sum())
    tests = np.arange(len(y)) >= WRITERS if name == "digits/writers" else rank % 3 == 2
    order = np.concatenate([np.flatnonzero(~tests), np.flatnonzero(tests)])
    return Images(
        bunch.data.astype(np.uint8)[order].reshape(-1, 8, 8, 1),
        int((~tests).sum()),
        {"fine": y[order]},
        {"fine": tuple("0123456789")},
        {},
    )


SETS = (
    ImageSet(
        SourceInfo(
            "digits",
            {"fine": 10},
            "8 x 8 grey digits of scikit-learn, tested on other writers",
            8,
            1_157,
            640,
            "CC BY 4.0",
            channels=1,
        ),
        load=_load,
    ),
)
