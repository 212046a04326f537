"""The one trainer: cells in, their metrics out. It reads top to bottom in the order in which data flows.

Cells whose networks are trained alike share them: `bp` is the first member of `bp_ensemble`, and costs nothing beside
it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kaxis.errors import KaxisError, out_of_memory
from kaxis.sources.load import load_task
from kaxis.sources.task import Task
from kaxis.spec.cell import Cell
from kaxis.spec.net import MLPSpec
from kaxis.spec.teacher import TeacherSpec
from kaxis.train import ranks
from kaxis.train.batches import CHUNK
from kaxis.train.checkpoint import Checkpoint, save_weights
from kaxis.train.conv import ConvStack
from kaxis.train.dense import DenseStack
from kaxis.train.memory import memory_advice
from kaxis.train.precision import cpu_matmul, exact_gpu, one_thread
from kaxis.train.result import Result
from kaxis.train.rule import RuleStack
from kaxis.train.stack import Stack

__all__ = ["log_probability", "networks_of", "right_of", "stack_of", "train"]

TICK = 50  # steps between progress reports


def networks_of(cells: Sequence[Cell]) -> list[tuple[int, int]]:
    """The distinct (seed, member) that cells of one stack need."""
    return list(dict.fromkeys((c.seed, m) for c in cells for m in range(c.algorithm.members)))


def stack_of(cells: Sequence[Cell], networks: Sequence[tuple[int, int]], tasks: dict[int, Task], device: str) -> Stack:
    """The networks that cells of one configuration train."""
    kind: type[RuleStack | ConvStack | DenseStack] = ConvStack if cells[0].conv else DenseStack
    return (RuleStack if cells[0].rule else kind)(cells, networks, tasks, device)


Tick = Callable[[int, int, str, int], None]
"""Told the network-steps done since the last call, how many images those were (0 for an MLP), where the stack stands,
and how many of those steps were not trained now: a checkpoint had them, or every network of the stack has diverged.
"""


def train(
    cells: Sequence[Cell],
    *,
    data: Path | None = None,
    device: str = "cpu",
    tick: Tick = lambda network_steps, images, note, spared: None,
    keep: Path | None = None,
    keep_every: float = 60.0,
    made_by: Mapping[str, Any] | None = None,
    weights: Callable[[Cell], Path] | None = None,
    after_step: Callable[[], None] = lambda: None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[list[dict[str, Any]], str]:
    """Train cells that differ only in seed, members and inference.

    Parameters
    ----------
    cells : sequence of Cell
    data : Path, optional
        Folder of image files.
    device : {"cpu", "cuda"}
    tick : callable
        See `Tick`.
    keep : Path, optional
        Folder for the state of a long training; one that is there is gone on from, to the same numbers.
    keep_every : float
        Seconds between writing it.
    made_by : mapping, optional
        Versions and device, kept with it: another version or device starts anew.
    weights : callable, optional
        Names the file for a cell's weights as they are after the last step.
    after_step : callable
        Called after every step, before anything is evaluated.
    stop : callable
        Asked after every step; when it says so the state is kept and `KeyboardInterrupt` raised.

    Returns
    -------
    results : list of dict
        For each cell ``status``, ``reason``, ``metrics``, ``curves``, ``data``, ``streams``, ``counts``. Bitwise the
        same on one CPU backend whatever shares the stack, in whatever order, on however many threads.
    backend : str
        What multiplied matrices: ``onednn``, ``mkl`` or ``cuda``.

    Raises
    ------
    KaxisError
        If memory does not suffice, naming the batch and what would fit.
    RuleError
        For what goes wrong in a learner that is code.
    KeyboardInterrupt
        If `stop` says so.
    """

    def kept(backend: str) -> Checkpoint:
        return Checkpoint(keep, keep_every, {**(made_by or {}), "backend": backend})

    try:
        if device == "cuda":
            with exact_gpu():
                return _train(cells, data, device, tick, kept("cuda"), weights, after_step, stop), "cuda"
        with one_thread(), cpu_matmul(_smallest(cells[0])) as backend:
            return _train(cells, data, device, tick, kept(backend), weights, after_step, stop), backend
    except (MemoryError, RuntimeError) as error:
        if out_of_memory(error):
            raise KaxisError(f"{cells[0]}: {memory_advice(cells[0], device)}", exit_code=1) from None
        raise


def _smallest(cell: Cell) -> int | None:
    """Multiplications of the smallest product of an MLP's step or look; None for what trains no stack of MLPs."""
    if cell.rule or not isinstance(cell.net, MLPSpec):
        return None
    if isinstance(cell.data, TeacherSpec):
        inputs = cell.data.input_dim
    else:
        kind, _, components = cell.data.features.partition(":")
        inputs = int(components) if kind == "pca" else cell.K
    return min(cell.training.batch_size, CHUNK) * cell.net.width * min(cell.K, cell.net.width, inputs)


def _train(
    cells: Sequence[Cell],
    data: Path | None,
    device: str,
    tick: Tick,
    kept: Checkpoint,
    weights: Callable[[Cell], Path] | None,
    after_step: Callable[[], None],
    stop: Callable[[], bool],
) -> list[dict[str, Any]]:
    networks = networks_of(cells)
    conv = cells[0].conv
    if ranks.count() > 1 and (not conv or cells[0].rule):
        raise KaxisError(f"{cells[0]}: torchrun is for conv nets of the table; train it without")
    seeds = dict.fromkeys(seed for seed, _ in networks)
    tasks = {seed: load_task(cells[0].data, cells[0].K, seed, data, pixels=conv) for seed in seeds}
    stack = stack_of(cells, networks, tasks, device)
    batches = stack.batches
    results = [
        Result(cell, [networks.index((cell.seed, m)) for m in range(cell.algorithm.members)], descends=stack.descends)
        for cell in cells
    ]
    start = kept.restore(cells, stack, results, tasks)
    ranks.check_same(start, "step")
    evaluate_at = set(batches.evaluate_at())
    if start:
        there = len(networks) * start
        tick(there, 0, batches.note(start, stack.loss), there)
    else:
        _evaluate(stack, tasks, results, 0)
    done = ticked = start
    told = 0.0
    for batch in batches.draw(start):
        stack.step(batch)
        after_step()
        done += 1
        # A conv net's note reads its loss, which makes a GPU wait: there a few times a second is enough.
        often = conv and (device == "cpu" or time.monotonic() - told > 0.2)
        if often or done == batches.steps or done % TICK == 0:
            told = time.monotonic()
            images = len(networks) * (done - ticked) * batches.batch if conv else 0
            tick(len(networks) * (done - ticked), images, batches.note(done, stack.loss), 0)
            ticked = done
        if done in evaluate_at:
            _evaluate(stack, tasks, results, done)
            if all(r.reason for r in results):
                rest = len(networks) * (batches.steps - done)
                tick(rest, 0, batches.note(done, stack.loss), rest)
                break
        ending = ranks.agreed(stop())
        if not ranks.rank():
            kept.save(cells, stack, results, tasks, done, now=ending)
        if ending and done < batches.steps:  # after the last one its record is the better thing to leave
            raise KeyboardInterrupt
    for result in results:
        if weights is not None and not result.reason and not ranks.rank():
            save_weights(weights(result.cell), stack, result.networks)
    return [r.as_dict(stack, tasks[r.cell.seed]) for r in results]


def _evaluate(stack: Stack, tasks: dict[int, Task], results: list[Result], step: int) -> None:
    """Accuracy and cross-entropy of every cell's inference rule, and each head's test accuracy, appended to its curves.

    Training samples and single heads are looked at when the batches say so.
    """
    every_head = stack.batches.layers_at(step)
    splits = [s for s in ("train", "test", "held") if s != "held" or any(len(t.y_held) for t in tasks.values())]
    if not stack.batches.trains_at(step):
        splits.remove("train")
    seen: list[dict[str, tuple[float, float]]] = [{} for _ in results]
    layers: list[list[float]] = [[] for _ in results]
    outcomes = [np.empty(0, bool) for _ in results]
    for split in splits:
        sums = [np.zeros(2) for _ in results]
        right: list[list[NDArray[np.bool_]]] = [[] for _ in results]
        hits = [np.zeros(len(stack.headed)) for _ in results]
        total = [0 for _ in results]
        for heads, labels in stack.evaluate(split):
            for r, result in enumerate(results):
                y = labels[result.networks[0]]
                own = [h[result.networks] for h in heads]
                log_p = log_probability(own, len(stack.headed), result.cell.algorithm.inference)
                right[r].append(right_of(log_p, y))
                sums[r] += right[r][-1].sum(), -float(log_p.cpu().numpy()[y, np.arange(len(y))].sum(dtype=np.float64))
                total[r] += len(y)
                if split == "test" and every_head:
                    hits[r] += [right_of(h[0], y).sum() for h in own[: len(stack.headed)]]
        for r in range(len(results)):
            seen[r][split] = tuple((sums[r] / total[r]).tolist())
            if split == "test":
                layers[r] = (hits[r] / total[r]).tolist()
                outcomes[r] = np.concatenate(right[r])
    for result, one, by_layer, own_right in zip(results, seen, layers, outcomes, strict=True):
        if not result.reason:
            result.add(step, one, by_layer, stack.temperatures(result.networks[0]), own_right)


def log_probability(heads_MKB: list[Tensor], headed: int, inference: str) -> Tensor:
    """Log-probabilities, shape (K, B), of one cell: the last head, the summed heads, the members' mean, or the concat
    classifier.

    The classifier's logits, where there is one, come after those of the `headed` layers.
    """
    if inference == "logit_sum":
        z = torch.stack(heads_MKB[:headed]).sum(0, dtype=torch.float32)
    else:
        z = heads_MKB[-1 if inference == "concat" else headed - 1]
    z = z.float()
    z = z - z.amax(1, keepdim=True)
    log_p = z - z.exp().sum(1, keepdim=True).log()
    # No probability is above 1; the logarithm of seven certain ones is, by rounding.
    return (log_p.logsumexp(0) - math.log(len(z))).clamp(max=0) if len(z) > 1 else log_p[0]


def right_of(score_KB: Tensor, y: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which columns, padding left out, have their largest entry in the row of the label."""
    right: NDArray[np.bool_] = score_KB.max(0).indices[: len(y)].cpu().numpy() == y
    return right
