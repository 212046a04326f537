"""Training MLPs: networks of one shape side by side, one optimizer for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from kaxis.nets.mlp import MLPStack
from kaxis.nets.plan import cell_counts
from kaxis.sources.task import Task
from kaxis.spec.cell import Cell
from kaxis.spec.learner import TableLearner
from kaxis.spec.net import MLPSpec
from kaxis.train.batches import CHUNK
from kaxis.train.stack import Heads, Stack, adam

__all__ = ["DenseStack"]


class DenseStack(Stack):
    """MLPs of one shape side by side."""

    learner: TableLearner
    shape: MLPSpec

    def __init__(
        self, cells: Sequence[Cell], networks: Sequence[tuple[int, int]], tasks: dict[int, Task], device: str
    ) -> None:
        super().__init__(cells, networks, tasks, device)
        self.features, self.E, self.batch = self.batches.loader.features, len(networks), self.batches.batch
        self.inputs = self.features.shape[1]
        self.net = MLPStack(networks, K=self.K, inputs=self.inputs, net=self.shape, learner=self.learner, device=device)
        self.headed, self.learned_t = self.net.headed, self.net.learned_t
        optimizer = adam([self.net.parameters], self.learner, fused=True, capturable=device == "cuda")
        self.optimizers = [[optimizer]]
        self._rows = torch.zeros(self.E * self.batch, dtype=torch.int64, device=device)
        self._y = torch.zeros(self.E, self.batch, dtype=torch.int64, device=device)
        self._run = self._captured() if device == "cuda" else self._once

    def _once(self) -> None:
        self.net.gradients(self.features.index_select(0, self._rows).view(self.E, self.batch, self.inputs), self._y)
        if self.learner.clip:
            self.net.clip(self.learner.clip)
        self.optimizers[0][0].step()

    def state(self) -> dict[str, Any]:
        ((optimizer,),) = self.optimizers
        return {"parameters": self.net.parameters.detach(), "optimizer": optimizer.state_dict()["state"]}

    def load(self, state: dict[str, Any]) -> None:
        """In place, since a captured step reads and writes these very tensors."""
        ((optimizer,),) = self.optimizers
        with torch.no_grad():
            self.net.parameters.copy_(state["parameters"])
        own = optimizer.state[self.net.parameters]
        for name, value in state["optimizer"].get(0, {}).items():
            if name in own:
                own[name].copy_(value)
            else:
                own[name] = value.clone()
        if not state["optimizer"]:
            optimizer.state.clear()

    def step(self, batch: tuple[Tensor, Tensor]) -> None:
        self._rows.copy_(batch[0])
        self._y.copy_(batch[1])
        self._run()

    def evaluate(self, split: str) -> Heads:
        readouts = self.net.readouts()
        for rows, labels in self.batches.loader.chunks(split, CHUNK):
            yield self.net.logits(self.features.index_select(0, rows).view(self.E, CHUNK, -1), readouts), labels

    def first(self) -> MLPStack:
        """All of them: their axis is the first one's first."""
        return self.net

    def tensors(self, network: int) -> dict[str, Tensor]:
        return {name: value[network] for name, value in self.net.p.items()}

    def temperatures(self, network: int) -> list[float]:
        return [float(self.net.temperature(i)[network, 0, 0]) for i in self.headed] if self.learned_t else []

    def counts(self, cell: Cell) -> dict[str, int]:
        return cell_counts(cell, self.inputs)

    def _captured(self) -> Callable[[], None]:
        """The step as one CUDA graph. Warming up trains, so parameters and optimizer state are put back."""
        before = self.net.parameters.detach().clone()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self._once()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._once()
        with torch.no_grad():
            self.net.parameters.copy_(before)
            for value in self.optimizers[0][0].state[self.net.parameters].values():
                value.zero_()
        return graph.replay
