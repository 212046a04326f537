"""Initial numbers of a network, each from its own stream: the same hidden layers for every K and learner of a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kaxis.spec.learner import TableLearner
from kaxis.streams import stream

__all__ = ["linear", "readout"]

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def linear(rng: np.random.Generator, rows: int, n: int) -> Pair:
    """Torch's default for linear and convolutional layers: weights (rows, n) and bias (rows, 1) uniform in
    +-1/sqrt(n).
    """
    bound = n**-0.5
    return rng.uniform(-bound, bound, (rows, n)), rng.uniform(-bound, bound, (rows, 1))


def readout(seed: int, member: int, layer: int, K: int, width: int, learner: TableLearner) -> Pair:
    """A head's weights (K, width) and bias (K, 1): the fixed draw, or torch's default for a learned one that starts so.

    Scales of the draw: standard deviation 1, 1/sqrt(width) or 1/sqrt(K); ``columns`` is unit normal with each column
    divided by its length (paper, ablation of the readout).
    """
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
