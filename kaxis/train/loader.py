"""Batches for a stack: which rows every network sees at every step, drawn ahead, each network from its own stream."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kaxis.errors import KaxisError
from kaxis.sources.task import Task
from kaxis.streams import stream

__all__ = ["Loader", "Sampler"]

RESIDENT = 0.4
"""Share of a GPU's free memory that a set may take; a larger one is streamed."""

BLOCK = 250  # steps drawn ahead at once: enough to amortise Python, little enough to stay small


class Sampler:
    """Positions of training images in the order in which one network sees them: shuffled epochs, end to end.

    A batch may straddle two epochs, so that every image is seen equally often and no batch is short (ours; the paper
    gives only batch size and steps).

    Examples
    --------
    >>> a, b = Sampler(seed=0, member=0, n=5), Sampler(seed=0, member=0, n=5)
    >>> bool((a.next(12) == np.concatenate([b.next(4), b.next(8)])).all())
    True
    >>> sorted(Sampler(seed=0, member=0, n=5).next(5).tolist())
    [0, 1, 2, 3, 4]
    """

    def __init__(self, *, seed: int, member: int, n: int) -> None:
        self._rng, self._n = stream(seed, f"order/{member}"), n
        self._left = np.empty(0, np.int64)

    def skip(self, count: int) -> None:
        """Go on as if `count` positions had been taken."""
        while count > 0:
            count -= len(self.next(min(count, 1_000_000)))

    def next(self, count: int) -> NDArray[np.int64]:
        parts = [self._left]
        have = len(self._left)
        while have < count:
            parts.append(self._rng.permutation(self._n))
            have += self._n
        drawn = np.concatenate(parts)
        self._left = drawn[count:]
        return drawn[:count]


class Loader:
    """The data of a stack on its device.

    Parameters
    ----------
    networks : sequence of (seed, member)
    tasks : dict of int to Task
        By seed. Tasks that share a feature matrix share it here too.
    """

    def __init__(self, networks: Sequence[tuple[int, int]], tasks: dict[int, Task], device: torch.device | str) -> None:
        self.networks, self.tasks, self.device = list(networks), tasks, device
        matrices: dict[int, NDArray[np.float32]] = {id(t.features): t.features for t in tasks.values()}
        starts = np.cumsum([0, *(len(m) for m in matrices.values())])
        self._offset = dict(zip(matrices, starts.tolist(), strict=False))
        whole = next(iter(matrices.values())) if len(matrices) == 1 else np.concatenate(list(matrices.values()))
        self.streamed = _too_large(whole.nbytes, device)
        if self.streamed and whole.dtype != np.uint8:
            raise KaxisError(
                f"features of {whole.nbytes / 2**30:.1f} GiB do not fit beside the networks on the GPU; use "
                "--features pca:D or --device cpu"
            )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*not writable.*")  # mapped files are only read
            self.features = torch.from_numpy(whole)
        if not self.streamed:
            self.features = self.features.to(device)

    def take(self, rows: Tensor | NDArray[np.int64]) -> Tensor:
        """Rows of `features` on the device."""
        picked = self.features.index_select(0, torch.as_tensor(rows, device=self.features.device))
        if self.streamed and torch.device(self.device).type == "cuda":
            return picked.pin_memory().to(self.device, non_blocking=True)
        return picked

    def batches(self, steps: int, batch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Rows of `features`, shape (E * B,), and labels, shape (E, B), step by step, from step `start` on."""
        tasks = [self.tasks[seed] for seed, _ in self.networks]
        orders = [Sampler(seed=s, member=m, n=len(t.y_train)) for (s, m), t in zip(self.networks, tasks, strict=True)]
        for order in orders:
            order.skip(start * batch)
        for first in range(start, steps, BLOCK):
            count = min(BLOCK, steps - first)
            picks = [order.next(count * batch) for order in orders]
            rows = np.stack(
                [self.rows_of(t, "train")[p].reshape(count, batch) for t, p in zip(tasks, picks, strict=True)], axis=1
            )
            y = np.stack([t.y_train[p].reshape(count, batch) for t, p in zip(tasks, picks, strict=True)], axis=1)
            rows_TE = torch.from_numpy(rows.reshape(count, -1)).to(self.device)
            y_TEB = torch.from_numpy(y).to(self.device)
            yield from zip(rows_TE, y_TEB, strict=True)

    def chunks(self, split: str, size: int) -> Iterator[tuple[Tensor, list[NDArray[np.int64]]]]:
        """All rows of a split in chunks of a fixed size, so that no result hangs on who else is in the stack.

        Yields rows of shape (E * size,), padded with the chunk's own rows again, and each network's labels unpadded.
        """
        tasks = [self.tasks[seed] for seed, _ in self.networks]
        labels = [t.labels(split) for t in tasks]
        rows = [self.rows_of(t, split) for t in tasks]
        for start in range(0, max(len(y) for y in labels), size):
            block = np.stack(
                [np.resize(r[start : start + size], size) if start < len(r) else np.full(size, r[0]) for r in rows]
            )
            yield torch.from_numpy(block.reshape(-1)).to(self.device), [y[start : start + size] for y in labels]

    def rows_of(self, task: Task, split: str) -> NDArray[np.int64]:
        """Rows of `features` that a task's split uses."""
        return task.rows(split) + self._offset[id(task.features)]


def _too_large(size: int, device: torch.device | str) -> bool:
    """Whether a set of `size` bytes stays in (mapped) memory and goes to the device batch by batch."""
    if torch.device(device).type != "cuda":
        return False
    kept = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()  # by torch, of an earlier stack
    return size > RESIDENT * (torch.cuda.mem_get_info()[0] + kept)
