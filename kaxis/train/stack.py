"""What the loop asks of every kind of network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from kaxis.train.batches import Batches

__all__ = ["Heads", "Stack"]

Heads = Iterator[tuple[list[Tensor], list[NDArray[np.int64]]]]
"""Chunk by chunk: logits of every head, each (E, K, chunk), and each network's labels."""


class Stack(ABC):
    """Networks that train together, with their optimizers and data.

    Attributes
    ----------
    networks : list of (seed, member)
    batches : Batches
    device : str
    headed : sequence of int
        Layers that have a head, as many as `evaluate` gives first.
    optimizers : list of list of Optimizer
        Of each network, or of all in one.
    loss : Tensor or None
        Of the last step, where it is at hand.
    """

    networks: list[tuple[int, int]]
    batches: Batches
    device: str
    headed: Sequence[int]
    optimizers: Sequence[Sequence[Optimizer]]
    loss: Tensor | None = None

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
    def counts(self, learner: dict[str, Any]) -> dict[str, int]:
        """Parameters, buffers and arithmetic of a learner on these networks."""

    @abstractmethod
    def first(self) -> Any:
        """The module of the first network, ready to predict, to be looked into."""

    def temperatures(self, network: int) -> list[float]:
        """Learned temperatures, lowest layer first."""
        return []
