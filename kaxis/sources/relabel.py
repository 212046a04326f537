"""Label views and samples of an image set: which classes, what they are called, how many images of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kaxis.errors import KaxisError, hint
from kaxis.sources.images import Images
from kaxis.streams import stream

__all__ = ["draw_classes", "draw_sample", "label_view"]


def label_view(images: Images, view: str, seed: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Labels and class names of a whole set under a view.

    ``merge:N`` deals the fine classes at random into N groups whose sizes differ by one at most: the control for
    ``coarse``, with as many labels and no meaning in them (ours). The deal is the seed's.

    Returns
    -------
    labels : array of int64, shape (images,)
    names : tuple of str
    """
    if view in images.labels:
        return images.labels[view], images.names[view]
    groups = int(view.removeprefix("merge:"))
    names = images.names["fine"]
    order = stream(seed, f"merge/{groups}").permutation(len(names))
    group_of = np.empty(len(names), np.int64)
    group_of[order] = np.arange(len(names)) % groups
    merged = tuple("+".join(names[i] for i in np.flatnonzero(group_of == g)) for g in range(groups))
    return group_of[images.labels["fine"]], merged


def draw_classes(names: tuple[str, ...], K: int, seed: int, fixed: tuple[str, ...] = ()) -> NDArray[np.int64]:
    """Which K classes: those named, else the first K of the seed's permutation, so that smaller K nest in larger.

    Raises
    ------
    KaxisError
        For a class name that the set does not have.
    """
    if fixed:
        for name in fixed:
            if name not in names:
                raise KaxisError(f"class '{name}' is not {hint(name, names)}")
        return np.array([names.index(name) for name in fixed])
    return stream(seed, "classes").permutation(len(names))[:K]


def draw_sample(y: NDArray[np.int64], K: int, seed: int, source: Mapping[str, Any]) -> NDArray[np.int64]:
    """Positions of the training images to use: all, N of each class, or N in all, balanced.

    Each class gives its first images in the seed's one permutation of the whole training set, so samples nest too.

    Parameters
    ----------
    y : array of int64, shape (n_train,)
        Labels 0 .. K-1, and -1 for images of other classes.

    Raises
    ------
    KaxisError
        If a class has fewer images than asked for.
    """
    if source["per_class"]:
        wanted = np.full(K, source["per_class"])
    elif source["train_total"]:
        # What does not divide goes to the first classes, one each.
        wanted = source["train_total"] // K + (np.arange(K) < source["train_total"] % K)
    else:
        return np.flatnonzero(y >= 0)
    order = stream(seed, "sample").permutation(len(y))
    picks = []
    for k in range(K):
        members = order[y[order] == k]
        if len(members) < wanted[k]:
            raise KaxisError(f"{wanted[k]} training images a class asked for; a class of K = {K} has {len(members)}")
        picks.append(members[: wanted[k]])
    return np.sort(np.concatenate(picks))
