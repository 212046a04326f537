"""Contact sheets: training images as a conv net sees them, with their labels."""

from __future__ import annotations

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from kaxis.plots.style import style
from kaxis.sources.task import Task

__all__ = ["contact_sheet"]


def contact_sheet(task: Task, *, columns: int = 8, seed: int | None = None) -> Figure:
    """One row a class.

    Parameters
    ----------
    task : Task
        With pixels as features.
    columns : int
        Images a class, the first ones of the training set.
    seed : int, optional
        Augment as that seed's first epoch does.

    Returns
    -------
    Figure
    """
    names = task.facts["classes"]
    picks = [np.flatnonzero(task.y_train == k)[:columns] for k in range(len(names))]
    images = _augmented(task, picks, seed) if seed is not None else [task.features[task.train_rows[p]] for p in picks]
    brightest = max(int(block.max()) for block in images) if seed is None else 255
    scale = 16 if brightest <= 16 else 255  # digits count ink from 0 to 16
    with style(), rc_context({"figure.constrained_layout.use": False}):
        figure = Figure(figsize=(1.9 + 0.62 * columns, 0.66 * len(names)))
        grid = figure.subplots(len(names), columns, squeeze=False)
        for k, (row, block) in enumerate(zip(grid, images, strict=True)):
            for i, ax in enumerate(row):
                ax.axis("off")
                if i < len(block):
                    ax.imshow(np.clip(block[i] / scale, 0, 1), interpolation="nearest")
            words = str(names[k]).replace("_", " ")
            text = words if len(words) < 30 else words[:27] + "..."
            row[0].text(-0.15, 0.5, f"{k}  {text}", transform=row[0].transAxes, ha="right", va="center", fontsize=7)
        figure.subplots_adjust(
            left=1.8 / (1.9 + 0.62 * columns), right=0.995, top=0.995, bottom=0.005, wspace=0.05, hspace=0.05
        )
    return figure


def _augmented(task: Task, picks: list[np.ndarray], seed: int) -> list[np.ndarray]:
    import torch

    from kaxis.sources.augment import augment, draws
    from kaxis.spec.training import ConvTraining

    u = torch.from_numpy(draws(seed, 0, 0, len(task.y_train)))
    mean, std = (np.array(s, np.float32) for s in task.statistics)
    out = []
    for p in picks:
        x = torch.from_numpy(np.ascontiguousarray(task.features[task.train_rows[p]]))
        seen = augment(x, u[p], ConvTraining().augment, *task.statistics).permute(0, 2, 3, 1).numpy()
        out.append(255 * (seen * std + mean))
    return out
