"""Training conv nets: the networks and optimizers of one seed, everything a step needs a function of its number
alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from kaxis.errors import KaxisError
from kaxis.nets.fused import kept
from kaxis.nets.plan import cell_counts
from kaxis.nets.vgg import CONCAT_DROPOUT, VGG
from kaxis.sources.task import Task
from kaxis.spec.cell import Cell
from kaxis.spec.learner import TableLearner
from kaxis.spec.net import VGGSpec
from kaxis.spec.training import ConvTraining
from kaxis.streams import stream
from kaxis.train import ranks
from kaxis.train.batches import Batch
from kaxis.train.stack import Heads, Stack
from kaxis.train.step import Mask, gradients

__all__ = ["ConvStack"]


class ConvStack(Stack):
    """The networks of one seed and configuration (several for an ensemble)."""

    learner: TableLearner
    train: ConvTraining
    shape: VGGSpec

    def __init__(
        self, cells: Sequence[Cell], networks: Sequence[tuple[int, int]], tasks: dict[int, Task], device: str
    ) -> None:
        super().__init__(cells, networks, tasks, device)
        self.size, self.batch = self.batches.loader.features.shape[1], self.batches.batch
        concat = any(isinstance(c.algorithm, TableLearner) and c.algorithm.concat for c in cells)
        with torch.device(device):
            self.nets = [
                VGG(s, m, K=self.K, size=self.size, net=self.shape, learner=self.learner, concat=concat)
                for s, m in networks
            ]
        decay = self.learner.weight_decay
        self.optimizers = [
            [
                torch.optim.AdamW(group, lr=self.learner.lr, weight_decay=decay, fused=True)
                for group in net.groups().values()
            ]
            for net in self.nets
        ]
        self.headed = self.nets[0].headed
        self.kernels = self.train.kernels
        self.learned_t = self.learner.temperature == "learned"
        self._sums: dict[int, Tensor] = {}
        learners = [cell.algorithm for cell in cells]
        if ranks.count() > 1 and any(isinstance(a, TableLearner) and a.batch_statistics for a in learners):
            raise KaxisError(f"{cells[0]}: it normalises by the batch, of which no rank of a torchrun sees all")
        if self.train.accumulate % ranks.count():
            raise KaxisError(
                f"torchrun: {ranks.count()} ranks and accumulate = {self.train.accumulate}: say --accumulate "
                f"{ranks.count()}, whose record {ranks.count()} ranks give"
            )

    def step(self, batch: Batch) -> None:
        lr = self.batches.rate(batch, self.learner.lr)
        for network, optimizers in enumerate(self.optimizers):
            for optimizer in optimizers:
                optimizer.param_groups[0]["lr"] = lr
            self.loss = self._step_one(batch, network)

    def _step_one(self, batch: Batch, network: int) -> Tensor:
        net, optimizers, (seed, member) = self.nets[network], self.optimizers[network], self.networks[network]
        parts, clip = self.train.accumulate, self.learner.clip
        part, total = self.batch // parts, torch.zeros((), device=self.device)
        of_layer = dict(zip(net.groups(), optimizers, strict=True))

        def finish(i: int) -> None:
            if i not in of_layer:  # nothing of it is trained
                return
            if clip:
                clip_grad_norm_([p for g in of_layer[i].param_groups for p in g["params"]], clip)
            of_layer[i].step()
            of_layer[i].zero_grad(set_to_none=True)

        for k in range(ranks.rank(), parts, ranks.count()):
            last = k + ranks.count() >= parts
            if ranks.count() > 1:
                done = self._met(of_layer, finish if last else None)
            else:
                done = finish if last else lambda i: None
            total += gradients(
                net,
                *self.batches.one(batch, network, slice(k * part, (k + 1) * part)),
                self._mask(net, seed, member, batch[0], k),
                done,
                share=1 / parts,
                local_step=self.train.local_step,
                checkpointing=self.train.activation_checkpointing,
                precision=self.train.precision,
                kernels=self.kernels,
            )
        return total

    def _met(
        self, of_layer: dict[int, torch.optim.Optimizer], finish: Callable[[int], None] | None
    ) -> Callable[[int], None]:
        """What is done with a layer's gradients of this round's parts, one a rank."""

        def meet(i: int) -> None:
            own = [p for g in of_layer[i].param_groups for p in g["params"]] if i in of_layer else []
            grads = [p.grad for p in own if p.grad is not None]
            if not grads:
                return
            self._sums[i] = ranks.add_up(grads, self._sums.get(i))
            if finish is None:
                for p in own:
                    p.grad = None
                return
            ranks.give_back(self._sums.pop(i), grads)
            finish(i)

        return meet

    def _mask(self, net: VGG, seed: int, member: int, step: int, part: int) -> Mask:
        """Dropout masks keyed by step and layer: a resumed run, and an activation computed twice, draw the same."""
        key = int(stream(seed, f"dropout/{member}/{step}/{part}").integers(2**62))
        generator = torch.Generator(self.device)

        def mask(i: int, like: Tensor) -> Tensor:
            keep = 1 - (CONCAT_DROPOUT if i == len(net.plan) else net.dropout)
            generator.manual_seed(key + i)
            if self.kernels == "fused":
                return kept(like, keep, generator)
            drawn = torch.empty_like(like, dtype=torch.float32, requires_grad=False).bernoulli_(
                keep, generator=generator
            )
            return drawn.div_(keep).to(like.dtype)

        return mask

    def evaluate(self, split: str) -> Heads:
        for net in self.nets:
            net.eval()
        for images, labels in self.batches.seen(split):
            heads = []
            for net, x in zip(self.nets, images, strict=True):
                with torch.autocast(self.device, torch.bfloat16, enabled=self.train.bfloat16):
                    heads.append(net.logits(x))
            yield [torch.stack(z).transpose(1, 2) for z in zip(*heads, strict=True)], labels
        for net in self.nets:
            net.train()

    def first(self) -> VGG:
        return self.nets[0].eval()

    def tensors(self, network: int) -> dict[str, Tensor]:
        return dict(self.nets[network].state_dict())

    def temperatures(self, network: int) -> list[float]:
        with torch.no_grad():
            return [float(self.nets[network].temperature(i)) for i in self.headed] if self.learned_t else []

    def counts(self, cell: Cell) -> dict[str, int]:
        return cell_counts(cell, self.size)

    def state(self) -> dict[str, Any]:
        return {
            "nets": [net.state_dict() for net in self.nets],
            "optimizers": [[o.state_dict() for o in optimizers] for optimizers in self.optimizers],
        }

    def load(self, state: dict[str, Any]) -> None:
        for net, was in zip(self.nets, state["nets"], strict=True):
            net.load_state_dict(was)
        for optimizers, many in zip(self.optimizers, state["optimizers"], strict=True):
            for optimizer, was in zip(optimizers, many, strict=True):
                optimizer.load_state_dict(was)
