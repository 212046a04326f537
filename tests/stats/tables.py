"""What several tests make by hand."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from kaxis.stats.tables import cube_from_rows

numbers = st.lists(st.floats(-20, 20).map(lambda v: round(v, 2)), min_size=4, max_size=7)


def legs(
    effects: dict[str, Callable[[int, int], float | None]], seeds: dict[str, int], K: tuple[int, ...] = (5, 10, 50)
) -> Any:
    """A cube in which learner B is at .5 and A's effect (pp) is a function of (K, seed)."""
    rows = []
    for source, effect in effects.items():
        for k in K:
            for seed in range(seeds[source]):
                value = effect(k, seed)
                if value is not None:
                    rows += [
                        {"source": source, "K": k, "learner": "A", "seed": seed, "accuracy": 0.5 + value / 100},
                        {"source": source, "K": k, "learner": "B", "seed": seed, "accuracy": 0.5},
                    ]
    return cube_from_rows(rows)


AB = {"learner": "A", "baseline": "B"}


def wobble(seed: int, K: int = 0) -> float:
    return float(np.random.default_rng([seed, K]).normal(0, 0.3))


def write_table(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def table(n: int = 5, effect: float = 2.0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {
            "K": k,
            "learner": name,
            "seed": s,
            "accuracy": round(0.6 + effect / 100 * (name == "A") + rng.normal(0, 0.002), 5),
        }
        for k in (5, 10, 50)
        for name in ("A", "B")
        for s in range(n)
    ]


def row(low: float, high: float, n: int = 8, p: float = 0.01, **more: float) -> dict[str, Any]:
    return {"effect": (low + high) / 2, "ci_lower": low, "ci_upper": high, "n_seeds": n, "p": p, **more}
