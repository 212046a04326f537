"""Which cells train together, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence

from kaxis.nets.plan import cell_counts
from kaxis.spec.catalog import n_classes, source_info
from kaxis.spec.cell import Cell
from kaxis.spec.images import ImageSpec
from kaxis.spec.learner import TableLearner
from kaxis.spec.learners import TABLE
from kaxis.spec.source import SourceSpec
from kaxis.spec.teacher import TeacherSpec
from kaxis.train.schedule import step_count

__all__ = ["STACK", "flops", "networks", "stack_flops", "stacks_of", "steps_of"]

STACK = 5
"""Networks trained side by side on a CPU: enough to fill a product, few enough to stay in cache (`benchmarks/`)."""


def stacks_of(cells: Sequence[Cell], limit: int) -> list[list[Cell]]:
    """Cells that are trained alike, in groups of at most `limit` networks (a cell's members stay together).

    Seed after seed, so that a run which is cut leaves pairs; of a seed the costliest first, so that no long one is left
    to the end.
    """
    alike: dict[str, list[Cell]] = {}
    for cell in cells:
        # Epochs are steps only once the seed's images are counted; a conv net's seed fills a core by itself; a rule is
        # one module.
        together = not cell.conv and not cell.rule and cell.training.steps is not None
        # Of one sample, input or unit a product is a vector's, which MKL works otherwise for one network than for more.
        sizes = () if cell.conv else (cell.net.width, _inputs(cell.data))
        alone = cell.id if 1 in (cell.training.batch_size, *sizes) else ""
        alike.setdefault(cell.trained_alike(across_seeds=together) + alone, []).append(cell)
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
    order = {seed: i for i, seed in enumerate(dict.fromkeys(cell.seed for cell in cells))}
    return sorted(stacks, key=lambda stack: (min(order[cell.seed] for cell in stack), -stack_flops(stack)))


def networks(cells: Sequence[Cell]) -> int:
    return sum({c.seed: max(d.algorithm.members for d in cells if d.seed == c.seed) for c in cells}.values())


def stack_flops(cells: Sequence[Cell]) -> float:
    """Arithmetic of a stack, near enough to put long ones first and to say how long."""
    cell = max(cells, key=lambda c: c.algorithm.members)
    return flops(cell) / cell.algorithm.members * networks(cells)


def flops(cell: Cell) -> float:
    """Arithmetic of training a cell, from its configuration alone; of a tuned one all its candidates."""
    if cell.candidates:
        return sum(map(flops, cell.candidates))
    learner = cell.algorithm
    if not isinstance(learner, TableLearner):  # what it costs is its own affair: as backprop with a head on every layer
        learner = TABLE["bp_deepsup"].plain()
    inputs = cell.size if cell.net.conv else _inputs(cell.data)
    return cell_counts(cell, inputs, learner)["flops_step"] * steps_of(cell)


def _inputs(data: SourceSpec) -> int:
    """Features of an MLP's sample."""
    if isinstance(data, TeacherSpec):
        return data.input_dim
    assert isinstance(data, ImageSpec)
    pixels = data.side**2 * source_info(data.name).channels
    return int(data.features[4:]) if data.features.startswith("pca:") else pixels


def steps_of(cell: Cell) -> int:
    """Optimizer steps of a cell; where epochs are asked for, from the catalogued number of images (for progress
    alone).
    """
    data, K = cell.data, cell.K
    images: float = (data.per_class or 0) * K
    if isinstance(data, TeacherSpec):
        images = images or data.n_train
    else:
        views = n_classes(data.name, data.labels) or K
        images = data.train_total or images or source_info(data.name).train * K / views
        images *= 1 - data.holdout
    return step_count(cell.training, images)
