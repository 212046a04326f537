"""The synthetic teacher: standard normal inputs, labelled by a random ReLU network (paper, synthetic study)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kaxis.sources.task import Task, label_facts
from kaxis.streams import SHARED, stream

__all__ = ["teacher_task"]


def teacher_task(source: Mapping[str, Any], K: int, seed: int) -> Task:
    """Draw teacher, inputs and labels of one (K, seed).

    The paper gives the depth (3 layers), the sample sizes and "a new random draw per seed"; widths, initialisation and
    whether K shares the draw are our options. A nested teacher keeps inputs and hidden layers along K and lets its
    output grow: the first K rows are the same whatever K is.

    Parameters
    ----------
    source : mapping
        The teacher's options (`kaxis.sources.catalog.TEACHER_DEFAULTS`).
    K, seed : int

    Returns
    -------
    Task
        With ``n_train + n_test`` rows of ``input_dim`` features.
    """
    key = SHARED if source["nested_teacher"] else K
    n_train, n_test = source["n_train"], source["n_test"]
    x = stream(seed, "inputs", key).standard_normal((n_train + n_test, source["input_dim"]), dtype=np.float32)
    y = _labels(x.astype(np.float64), source, K, stream(seed, "teacher", key))
    y_train, y_test = y[:n_train].copy(), y[n_train:]
    facts = label_facts(y_train, y_test, K)
    if source["label_noise"]:
        noise = stream(seed, "label_noise", key)
        hit = noise.random(n_train) < source["label_noise"]
        y_train[hit] = (y_train[hit] + noise.integers(1, K, hit.sum())) % K
        facts = label_facts(y_train, y_test, K)
    rows = np.arange(n_train + n_test)
    return Task(x, rows[:n_train], y_train, rows[n_train:], y_test, facts)


def _labels(
    x_ND: NDArray[np.float64], source: Mapping[str, Any], K: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Argmax of the teacher's logits. Float64, so that no label hangs on the order of a sum."""
    hidden = [source["teacher_width"]] * (source["teacher_depth"] - 1)
    h = x_ND
    for i, width in enumerate([*hidden, K]):
        fan_in = h.shape[1]
        # One row a unit, bias last: the first K rows of an output layer do not depend on K.
        draw = rng.uniform(-1.0, 1.0, (width, fan_in + 1))
        bound = np.sqrt((6.0 if source["teacher_init"] == "kaiming" else 1.0) / fan_in)
        h = h @ (bound * draw[:, :-1]).T
        if source["teacher_bias"]:
            h = h + draw[:, -1] / np.sqrt(fan_in)
        if i < len(hidden):
            h = np.maximum(h, 0.0)
    return h.argmax(axis=1)
