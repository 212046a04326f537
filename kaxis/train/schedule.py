"""How long a training is, what its learning rate is at a step, and after which steps it is looked at."""

from __future__ import annotations

import math

from kaxis.spec.training import Training

__all__ = ["LOOKS", "cosine", "evaluation_steps", "step_count"]

LOOKS = 20
"""Times that an MLP looks at its held-out samples, where the best look counts, and that a conv net of many epochs
looks at its test images.
"""


def evaluation_steps(steps: int, *, best: bool = False) -> list[int]:
    """Steps after which a run is evaluated: the start, 1 and 3 times powers of ten from 100 on, the end; or, where the
    best counts, the start and 20 evenly spaced ones.

    Examples
    --------
    >>> evaluation_steps(8000)
    [0, 100, 300, 1000, 3000, 8000]
    """
    if best:
        return sorted({round(steps * i / LOOKS) for i in range(LOOKS + 1)})
    grid = {m * 10**e for e in range(2, 10) for m in (1, 3) if m * 10**e < steps}
    return sorted({0, steps} | grid)


def step_count(train: Training, n: float) -> int:
    """Steps of a training on n images: as many as asked for, or its epochs in whole batches, rounded up.

    Examples
    --------
    >>> from kaxis.spec.training import MLPTraining
    >>> step_count(MLPTraining(steps=7), 100), step_count(MLPTraining(epochs=1.5, batch_size=64), 100)
    (7, 3)
    >>> step_count(MLPTraining(epochs=1.1, batch_size=100), 1000)  # 1.1 * 1000 / 100 is 11 and a rounding
    11
    """
    return train.steps or max(1, math.ceil(round((train.epochs or 0) * n / train.batch_size, 6)))


def cosine(step: int, steps: int, lr: float, lr_min: float) -> float:
    """Learning rate of a step, from `lr` at 0 down to `lr_min` at `steps`.

    Examples
    --------
    >>> cosine(0, 10, 0.1, 0.0), round(cosine(5, 10, 0.1, 0.0), 3), cosine(10, 10, 0.1, 0.0)
    (0.1, 0.05, 0.0)
    """
    return lr_min + (lr - lr_min) * (1 + math.cos(math.pi * step / steps)) / 2
