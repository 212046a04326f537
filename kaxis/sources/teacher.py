"""The synthetic teacher: standard normal inputs, labelled by a random ReLU network (paper, synthetic study).

Difficulty, balance and hierarchy are options of ours; with all of them neutral every sample that is drawn is kept.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kaxis.sources.relabel import dealt
from kaxis.spec.teacher import TeacherSpec
from kaxis.streams import SHARED, stream

__all__ = ["Labels", "Teacher"]

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]

POOL = 60_000
"""Samples of their own from which logits are standardised and quantiles of margins taken."""


class Teacher:
    """The network of one (source, K, seed).

    Parameters
    ----------
    source : TeacherSpec
    K, seed : int
    """

    def __init__(self, source: TeacherSpec, K: int, seed: int) -> None:
        self.source, self.seed = source, seed
        self.classes = source.fine_classes(K)
        self.key = SHARED if source.nested_teacher else self.classes
        self.groups: int = source.superclasses or 0
        widths = [source.teacher_width] * (source.teacher_depth - 1)
        rng, fan_in = self.stream("teacher"), source.input_dim
        self.hidden, self.heads = [], []
        for width in widths:
            self.hidden.append(self._layer(rng, width, fan_in))
            fan_in = width
        self.heads.append(self._layer(rng, self.classes, fan_in))
        if self.groups:
            self.heads.append(self._layer(self.stream("superclasses"), self.groups, fan_in))
        self.scales = [(np.zeros(1), np.ones(1))] * 2
        if source.balance != "none":
            h = self._hidden(self.inputs(self.stream("pool"), POOL))
            self.scales = [(z.mean(0), z.std(0)) for z in (h @ W.T + b for W, b in self.heads)]

    def stream(self, purpose: str) -> np.random.Generator:
        return stream(self.seed, purpose, self.key)

    def inputs(self, rng: np.random.Generator, n: int) -> NDArray[np.float32]:
        return rng.standard_normal((n, self.source.input_dim), dtype=np.float32)

    def _layer(self, rng: np.random.Generator, width: int, fan_in: int) -> tuple[Matrix, Matrix]:
        # One row a unit, bias last: the first K rows of an output layer do not depend on K.
        draw = rng.uniform(-1.0, 1.0, (width, fan_in + 1))
        bound = np.sqrt((6.0 if self.source.teacher_init == "kaiming" else 1.0) / fan_in)
        return bound * draw[:, :-1], draw[:, -1] / np.sqrt(fan_in) * self.source.teacher_bias

    def _hidden(self, x_ND: NDArray[np.float32]) -> Matrix:
        """Float64, so that no label hangs on the order of a sum."""
        h = x_ND.astype(np.float64)
        for W, b in self.hidden:
            h = np.maximum(h @ W.T + b, 0.0)
        return h

    def labels(self, x_ND: NDArray[np.float32]) -> tuple[Labels, Matrix]:
        """Class of each input, and by how much its logit leads the second: with superclasses, the smaller of the two
        leads.

        A superclass is chosen first, then a class within it; class k belongs to superclass k mod S.
        """
        h = self._hidden(x_ND)
        z, *upper = [((h @ W.T + b) - mean) / std for (W, b), (mean, std) in zip(self.heads, self.scales, strict=False)]
        lead = np.full(len(z), np.inf)
        if upper:
            group = upper[0].argmax(1)
            lead = _lead(upper[0])
            z = np.where(np.arange(self.classes) % self.groups == group[:, None], z, -np.inf)
        return z.argmax(1), np.minimum(lead, _lead(z))

    @cached_property
    def pool(self) -> tuple[NDArray[np.float32], Labels, Matrix]:
        """Inputs, labels and margins by which margins are judged."""
        x = self.inputs(self.stream("pool"), POOL)
        return x, *self.labels(x)

    def edges(self, quantile: float) -> Matrix:
        """The margin below which that share of each class's samples lies, so that no class gains or loses by the
        choice.

        A class with fewer than 20 samples in the pool takes the edge of all.
        """
        _, y, margin = self.pool
        edges = np.full(self.classes, np.quantile(margin, quantile))
        for k in np.flatnonzero(np.bincount(y, minlength=self.classes) >= 20):
            edges[k] = np.quantile(margin[y == k], quantile)
        return edges

    def view(self, y: Labels) -> Labels:
        """Labels under the view that the source asks for."""
        view = self.source.labels
        if view == "coarse":
            return y % self.groups
        if view.startswith("merge:"):
            return dealt(self.seed, self.classes, int(view[6:]))[y]
        return y


def _lead(z: Matrix) -> Matrix:
    """The largest logit minus the second; infinite where there is one."""
    if z.shape[1] == 1:
        return np.full(len(z), np.inf)
    top = np.partition(z, -2, axis=1)[:, -2:]
    return top[:, 1] - top[:, 0]
