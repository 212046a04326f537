"""The synthetic teacher: standard normal inputs, labelled by a random ReLU network (paper, synthetic study).

Difficulty, balance and hierarchy are knobs of ours (`kaxis.sources.knobs`); with all of them neutral every sample that is drawn is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kaxis.errors import KaxisError
from kaxis.sources.knobs import fine_classes, parse_margin
from kaxis.sources.relabel import hold_out
from kaxis.sources.task import Task, label_facts
from kaxis.streams import SHARED, stream

__all__ = ["Teacher", "teacher_task"]

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]

POOL = 60_000
"""Samples of their own from which logits are standardised and quantiles of margins taken."""

MOST_DRAWS = 400
"""Times the wanted number of samples that are drawn before a class counts as too rare."""


class Teacher:
    """The network of one (source, K, seed).

    Parameters
    ----------
    source : mapping
        `kaxis.sources.catalog.TEACHER_DEFAULTS`, and those of `kaxis.sources.knobs.NEUTRAL` that differ.
    K, seed : int
    """

    def __init__(self, source: Mapping[str, Any], K: int, seed: int) -> None:
        self.source, self.seed = source, seed
        self.classes = fine_classes(source, K)
        self.key = SHARED if source["nested_teacher"] else self.classes
        self.groups: int = source.get("superclasses") or 0
        widths = [source["teacher_width"]] * (source["teacher_depth"] - 1)
        rng, fan_in = self.stream("teacher"), source["input_dim"]
        self.hidden, self.heads = [], []
        for width in widths:
            self.hidden.append(self._layer(rng, width, fan_in))
            fan_in = width
        self.heads.append(self._layer(rng, self.classes, fan_in))
        if self.groups:
            self.heads.append(self._layer(self.stream("superclasses"), self.groups, fan_in))
        self.scales = [(np.zeros(1), np.ones(1))] * 2
        if source.get("balance", "none") != "none":
            h = self._hidden(self.inputs(self.stream("pool"), POOL))
            self.scales = [(z.mean(0), z.std(0)) for z in (h @ W.T + b for W, b in self.heads)]

    def stream(self, purpose: str) -> np.random.Generator:
        return stream(self.seed, purpose, self.key)

    def inputs(self, rng: np.random.Generator, n: int) -> NDArray[np.float32]:
        return rng.standard_normal((n, self.source["input_dim"]), dtype=np.float32)

    def _layer(self, rng: np.random.Generator, width: int, fan_in: int) -> tuple[Matrix, Matrix]:
        # One row a unit, bias last: the first K rows of an output layer do not depend on K.
        draw = rng.uniform(-1.0, 1.0, (width, fan_in + 1))
        bound = np.sqrt((6.0 if self.source["teacher_init"] == "kaiming" else 1.0) / fan_in)
        return bound * draw[:, :-1], draw[:, -1] / np.sqrt(fan_in) * self.source["teacher_bias"]

    def _hidden(self, x_ND: NDArray[np.float32]) -> Matrix:
        """Float64, so that no label hangs on the order of a sum."""
        h = x_ND.astype(np.float64)
        for W, b in self.hidden:
            h = np.maximum(h @ W.T + b, 0.0)
        return h

    def labels(self, x_ND: NDArray[np.float32]) -> tuple[Labels, Matrix]:
        """Class of each input, and by how much its logit leads the second: with superclasses, the smaller of the two leads.

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
        """The margin below which that share of each class's samples lies, so that no class gains or loses by the choice.

        A class with fewer than 20 samples in the pool takes the edge of all.
        """
        _, y, margin = self.pool
        edges = np.full(self.classes, np.quantile(margin, quantile))
        for k in np.flatnonzero(np.bincount(y, minlength=self.classes) >= 20):
            edges[k] = np.quantile(margin[y == k], quantile)
        return edges

    def view(self, y: Labels) -> Labels:
        """Labels under the view that the source asks for."""
        view = self.source.get("labels", "fine")
        if view == "coarse":
            return y % self.groups
        if view.startswith("merge:"):
            order = stream(self.seed, f"merge/{view[6:]}").permutation(self.classes)
            group_of = np.empty(self.classes, np.int64)
            group_of[order] = np.arange(self.classes) % int(view[6:])
            return group_of[y]
        return y


def teacher_task(source: Mapping[str, Any], K: int, seed: int) -> Task:
    """Draw teacher, inputs and labels of one (K, seed).

    The paper gives the depth (3 layers), the sample sizes and "a new random draw per seed"; widths, initialisation and
    whether K shares the draw are our options. A nested teacher keeps inputs and hidden layers along K and lets its
    output grow: the first K rows are the same whatever K is.

    Parameters
    ----------
    source : mapping
        The teacher's options (`kaxis.sources.catalog.TEACHER_DEFAULTS`, `kaxis.sources.knobs.NEUTRAL`).
    K, seed : int

    Returns
    -------
    Task
        With ``n_train + n_test`` rows of ``input_dim`` features; ``per_class`` K training rows where it is asked for.

    Raises
    ------
    KaxisError
        If a class is too rare for equal shares, or no difficulty matches.
    """
    teacher = Teacher(source, K, seed)
    n_train, n_test = (source.get("per_class") or 0) * K or source["n_train"], source["n_test"]
    kind, value = parse_margin(source.get("margin", "any"))
    facts: dict[str, Any] = {}
    if kind == "match":
        from kaxis.sources.matching import matched

        kind, value, reached = matched(teacher, value, K)
        facts = {"margin": f"{kind}:{value:g}" if kind != "any" else kind, "probe": reached}
    samples = _kept(teacher, n_train + n_test, kind, value)
    if source.get("balance") == "uniform":
        x, y = _equal_shares(samples, teacher, K, n_train, n_test)
    else:
        x, y = _first(samples, n_train + n_test)
    y_train, y_test = teacher.view(y[:n_train]), teacher.view(y[n_train:])
    if source["label_noise"]:
        noise = teacher.stream("label_noise")
        y_train = y_train.copy()
        hit = noise.random(n_train) < source["label_noise"]
        y_train[hit] = (y_train[hit] + noise.integers(1, K, hit.sum())) % K
    rows = np.arange(n_train + n_test)
    kept, held = hold_out(rows[:n_train], seed, source.get("holdout", 0.0))
    facts |= label_facts(y_train[kept], y_test, K)
    return Task(x, kept, y_train[kept], rows[n_train:], y_test, facts, held, y_train[held])


Chunks = Iterator[tuple[NDArray[np.float32], Labels]]


def _kept(teacher: Teacher, n: int, kind: str, quantile: float) -> Chunks:
    """Samples in the order of drawing, n drawn at a time, those on the wrong side of their class's margin left out."""
    rng = teacher.stream("inputs")
    edges = teacher.edges(quantile) if kind != "any" else None
    for _ in range(MOST_DRAWS):
        x = teacher.inputs(rng, n)
        y, margin = teacher.labels(x)
        if edges is not None:
            keep = (margin >= edges[y]) == (kind == "above")
            x, y = x[keep], y[keep]
        yield x, y


def _first(samples: Chunks, n: int) -> tuple[NDArray[np.float32], Labels]:
    xs, ys, have = [], [], 0
    for x, y in samples:
        xs.append(x)
        ys.append(y)
        have += len(y)
        if have >= n:
            return np.concatenate(xs)[:n], np.concatenate(ys)[:n]
    raise KaxisError(f"margin: {have} of {n} samples were found among {MOST_DRAWS * n:,}; choose a milder quantile")


def _equal_shares(
    samples: Chunks, teacher: Teacher, K: int, n_train: int, n_test: int
) -> tuple[NDArray[np.float32], Labels]:
    """The first samples of each class of the view until every share is full, in the order of drawing; training rows first."""
    quota = [np.full(K, n // K) + (np.arange(K) < n % K) for n in (n_train, n_test)]
    have, parts = np.zeros(K, np.int64), []
    for x, y in samples:
        v = teacher.view(y)
        rank = np.empty(len(v), np.int64)  # how many of its class came before
        for k in range(K):
            own = np.flatnonzero(v == k)
            rank[own] = have[k] + np.arange(len(own))
            have[k] += len(own)
        parts.append((x, y, v, rank))
        if (have >= quota[0] + quota[1]).all():
            break
    else:
        k = int((have / (quota[0] + quota[1])).argmin())
        raise KaxisError(
            f"balance = uniform: K = {K} seed {teacher.seed} drew {have[k]} samples of class {k}, which needs {quota[0][k] + quota[1][k]}"
        )
    x, y, v, rank = (np.concatenate(column) for column in zip(*parts, strict=True))
    train = np.flatnonzero(rank < quota[0][v])
    test = np.flatnonzero((rank >= quota[0][v]) & (rank < (quota[0] + quota[1])[v]))
    order = np.concatenate([train, test])
    return x[order], y[order]


def _lead(z: Matrix) -> Matrix:
    """The largest logit minus the second; infinite where there is one."""
    if z.shape[1] == 1:
        return np.full(len(z), np.inf)
    top = np.partition(z, -2, axis=1)[:, -2:]
    return top[:, 1] - top[:, 0]
