"""Initial numbers of a network, each from its own stream: the same hidden layers for every K and learner of a seed."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from kaxis.spec.learner import DIRECT, TableLearner
from kaxis.streams import stream

__all__ = ["feedback", "group_means", "linear", "network", "readout", "sizes"]

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def linear(rng: np.random.Generator, rows: int, n: int) -> Pair:
    """Torch's default for linear and convolutional layers: weights (rows, n) and bias (rows, 1) uniform in
    +-1/sqrt(n).
    """
    bound = n**-0.5
    return rng.uniform(-bound, bound, (rows, n)), rng.uniform(-bound, bound, (rows, 1))


def sizes(K: int, n: int) -> list[int]:
    """How many of n channels each of K groups has: as equal as can be, the larger ones first (ours: the originals have
    a multiple of K channels).

    Examples
    --------
    >>> sizes(3, 8)
    [3, 3, 2]
    """
    return [n // K + (k < n % K) for k in range(K)]


def group_means(K: int, channels: int, cells: int = 1) -> NDArray[np.float64]:
    """The readout (K, cells * channels) whose logits are the means of K groups of channels over all cells.

    Examples
    --------
    >>> group_means(2, 3).tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
    """
    each = np.repeat(np.eye(K), sizes(K, channels), axis=1)
    return np.tile(each / (each.sum(1, keepdims=True) * cells), cells)


def feedback(rng: np.random.Generator, rows: int, fan_in: int) -> NDArray[np.float64]:
    """Backward weights (rows, fan_in), uniform in +-sqrt(6 / fan_in): `torch.nn.init.kaiming_uniform_`'s default
    (Frenkel et al. 2021, their ``module.py``).
    """
    bound = (6 / fan_in) ** 0.5
    return rng.uniform(-bound, bound, (rows, fan_in))


def readout(
    seed: int, member: int, layer: int, K: int, width: int, learner: TableLearner, *, channels: int | None = None
) -> Pair:
    """A head's weights (K, width) and bias (K, 1): the fixed draw, means of groups of channels, or torch's default for
    a learned one that starts so. Without a bias it is 0.

    Scales of the draw: standard deviation 1, 1/sqrt(width) or 1/sqrt(K); ``columns`` is unit normal with each column
    divided by its length (paper, ablation of the readout).
    """
    R, c = _readout(seed, member, layer, K, width, learner, channels or width)
    return R, c if learner.bias == "yes" else np.zeros_like(c)


def _readout(seed: int, member: int, layer: int, K: int, width: int, learner: TableLearner, channels: int) -> Pair:
    if learner.readout == "groups":
        return group_means(K, channels, width // channels), np.zeros((K, 1))
    if not learner.drawn:
        return linear(stream(seed, f"head/{member}/{layer}", K), K, width)
    kind = learner.readout_scale
    scale = {"unit": 1.0, "columns": 1.0, "rsqrt_width": width**-0.5, "rsqrt_K": K**-0.5}[kind]
    rng = stream(seed, f"readout/{member}/{layer}", K)
    R = scale * rng.standard_normal((K, width))
    if kind == "columns":
        R /= np.linalg.norm(R, axis=0)
        scale = K**-0.5
    return R, scale * learner.readout_bias * rng.standard_normal((K, 1))


def network(
    seed: int, member: int, K: int, fan_in: list[int], width: int, headed: Iterable[int], learner: TableLearner
) -> dict[str, NDArray[np.float64]]:
    """One MLP's initial numbers. Hidden layers are the same for every K and learner of a seed, heads for every
    learner.
    """
    out = {}
    for layer, n in enumerate(fan_in):
        out[f"W{layer}"], out[f"b{layer}"] = linear(stream(seed, f"init/{member}/{layer}"), width, n)
        if learner.gradient in DIRECT:
            out[f"B{layer}"] = feedback(stream(seed, f"feedback/{member}/{layer}", K), K, width)
        elif learner.gradient == "fa" and layer:
            out[f"B{layer}"] = feedback(stream(seed, f"feedback/{member}/{layer}"), width, n)
    if learner.gradient == "fa":
        out[f"B{len(fan_in)}"] = feedback(stream(seed, f"feedback_head/{member}", K), K, width)
    for layer in headed:
        out[f"R{layer}"], out[f"c{layer}"] = readout(seed, member, layer, K, width, learner)
        if learner.temperature == "learned":
            out[f"alpha{layer}"] = np.zeros((1, 1))
    return out
