"""A task: one cell's data, as rows of a feature matrix with labels 0..K-1."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Task", "label_facts"]


@dataclass(frozen=True)
class Task:
    """What a network is trained and tested on.

    Parameters
    ----------
    features : array, shape (rows, D) of float32, or (rows, S, S, 3) of uint8
        May hold more rows than the task uses, and be shared between tasks.
    train_rows, test_rows : array of int, shapes (n_train,) and (n_test,)
        Which rows.
    y_train, y_test : array of int64, same lengths
        Labels 0 .. K-1.
    facts : dict
        What the record says of the data.
    held_rows, y_held : array of int
        Training images that were held out.
    statistics : tuple
        For images, mean and standard deviation of each channel.
    stamp : str
        What the facts do not tell apart: of folders of images, when each was changed.
    """

    features: NDArray[Any]
    train_rows: NDArray[np.int64]
    y_train: NDArray[np.int64]
    test_rows: NDArray[np.int64]
    y_test: NDArray[np.int64]
    facts: dict[str, Any]
    held_rows: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    y_held: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    statistics: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    stamp: str = ""

    def rows(self, split: str) -> NDArray[np.int64]:
        """Rows of ``train``, ``test`` or ``held``."""
        return {"train": self.train_rows, "test": self.test_rows, "held": self.held_rows}[split]

    def labels(self, split: str) -> NDArray[np.int64]:
        """Labels of ``train``, ``test`` or ``held``."""
        return {"train": self.y_train, "test": self.y_test, "held": self.y_held}[split]


def label_facts(y_train: NDArray[np.int64], y_test: NDArray[np.int64], K: int) -> dict[str, Any]:
    """Sizes, imbalance and chance of a labelling.

    Returns
    -------
    dict
        ``n_train``, ``n_test``; ``largest_class_share`` and ``effective_classes`` (exp of the entropy, in nats) of the
        training labels; ``chance``: the test accuracy of always naming the training set's majority class.

    Examples
    --------
    >>> label_facts(np.array([0, 0, 1]), np.array([0, 1]), 2)["chance"]
    0.5
    """
    counts = np.bincount(y_train, minlength=K)
    share = counts[counts > 0] / len(y_train)
    return {
        "n_train": len(y_train),
        "n_test": len(y_test),
        "largest_class_share": float(share.max()),
        "effective_classes": float(np.exp(-(share * np.log(share)).sum())),
        "chance": float(np.mean(y_test == counts.argmax())),
    }
