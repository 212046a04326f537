"""Label views and samples of an image set: which classes, what they are called, how many images of each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kaxis.errors import KaxisError, hint
from kaxis.sources.image_set import Images
from kaxis.spec.images import ImageSpec
from kaxis.streams import stream

__all__ = ["dealt", "draw_classes", "draw_sample", "hold_out", "label_view"]


def dealt(seed: int, classes: int, groups: int) -> NDArray[np.int64]:
    """The group of each class under ``merge:groups``: groups' sizes differ by one at most."""
    order = stream(seed, f"merge/{groups}").permutation(classes)
    group_of = np.empty(classes, np.int64)
    group_of[order] = np.arange(classes) % groups
    return group_of


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
    group_of = dealt(seed, len(names), groups)
    merged = tuple("+".join(names[i] for i in np.flatnonzero(group_of == g)) for g in range(groups))
    return group_of[images.labels["fine"]], merged


def draw_classes(
    names: tuple[str, ...],
    K: int,
    seed: int,
    fixed: tuple[str, ...] = (),
    *,
    subset: str = "any",
    parents: NDArray[np.int64] | None = None,
    parent_names: tuple[str, ...] = (),
) -> NDArray[np.int64]:
    """Which K classes: those named, else the first K of an order that is the seed's, so that smaller K nest in larger.

    Parameters
    ----------
    names : tuple of str
    K, seed : int
    fixed : tuple of str
        Classes by name.
    subset : str
        ``any``: a permutation of all classes. ``within``: superclass after superclass, so that K classes come out of
        as few as possible; ``within:NAME[+NAME]``: out of those. ``across``: one class of each superclass, then a
        second, so that K classes come out of as many as possible (ours).
    parents : array of int, shape (classes,)
        Superclass of each class.
    parent_names : tuple of str

    Raises
    ------
    KaxisError
        For a class that the set does not have, or K above what `subset` leaves.
    """
    if fixed:
        for name in fixed:
            if name not in names:
                raise KaxisError(f"class '{name}' is not {hint(name, names)}")
        return np.array([names.index(name) for name in fixed])
    order = stream(seed, "classes").permutation(len(names))
    if subset == "any":
        return order[:K]
    assert parents is not None
    if subset.startswith("within:"):
        for name in subset[7:].split("+"):
            if name not in parent_names:
                raise KaxisError(f"superclass '{name}' is not {hint(name, parent_names)}")
        order = order[np.isin(parents[order], [parent_names.index(n) for n in subset[7:].split("+")])]
        if len(order) < K:
            raise KaxisError(f"K = {K}: {subset} has {len(order)} classes")
    turn = np.empty(len(order), np.int64)  # 0 for the first class drawn of its superclass, 1 for the second, ...
    seen: dict[int, int] = {}
    for i, c in enumerate(order):
        turn[i] = seen.setdefault(int(parents[c]), 0)
        seen[int(parents[c])] += 1
    rank = {parent: i for i, parent in enumerate(seen)}  # superclasses in the order of their first draw
    place = np.array([rank[int(parents[c])] for c in order])
    keys = (place, turn) if subset == "across" else (turn, place)  # np.lexsort: the last key sorts first
    return order[np.lexsort(keys)][:K]


def draw_sample(y: NDArray[np.int64], K: int, seed: int, source: ImageSpec) -> NDArray[np.int64]:
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
    if source.per_class:
        wanted = np.full(K, source.per_class)
    elif source.train_total:
        # What does not divide goes to the first classes, one each.
        wanted = source.train_total // K + (np.arange(K) < source.train_total % K)
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


def hold_out(rows: NDArray[np.int64], seed: int, share: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Training rows that stay, and those held out: a random share of the images, the seed's choice."""
    if not share:
        return rows, rows[:0]
    count = round(share * len(rows))
    if not 0 < count < len(rows):
        raise KaxisError(
            f"holdout = {share}: leaves {count} of {len(rows)} training images out; hold out some, keep some"
        )
    order = stream(seed, "holdout").permutation(len(rows))
    return np.sort(rows[order[count:]]), rows[np.sort(order[:count])]
