"""The one trainer: cells in, their metrics out. It reads top to bottom in the order in which data flows.

Cells whose networks are trained alike share them: `bp` is the first member of `bp_ensemble`, and costs nothing beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kaxis import streams
from kaxis.cell import Cell
from kaxis.nets.mlp import MLPStack, counts
from kaxis.sources.load import load_task
from kaxis.train.feed import Feed
from kaxis.train.precision import cpu_matmul, one_thread

__all__ = ["DIVERGED", "checkpoints", "networks_of", "train"]

DIVERGED = 1e4
"""Training loss (nats) above which, unless it started higher, a cell has diverged; naming a class at random costs log K."""

CHUNK = 512  # rows evaluated at once; a multiple of every vector width
TICK = 50  # steps between progress reports


def checkpoints(steps: int) -> list[int]:
    """Steps after which a run is evaluated: the start, 1 and 3 times powers of ten from 100 on, the end.

    Examples
    --------
    >>> checkpoints(8000)
    [0, 100, 300, 1000, 3000, 8000]
    """
    grid = {m * 10**e for e in range(2, 10) for m in (1, 3) if m * 10**e < steps}
    return sorted({0, steps} | grid)


def networks_of(cells: Sequence[Cell]) -> list[tuple[int, int]]:
    """The distinct (seed, member) that cells of one stack need."""
    return list(dict.fromkeys((c.seed, m) for c in cells for m in range(c.config["learner"]["members"])))


def train(
    cells: Sequence[Cell],
    *,
    data: Path | None = None,
    device: str = "cpu",
    tick: Callable[[int], None] = lambda network_steps: None,
) -> tuple[list[dict[str, Any]], str]:
    """Train cells that differ only in seed, members and inference.

    Parameters
    ----------
    cells : sequence of Cell
    data : Path, optional
        Folder of image files.
    device : str
        ``cpu`` or ``cuda``.
    tick : callable
        Told the number of network-steps done since the last call.

    Returns
    -------
    results : list of dict
        For each cell ``status``, ``reason``, ``metrics``, ``curves``, ``data``, ``streams``, ``counts``. Bitwise the same on one
        CPU backend whatever shares the stack, in whatever order, on however many threads.
    backend : str
        What multiplied matrices: ``onednn``, ``mkl`` or ``cuda``.
    """
    if device == "cuda":
        torch.backends.cuda.matmul.fp32_precision = "ieee"  # no TF32
        return _train(cells, data, device, tick), "cuda"
    with one_thread(), cpu_matmul() as backend:
        return _train(cells, data, device, tick), backend


def _train(cells: Sequence[Cell], data: Path | None, device: str, tick: Callable[[int], None]) -> list[dict[str, Any]]:
    config = cells[0].config
    K, shape, learner, steps, batch = (
        cells[0].K,
        config["net"],
        config["learner"],
        config["train"]["steps"],
        config["train"]["batch_size"],
    )
    networks = networks_of(cells)
    tasks = {seed: load_task(config["source"], K, seed, data) for seed in dict.fromkeys(s for s, _ in networks)}
    feed = Feed(networks, tasks, device)
    inputs = feed.features.shape[1]
    size = {"K": K, "inputs": inputs, "width": shape["width"], "depth": shape["depth"]}
    net = MLPStack(networks, **size, learner=learner, device=device)
    optimizer = torch.optim.Adam([net.parameters], lr=learner["lr"], fused=True, capturable=device == "cuda")

    rows = torch.zeros(len(networks) * batch, dtype=torch.int64, device=device)
    y = torch.zeros(len(networks), batch, dtype=torch.int64, device=device)

    def step() -> None:
        net.gradients(feed.features.index_select(0, rows).view(len(networks), batch, inputs), y)
        if learner["clip"]:
            net.clip(learner["clip"])
        optimizer.step()

    run_step = _captured(step, net, optimizer) if device == "cuda" else step
    results = [
        _Result(cell, [networks.index((cell.seed, m)) for m in range(cell.config["learner"]["members"])])
        for cell in cells
    ]
    evaluate_at = checkpoints(steps)
    _evaluate(net, feed, results, 0)
    for done, (next_rows, next_y) in enumerate(feed.batches(steps, batch), start=1):
        rows.copy_(next_rows)
        y.copy_(next_y)
        run_step()
        if done % TICK == 0 or done == steps:
            tick(len(networks) * (done - (done - 1) // TICK * TICK))
        if done in evaluate_at:
            _evaluate(net, feed, results, done, by_layer=done == steps)
            if all(r.reason for r in results):
                tick(len(networks) * (steps - done))
                break
    return [
        r.as_dict(net, tasks[r.cell.seed], counts(**size, batch=batch, learner=r.cell.config["learner"]))
        for r in results
    ]


class _Result:
    """What one cell has shown so far; `networks` are its places in the stack."""

    def __init__(self, cell: Cell, networks: list[int]) -> None:
        self.cell, self.networks, self.reason = cell, networks, ""
        self.layer_test_accuracy: list[float] = []
        self.curves: dict[str, list[float]] = {
            k: [] for k in ("step", "train_accuracy", "train_loss", "test_accuracy", "test_loss")
        }

    def as_dict(self, net: MLPStack, task: Any, count: dict[str, int]) -> dict[str, Any]:
        train = self.cell.config["train"]
        facts = task.facts | {"epochs": train["steps"] * train["batch_size"] / task.facts["n_train"]}
        metrics: dict[str, Any] = {}
        if not self.reason:
            metrics = {k: v[-1] for k, v in self.curves.items() if k != "step"} | {
                "layer_test_accuracy": self.layer_test_accuracy
            }
            if net.learned_t:
                metrics["temperature"] = [float(net.temperature(layer)[self.networks[0], 0, 0]) for layer in net.headed]
        status = "failed" if self.reason else "done"
        return {
            "status": status,
            "reason": self.reason,
            "metrics": metrics,
            "curves": self.curves,
            "data": facts,
            "streams": streams.keys(self.cell.config),
            "counts": count,
        }


def _evaluate(net: MLPStack, feed: Feed, results: list[_Result], step: int, *, by_layer: bool = False) -> None:
    """Accuracy and cross-entropy of every cell's inference rule on both splits, appended to its curves."""
    for split in ("train", "test"):
        sums = [np.zeros(2) for _ in results]
        hits = [np.zeros(len(net.headed)) for _ in results]
        total = [0 for _ in results]
        for rows, labels in feed.chunks(split, CHUNK):
            heads = net.logits(feed.features.index_select(0, rows).view(net.E, CHUNK, -1))
            for r, result in enumerate(results):
                y = labels[result.networks[0]]
                log_p = _log_probability(
                    [h[result.networks] for h in heads], result.cell.config["learner"]["inference"]
                )
                sums[r] += _hits(log_p, y), -float(log_p.cpu().numpy()[y, np.arange(len(y))].sum(dtype=np.float64))
                total[r] += len(y)
                if by_layer and split == "test":
                    hits[r] += [_hits(h[result.networks[0]], y) for h in heads]
        for r, result in enumerate(results):
            if result.reason:
                continue
            accuracy, loss = (sums[r] / total[r]).tolist()
            start = result.curves["train_loss"][:1] or [math.inf]
            if not math.isfinite(loss) or (split == "train" and loss > max(DIVERGED, start[0])):
                result.reason = f"diverged: {split} loss {loss:.3g} at step {step}"
                for name, values in result.curves.items():  # whole checkpoints only
                    del values[len(result.curves["test_loss"]) if name != "test_loss" else len(values) :]
                continue
            if split == "train":
                result.curves["step"].append(step)
            result.curves[f"{split}_accuracy"].append(accuracy)
            result.curves[f"{split}_loss"].append(loss)
            result.layer_test_accuracy = (hits[r] / total[r]).tolist()


def _log_probability(heads_MKB: list[Tensor], inference: str) -> Tensor:
    """Log-probabilities, shape (K, B), of one cell: the last head, the summed heads, or the members' mean."""
    z = torch.stack(heads_MKB).sum(0) if inference == "logit_sum" else heads_MKB[-1]
    z = z - z.amax(1, keepdim=True)
    log_p = z - z.exp().sum(1, keepdim=True).log()
    return log_p.logsumexp(0) - math.log(len(z)) if len(z) > 1 else log_p[0]


def _hits(score_KB: Tensor, y: NDArray[np.int64]) -> int:
    """How many columns, padding left out, have their largest entry in the row of the label."""
    return int((score_KB.max(0).indices[: len(y)].cpu().numpy() == y).sum())


def _captured(step: Callable[[], None], net: MLPStack, optimizer: torch.optim.Adam) -> Callable[[], None]:
    """The step as one CUDA graph. Warming up trains, so parameters and optimizer state are put back."""
    before = net.parameters.detach().clone()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    with torch.no_grad():
        net.parameters.copy_(before)
        for value in optimizer.state[net.parameters].values():
            value.zero_()
    return graph.replay
