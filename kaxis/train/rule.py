"""Training a learner that is code: one network, its module's own loss, under the interface that the loop asks of every kind."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from kaxis.cell import Cell
from kaxis.errors import KaxisError
from kaxis.nets.draws import linear
from kaxis.rules import RULES
from kaxis.sources.task import Task
from kaxis.streams import stream
from kaxis.train.feed import Feed
from kaxis.train.stack import CHUNK, Brief

__all__ = ["RuleStack", "Start"]


class Start:
    """What a rule is built from: sizes, and initial numbers from the seed's own streams.

    Attributes
    ----------
    inputs, width, depth, K : int
    device : str
    """

    def __init__(self, seed: int, member: int, K: int, inputs: int, width: int, depth: int, device: str) -> None:
        self.inputs, self.width, self.depth, self.K, self.device = inputs, width, depth, K, device
        self._seed, self._member = seed, member

    def hidden(self, layer: int) -> torch.nn.Linear:
        """Hidden layer 0 .. depth - 1 as every other learner of the seed starts it."""
        n = self.inputs if layer == 0 else self.width
        return self._linear(f"init/{self._member}/{layer}", "shared", n, self.width)

    def linear(self, purpose: str, inputs: int, outputs: int) -> torch.nn.Linear:
        """A further layer, drawn as `torch.nn.Linear` is, from a stream of the purpose's name."""
        return self._linear(f"rule/{self._member}/{purpose}", self.K, inputs, outputs)

    def _linear(self, purpose: str, key: object, inputs: int, outputs: int) -> torch.nn.Linear:
        made = torch.nn.Linear(inputs, outputs, device=self.device)
        W, b = linear(stream(self._seed, purpose, key), outputs, inputs)
        with torch.no_grad():
            made.weight.copy_(torch.from_numpy(W))
            made.bias.copy_(torch.from_numpy(b[:, 0]))
        return made


class RuleStack(Brief):
    """One module. Torch's global generator is seeded by the cell, so that dropout and noise depend on it alone.

    Parameters
    ----------
    cells : sequence of Cell
        Of one seed.
    networks : sequence of (seed, member)
        One.
    tasks : dict of int to Task
    device : str
    """

    def __init__(
        self, cells: Sequence[Cell], networks: Sequence[tuple[int, int]], tasks: dict[int, Task], device: str
    ) -> None:
        config = cells[0].config
        self.learner, train, shape = config["learner"], config["train"], config["net"]
        ((seed, member),) = networks
        self.best = train.get("select") == "best"
        made = RULES.get(self.learner["rule"])
        if made is None or made.code != self.learner["code"]:
            raise KaxisError(f"{cells[0]}: its file of rules is not here or has changed; name it with --rules")
        self.networks = list(networks)
        self.device, self.feed = device, Feed(networks, tasks, device)
        self.batch, self.inputs = train["batch_size"], self.feed.features.shape[1]
        self.n = len(tasks[seed].y_train)
        self.steps = train.get("steps") or max(1, math.ceil(train["epochs"] * self.n / self.batch))
        start = Start(seed, member, cells[0].K, self.inputs, shape["width"], shape["depth"], device)
        torch.manual_seed(int(stream(seed, f"rule/{member}", cells[0].K).integers(2**63)))
        self.module = made.build(start, **self.learner["settings"]).to(device)
        trained = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizers = [[torch.optim.Adam(trained, lr=self.learner["lr"])]]
        rows = self.feed.features[: min(2, len(self.feed.features))]
        with torch.no_grad():
            heads = self.module.logits(rows)
        if not heads or any(h.shape != (len(rows), cells[0].K) for h in heads):
            shapes = ", ".join(str(tuple(h.shape)) for h in heads)
            raise KaxisError(
                f"{cells[0]}: logits({tuple(rows.shape)}) gave {shapes or 'none'}; ({len(rows)}, {cells[0].K}) each is wanted"
            )
        self.headed = range(len(heads))

    def batches(self, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        assert start == 0
        return self.feed.batches(self.steps, self.batch)

    def step(self, batch: tuple[Tensor, Tensor]) -> None:
        rows, y = batch
        self.module.train()
        ((optimizer,),) = self.optimizers
        optimizer.zero_grad()
        self.module.loss(self.feed.features.index_select(0, rows), y[0]).backward()
        if self.learner["clip"]:
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.learner["clip"])
        optimizer.step()

    @torch.no_grad()
    def evaluate(self, split: str) -> Iterator[tuple[list[Tensor], list[np.ndarray[Any, Any]]]]:
        self.module.eval()
        for rows, labels in self.feed.chunks(split, CHUNK):
            heads = self.module.logits(self.feed.features.index_select(0, rows))
            yield [h.T[None] for h in heads], labels

    def counts(self, learner: dict[str, Any]) -> dict[str, int]:
        """Numbers of the module; FLOPs as torch counts them in one step and one prediction."""
        x = self.feed.features[: self.batch]
        y = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        with FlopCounterMode(display=False) as step:
            self.module.loss(x, y).backward()
        with torch.no_grad(), FlopCounterMode(display=False) as predict:
            self.module.logits(x[:1])
        parameters = [p for p in self.module.parameters() if p.requires_grad]
        fixed = [*self.module.buffers(), *(p for p in self.module.parameters() if not p.requires_grad)]
        return {
            "parameters": sum(p.numel() for p in parameters),
            "buffers": sum(b.numel() for b in fixed),
            "flops_step": step.get_total_flops(),
            "flops_predict": predict.get_total_flops(),
        }

    def tensors(self, network: int) -> dict[str, Tensor]:
        return dict(self.module.state_dict())

    def temperatures(self, network: int) -> list[float]:
        return []
