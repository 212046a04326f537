"""Which cells train together, and what they cost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from kaxis.cell import Cell
from kaxis.learners import TABLE
from kaxis.nets.plan import conv_counts, counts
from kaxis.sources.lookup import n_classes, source_info
from kaxis.train.schedule import step_count

__all__ = ["STACK", "flops", "networks", "stacks_of", "steps_of"]

STACK = 5
"""Networks trained side by side on a CPU: enough to fill a product, few enough to stay in cache (`benchmarks/`)."""


def stacks_of(cells: Sequence[Cell], limit: int) -> list[list[Cell]]:
    """Cells that are trained alike, in groups of at most `limit` networks (a cell's members stay together), dearest first."""
    alike: dict[str, list[Cell]] = {}
    for cell in cells:
        learner = {k: v for k, v in cell.config["learner"].items() if k not in ("name", "inference", "members")}
        # Epochs are steps only once the seed's images are counted; a conv net's seed fills a core by itself; a rule is one module.
        together = not cell.conv and not cell.rule and "steps" in cell.config["train"]
        key = {**cell.config, "seed": None if together else cell.seed, "learner": learner}
        alike.setdefault(json.dumps(key, sort_keys=True), []).append(cell)
    stacks = []
    for group in alike.values():
        by_seed: dict[int, list[Cell]] = {}
        for cell in group:
            by_seed.setdefault(cell.seed, []).append(cell)
        stack: list[Cell] = []
        for same_seed in by_seed.values():
            if stack and networks([*stack, *same_seed]) > limit:
                stacks.append(stack)
                stack = []
            stack = [*stack, *same_seed]
        stacks.append(stack)
    return sorted(stacks, key=_cost, reverse=True)


def networks(cells: Sequence[Cell]) -> int:
    return sum({c.seed: max(d.config["learner"]["members"] for d in cells if d.seed == c.seed) for c in cells}.values())


def _cost(cells: Sequence[Cell]) -> float:
    """Multiply-adds of a stack, near enough to put long ones first."""
    cell = max(cells, key=lambda c: c.config["learner"]["members"])
    return flops(cell) / cell.config["learner"]["members"] * networks(cells)


def flops(cell: Cell) -> float:
    """Arithmetic of training a cell, from its configuration alone."""
    config = cell.config
    shape: dict[str, Any] = {"K": cell.K, "batch": config["train"]["batch_size"], "learner": config["learner"]}
    if cell.rule:  # what it costs is its own affair: as backprop with a head on every layer
        shape["learner"] = TABLE["bp_deepsup"].switches() | {"goodness": "vector"}
    if not cell.conv:
        source = config["source"]
        kind = source.get("features", "")
        info = source_info(source["name"])
        pixels = (source.get("size") or info.size or 0) ** 2 * info.channels
        inputs = source.get("input_dim") or (int(kind[4:]) if kind.startswith("pca:") else pixels)
        net = {k: config["net"][k] for k in ("width", "depth")}
        return counts(**shape, **net, inputs=inputs)["flops_step"] * steps_of(cell)
    size = config["source"].get("size") or source_info(config["source"]["name"]).size or 224
    return conv_counts(**shape, net=config["net"], size=size)["flops_step"] * steps_of(cell)


def steps_of(cell: Cell) -> int:
    """Optimizer steps of a cell; where epochs are asked for, from the catalogued number of images (for progress alone)."""
    source = cell.config["source"]
    info = source_info(source["name"])
    if not info.real:
        images = (source.get("per_class") or 0) * cell.K or source["n_train"]
    else:
        views = n_classes(source["name"], source.get("labels", "fine")) or cell.K
        images = source.get("train_total") or (
            source["per_class"] * cell.K if source.get("per_class") else info.train * cell.K / views
        )
        images *= 1 - source.get("holdout", 0)
    return step_count(cell.config["train"], images)
