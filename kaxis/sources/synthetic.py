"""The synthetic task: samples of a teacher, with the label shares and the difficulty that are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kaxis.errors import KaxisError
from kaxis.sources.matching import matched
from kaxis.sources.relabel import hold_out
from kaxis.sources.task import Task, label_facts
from kaxis.sources.teacher import Labels, Teacher
from kaxis.spec.teacher import TeacherSpec, parse_margin

__all__ = ["teacher_task"]

Chunks = Iterator[tuple[NDArray[np.float32], Labels]]

MOST_DRAWS = 400
"""Times the wanted number of samples that are drawn before a class counts as too rare."""


def teacher_task(source: TeacherSpec, K: int, seed: int) -> Task:
    """Draw teacher, inputs and labels of one (K, seed).

    The paper gives the depth (3 layers), the sample sizes and "a new random draw per seed"; widths, initialisation and
    whether K shares the draw are our options. A nested teacher keeps inputs and hidden layers along K and lets its
    output grow: the first K rows are the same whatever K is.

    Parameters
    ----------
    source : TeacherSpec
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
    n_train, n_test = (source.per_class or 0) * K or source.n_train, source.n_test
    kind, value = parse_margin(source.margin)
    facts: dict[str, Any] = {}
    if kind == "match":
        kind, value, reached = matched(teacher, value, K)
        facts = {"margin": f"{kind}:{value:g}" if kind != "any" else kind, "probe": reached}
    samples = _kept(teacher, n_train + n_test, kind, value)
    if source.balance == "uniform":
        x, y = _equal_shares(samples, teacher, K, n_train, n_test)
    else:
        x, y = _first(samples, n_train + n_test)
    y_train, y_test = teacher.view(y[:n_train]), teacher.view(y[n_train:])
    if source.label_noise:
        noise = teacher.stream("label_noise")
        y_train = y_train.copy()
        hit = noise.random(n_train) < source.label_noise
        y_train[hit] = (y_train[hit] + noise.integers(1, K, hit.sum())) % K
    rows = np.arange(n_train + n_test)
    kept, held = hold_out(rows[:n_train], seed, source.holdout)
    facts |= label_facts(y_train[kept], y_test, K)
    return Task(x, kept, y_train[kept], rows[n_train:], y_test, facts, held, y_train[held])


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
    """The first samples of each class of the view until every share is full, in the order of drawing; training rows
    first.
    """
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
            f"balance = uniform: K = {K} seed {teacher.seed} drew {have[k]} samples of class {k}, which needs "
            f"{quota[0][k] + quota[1][k]}"
        )
    x, y, v, rank = (np.concatenate(column) for column in zip(*parts, strict=True))
    train = np.flatnonzero(rank < quota[0][v])
    test = np.flatnonzero((rank >= quota[0][v]) & (rank < (quota[0] + quota[1])[v]))
    order = np.concatenate([train, test])
    return x[order], y[order]
