"""What one cell has shown so far, and whether it has diverged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kaxis.outcomes import pack
from kaxis.sources.task import Task
from kaxis.spec.cell import Cell
from kaxis.train.stack import Stack

__all__ = ["DIVERGED", "Result"]

DIVERGED = 1e4
"""Training loss (nats) above which, unless it started higher, a cell has diverged; naming a class at random costs log
K. A learner that does not follow the loss down has diverged where its loss is no number: DRTP's on ReLU grows with the
activations while three digits of four are right.
"""

STATE = ("reason", "curves", "layers", "right")


class Result:
    """What one cell has shown so far; `networks` are its places in the stack, `descends` says whether its learner
    follows the loss down.
    """

    def __init__(self, cell: Cell, networks: list[int], *, descends: bool = True) -> None:
        self.most = DIVERGED if descends else math.inf
        self.cell, self.networks, self.reason = cell, networks, ""
        self.curves: dict[str, list[Any]] = {
            k: [] for k in ("step", "train_accuracy", "train_loss", "test_accuracy", "test_loss")
        }
        self.layers: list[float] = []
        self.right = ""

    @property
    def best(self) -> bool:
        return self.cell.training.select == "best"

    def add(
        self,
        step: int,
        seen: dict[str, tuple[float, float]],
        layers: list[float],
        temperatures: list[float],
        right: NDArray[np.bool_],
    ) -> None:
        """One evaluation: accuracy and loss of each split that was looked at; which test samples are right."""
        earlier = [loss for loss in self.curves["train_loss"] if loss is not None] or self.curves["test_loss"]
        start = earlier[0] if earlier else math.inf
        for split, (_, loss) in seen.items():
            if not math.isfinite(loss) or (split == "train" and loss > max(self.most, start)):
                self.reason = f"diverged: {split} loss {loss:.3g} at step {step}"
                return
        self.curves["step"].append(step)
        for split in ("train", "test", *(("held",) if "held" in seen else ())):
            for name, value in zip(("accuracy", "loss"), seen.get(split, (None, None)), strict=True):
                self.curves.setdefault(f"{split}_{name}", []).append(value)
        self.layers = layers
        held = self.curves.get("held_accuracy", [])
        if not self.best or held[-1] > max(held[:-1], default=-1.0):
            self.right = pack(right)
        if self.cell.conv:
            self.curves.setdefault("layer_test_accuracy", []).append(layers)
        if temperatures:
            self.curves.setdefault("temperature", []).append(temperatures)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {name: getattr(self, name) for name in STATE}

    def load(self, state: Mapping[str, Any]) -> None:
        for name in STATE:
            setattr(self, name, state[name])

    def refused(self, reason: str) -> dict[str, Any]:
        """The record of a cell whose learner could not be built or stepped."""
        self.reason = reason
        return {
            "status": "failed",
            "reason": reason,
            "metrics": {},
            "curves": self.curves,
            "data": {},
            "streams": self.cell.streams,
            "counts": {},
        }

    def as_dict(self, stack: Stack, task: Task) -> dict[str, Any]:
        facts = task.facts | {"epochs": stack.batches.steps * stack.batches.batch / task.facts["n_train"]}
        metrics: dict[str, Any] = {}
        if not self.reason:
            held = self.curves.get("held_accuracy", [])
            at = int(np.argmax(held)) if self.best else -1
            metrics = {k: v[at] for k, v in self.curves.items() if k != "step"}
            at_end = [] if self.best else self.layers  # an MLP's layers are looked at when it ends
            metrics["layer_test_accuracy"] = metrics.get("layer_test_accuracy", at_end)
            if self.best:
                metrics["selected_step"] = self.curves["step"][at]
        return {
            "status": "failed" if self.reason else "done",
            "reason": self.reason,
            "metrics": metrics,
            "curves": self.curves,
            **({} if self.reason else {"test_right": self.right}),
            "data": facts,
            "streams": self.cell.streams,
            "counts": stack.counts(self.cell),
        }
