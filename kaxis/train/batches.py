"""What networks are trained and looked at on: rows of features, or augmented images, everything a function of the
step's number.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kaxis.sources.augment import augment, draws, normalised
from kaxis.sources.task import Task
from kaxis.spec.training import ConvTraining, Training
from kaxis.train.loader import Loader, Sampler
from kaxis.train.schedule import LOOKS, cosine, evaluation_steps, step_count

__all__ = ["CHUNK", "Batch", "Batches", "Images", "Rows", "Seen"]

CHUNK = 512  # rows evaluated at once; a multiple of every vector width

Networks = Sequence[tuple[int, int]]
Seen = Iterator[tuple[list[Tensor], list[NDArray[np.int64]]]]
"""Chunk by chunk: one tensor and the labels of each network."""


class Batches(ABC):
    """The data of a stack of networks, in the order in which each sees them.

    Parameters
    ----------
    train : Training
    networks : sequence of (seed, member)
    tasks : dict of int to Task
        By seed.
    device : str

    Attributes
    ----------
    loader : Loader
    batch, n, steps : int
        Samples a step, training samples, steps in all.
    """

    def __init__(self, train: Training, networks: Networks, tasks: dict[int, Task], device: str) -> None:
        self.train, self.networks, self.device = train, list(networks), device
        self.loader, self.task = Loader(networks, tasks, device), tasks[networks[0][0]]
        self.batch, self.n = train.batch_size, len(self.task.y_train)
        self.steps = step_count(train, self.n)

    @abstractmethod
    def draw(self, start: int) -> Iterator[Any]:
        """The batches from step `start` on."""

    @abstractmethod
    def one(self, batch: Any, network: int, at: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """What one network learns from in a batch, or in a part of it: inputs and labels."""

    @abstractmethod
    def sample(self, n: int) -> Tensor:
        """Inputs of the first n samples of the set, as a network sees them, for trying it."""

    @abstractmethod
    def seen(self, split: str) -> Seen:
        """All of a split in chunks of a fixed size, the last one padded: the inputs of each network, and its labels
        unpadded.
        """

    @abstractmethod
    def rate(self, batch: Any, lr: float) -> float:
        """The learning rate of a batch's step, whose highest is `lr`."""

    @abstractmethod
    def evaluate_at(self) -> list[int]:
        """Steps after which networks are looked at."""

    @abstractmethod
    def trains_at(self, step: int) -> bool:
        """Whether training samples are looked at too after this step."""

    @abstractmethod
    def layers_at(self, step: int) -> bool:
        """Whether every head by itself is looked at after this step."""

    @abstractmethod
    def note(self, done: int, loss: Tensor | None) -> str:
        """Where the training stands, in a few words."""


class Rows(Batches):
    """Rows of features, looked at on a fixed grid of steps."""

    def draw(self, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Row numbers, shape (E * B,), and labels, shape (E, B)."""
        return self.loader.batches(self.steps, self.batch, start)

    def one(self, batch: tuple[Tensor, Tensor], network: int, at: slice = slice(None)) -> tuple[Tensor, Tensor]:
        rows, y = batch
        return self.loader.features.index_select(0, rows.view(len(y), -1)[network, at]), y[network, at]

    def sample(self, n: int) -> Tensor:
        return self.loader.features[:n]

    def seen(self, split: str) -> Seen:
        """One tensor for all networks, shape (E, `CHUNK`, inputs)."""
        for rows, labels in self.loader.chunks(split, CHUNK):
            yield list(self.loader.features.index_select(0, rows).view(len(self.networks), CHUNK, -1)), labels

    def rate(self, batch: Any, lr: float) -> float:
        return lr

    def evaluate_at(self) -> list[int]:
        return evaluation_steps(self.steps, best=self.train.select == "best")

    def trains_at(self, step: int) -> bool:
        return True

    def layers_at(self, step: int) -> bool:
        return step == self.steps

    def note(self, done: int, loss: Tensor | None) -> str:
        return ""


Batch = tuple[int, list[Tensor], list[tuple[NDArray[np.int64], NDArray[np.float32]]]]
"""A step's number; each network's images (uint8); their positions, and the random numbers of their augmentation."""


class Images(Batches):
    """Images of one seed, augmented on the device, with a cosine schedule."""

    train: ConvTraining

    def __init__(self, train: ConvTraining, networks: Networks, tasks: dict[int, Task], device: str) -> None:
        super().__init__(train, networks, tasks, device)
        # At one size every chunk has as many images, so that no result hangs on the set.
        self.chunk = max(8, 512 * 32 * 32 // self.loader.features.shape[1] ** 2)
        if self.loader.streamed:
            from concurrent.futures import ThreadPoolExecutor

            # Which GPU is the current one is each thread's own matter.
            cuda = torch.device(device).type == "cuda"
            same = partial(torch.cuda.set_device, torch.cuda.current_device()) if cuda else None
            self._ahead = ThreadPoolExecutor(1, initializer=same)

    def draw(self, start: int) -> Iterator[Batch]:
        orders = [Sampler(seed=s, member=m, n=self.n) for s, m in self.networks]
        for order in orders:
            order.skip(start * self.batch)

        def draw(step: int) -> Batch:
            picks = [order.next(self.batch) for order in orders]
            numbers = [self._draws(s, m, step) for s, m in self.networks]
            images = [self.loader.take(self.loader.rows_of(self.task, "train")[p]) for p in picks]
            return step, images, list(zip(picks, numbers, strict=True))

        if not self.loader.streamed:
            for step in range(start, self.steps):
                yield draw(step)
            return
        coming = self._ahead.submit(draw, start)
        for step in range(start, self.steps):
            now = coming.result()
            if step + 1 < self.steps:
                coming = self._ahead.submit(draw, step + 1)
            yield now

    def _draws(self, seed: int, member: int, step: int) -> NDArray[np.float32]:
        """Augmentation draws of a batch; it may straddle epochs."""
        first = step * self.batch
        parts = []
        for epoch in range(first // self.n, (first + self.batch - 1) // self.n + 1):
            inside = slice(max(0, first - epoch * self.n), min(self.n, first + self.batch - epoch * self.n))
            parts.append(_epoch_draws(seed, member, epoch, self.n)[inside])
        return np.concatenate(parts)

    def one(self, batch: Batch, network: int, at: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Normalised images (B, 3, S, S), and labels."""
        _, images, details = batch
        picks, numbers = details[network]
        y = torch.from_numpy(self.task.y_train[picks[at]]).to(self.device)
        if "none" in self.train.augment:
            return normalised(images[network][at], *self.task.statistics), y
        u = torch.from_numpy(numbers[at]).to(self.device)
        return augment(images[network][at], u, self.train.augment, *self.task.statistics), y

    def sample(self, n: int) -> Tensor:
        return normalised(self.loader.take(np.arange(min(n, len(self.loader.features)))), *self.task.statistics)

    def seen(self, split: str) -> Seen:
        for rows, labels in self.loader.chunks(split, self.chunk):
            own = rows.view(len(self.networks), -1)
            yield [normalised(self.loader.take(r), *self.task.statistics) for r in own], labels

    def rate(self, batch: Batch, lr: float) -> float:
        return cosine(batch[0], self.steps, lr, self.train.lr_min)

    def evaluate_at(self) -> list[int]:
        """At most 20 evenly spaced ends of epochs (every one, where the best counts), or of a number of steps their
        logarithmic grid (20 evenly spaced ones, where the best counts).
        """
        if self.train.steps is not None:
            return evaluation_steps(self.steps, best=self.train.select == "best")
        return sorted({0, *self._epoch_ends()})

    def trains_at(self, step: int) -> bool:
        """A third of an epoch's work: at the end, with epochs after four fifths of them too; each time, where the best
        counts.
        """
        if self.train.select == "best" or step == self.steps:
            return True
        if self.train.steps is not None:
            return False
        ends = self._epoch_ends()
        return step == ends[math.ceil(0.8 * len(ends)) - 1]

    def layers_at(self, step: int) -> bool:
        return True

    def _epoch_ends(self) -> list[int]:
        epochs = math.ceil(self.train.epochs or 0)
        looks = epochs if self.train.select == "best" else min(epochs, LOOKS)
        ends = (math.ceil(round(epochs * i / looks) * self.n / self.batch) for i in range(1, looks + 1))
        return [min(e, self.steps) for e in ends]

    def note(self, done: int, loss: Tensor | None) -> str:
        said = "-" if loss is None else f"{float(loss):.3f}"
        return f"epoch {done * self.batch / self.n:.2f} of {self.steps * self.batch / self.n:.4g}, loss {said}"


@lru_cache(maxsize=16)  # an epoch and the next, for a few members
def _epoch_draws(seed: int, member: int, epoch: int, n: int) -> NDArray[np.float32]:
    return draws(seed, member, epoch, n)
