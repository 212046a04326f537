"""What several tests make by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray as xr

from kaxis.stats.tables import cube_from_rows

AB = {"learner": "B", "baseline": "A"}


def table(
    effect: Callable[[str, int, int], float], sources: tuple[str, ...] = ("s",), n: int = 4, **more: Any
) -> xr.Dataset:
    """Accuracies whose paired effect is a function of (source, K, seed), in pp."""
    rows = [
        {
            "source": s,
            "K": K,
            "learner": name,
            "seed": i,
            "accuracy": 0.5 + 0.003 * i + (effect(s, K, i) / 100 if name == "B" else 0),
        }
        for s in sources
        for K in (5, 10, 50)
        for name in "AB"
        for i in range(n)
    ]
    return cube_from_rows([{**r, "train_accuracy": min(1.0, r["accuracy"] + 0.2), **more} for r in rows])


def as_file(cube: xr.Dataset, file: Path) -> Path:
    names = ["source", "K", "learner", "seed", "accuracy", "train_accuracy"]
    frame = cube[["test_accuracy", "train_accuracy"]].rename(test_accuracy="accuracy").to_dataframe().reset_index()
    frame[names].to_csv(file, index=False)
    return file
