"""What the loop asks of every kind of network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from kaxis.sources.task import Task
from kaxis.spec.cell import Cell
from kaxis.spec.learner import DIRECT, LearnerSpec, TableLearner
from kaxis.spec.net import MLPSpec, VGGSpec
from kaxis.spec.training import ConvTraining, Training
from kaxis.train.batches import Batches, Images, Rows

__all__ = ["Heads", "Stack", "adam"]

Heads = Iterator[tuple[list[Tensor], list[NDArray[np.int64]]]]
"""Chunk by chunk: logits of every head, each (E, K, chunk), and each network's labels."""


def adam(parameters: list[Tensor], learner: LearnerSpec, **more: Any) -> Optimizer:
    """Adam; AdamW where weights decay."""
    if learner.weight_decay:
        return torch.optim.AdamW(parameters, lr=learner.lr, weight_decay=learner.weight_decay, **more)
    return torch.optim.Adam(parameters, lr=learner.lr, **more)


class Stack(ABC):
    """Networks that train together, with their optimizers and data.

    Parameters
    ----------
    cells : sequence of Cell
        Of one configuration but for seed, members and inference.
    networks : sequence of (seed, member)
    tasks : dict of int to Task
        By seed.
    device : str

    Attributes
    ----------
    learner : LearnerSpec
    train : Training
    shape : NetSpec
    batches : Batches
    headed : sequence of int
        Layers that have a head, as many as `evaluate` gives first.
    optimizers : list of list of Optimizer
        Of each network, or of all in one.
    loss : Tensor or None
        Of the last step, where it is at hand.
    descends : bool
        Whether the learner follows the loss down.
    """

    learner: LearnerSpec
    train: Training
    shape: MLPSpec | VGGSpec
    headed: Sequence[int]
    optimizers: Sequence[Sequence[Optimizer]]
    loss: Tensor | None = None

    def __init__(
        self, cells: Sequence[Cell], networks: Sequence[tuple[int, int]], tasks: dict[int, Task], device: str
    ) -> None:
        self.learner, self.train, self.shape = cells[0].algorithm, cells[0].training, cells[0].net
        self.K, self.networks, self.device = cells[0].K, list(networks), device
        self.descends = not isinstance(self.learner, TableLearner) or self.learner.gradient not in DIRECT
        training, data = cells[0].training, (networks, tasks, device)
        self.batches: Batches
        self.batches = Images(training, *data) if isinstance(training, ConvTraining) else Rows(training, *data)

    @abstractmethod
    def step(self, batch: Any) -> None:
        """Learn from a batch of `batches`."""

    @abstractmethod
    def evaluate(self, split: str) -> Heads:
        """What the networks say of a split."""

    @abstractmethod
    def state(self) -> dict[str, Any] | None:
        """Everything that a training goes on from; None where that is not known."""

    @abstractmethod
    def load(self, state: dict[str, Any]) -> None:
        """Put `state` back."""

    @abstractmethod
    def tensors(self, network: int) -> dict[str, Tensor]:
        """What one network predicts with."""

    @abstractmethod
    def counts(self, cell: Cell) -> dict[str, int]:
        """Parameters, buffers and arithmetic of a learner on these networks."""

    @abstractmethod
    def first(self) -> Any:
        """The module of the first network, ready to predict, to be looked into."""

    def temperatures(self, network: int) -> list[float]:
        """Learned temperatures, lowest layer first."""
        return []
