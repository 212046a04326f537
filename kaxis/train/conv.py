"""Training conv nets: data, networks and optimizers of one seed, everything a step needs a function of its number alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from kaxis.cell import Cell
from kaxis.nets.fused import kept
from kaxis.nets.plan import conv_counts
from kaxis.nets.vgg import CONCAT_DROPOUT, VGG
from kaxis.sources.augment import augment, draws, normalised
from kaxis.sources.task import Task
from kaxis.streams import stream
from kaxis.train.feed import Feed, Order
from kaxis.train.schedule import LOOKS, checkpoints, cosine, step_count
from kaxis.train.step import Mask, gradients

__all__ = ["ConvStack"]

Batch = list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]


class ConvStack:
    """The networks of one seed and configuration (several for an ensemble), with their optimizers and data.

    Parameters
    ----------
    cells : sequence of Cell
    networks : sequence of (seed, member)
    tasks : dict of int to Task
    device : str
    """

    def __init__(
        self, cells: Sequence[Cell], networks: Sequence[tuple[int, int]], tasks: dict[int, Task], device: str
    ) -> None:
        config = cells[0].config
        self.net_config, self.train, self.learner, self.K = (
            config["net"],
            config["train"],
            config["learner"],
            cells[0].K,
        )
        self.networks, self.device = list(networks), device
        self.feed = Feed(networks, tasks, device)
        self.task = tasks[networks[0][0]]
        self.size = self.feed.features.shape[1]
        self.E, self.batch, self.n = len(networks), self.train["batch_size"], len(self.task.y_train)
        self.steps = step_count(self.train, self.n)
        # At one size every chunk has as many images, so that no result hangs on the set.
        self.chunk = max(8, 512 * 32 * 32 // self.size**2)
        concat = any("concat" in (c.config["learner"]["heads"], c.config["learner"]["inference"]) for c in cells)
        shape = {"K": self.K, "size": self.size, "net": self.net_config, "learner": self.learner, "concat": concat}
        with torch.device(device):
            self.nets = [VGG(s, m, **shape) for s, m in networks]
        decay = self.learner["weight_decay"]
        self.optimizers = [
            [torch.optim.AdamW(group, lr=self.learner["lr"], weight_decay=decay, fused=True) for group in net.groups()]
            for net in self.nets
        ]
        self.headed = self.nets[0].headed
        self.kernels = self.train.get("kernels", "plain")
        self.learned_t = self.learner["temperature"] == "learned"
        self.loss: Tensor | None = None
        if self.feed.streamed:
            from concurrent.futures import ThreadPoolExecutor

            self._ahead = ThreadPoolExecutor(1)

    # ---- one step ------------------------------------------------------------------------------------------------

    def batches(self, start: int) -> Iterator[tuple[int, list[Tensor], Batch]]:
        """From step `start` on: its number, and for each network its images (uint8), positions and augmentation draws."""
        orders = [Order(seed=s, member=m, n=self.n) for s, m in self.networks]
        for order in orders:
            order.skip(start * self.batch)

        def draw(step: int) -> tuple[int, list[Tensor], Batch]:
            picks = [order.next(self.batch) for order in orders]
            numbers = [self._draws(s, m, step) for s, m in self.networks]
            images = [self.feed.take(self.feed.rows_of(self.task, "train")[p]) for p in picks]
            return step, images, list(zip(picks, numbers, strict=True))

        if not self.feed.streamed:
            for step in range(start, self.steps):
                yield draw(step)
            return
        coming = self._ahead.submit(draw, start)
        for step in range(start, self.steps):
            now = coming.result()
            if step + 1 < self.steps:
                coming = self._ahead.submit(draw, step + 1)
            yield now

    def _draws(self, seed: int, member: int, step: int) -> np.ndarray[Any, Any]:
        """Augmentation draws of a batch; it may straddle epochs."""
        first = step * self.batch
        parts = []
        for epoch in range(first // self.n, (first + self.batch - 1) // self.n + 1):
            inside = slice(max(0, first - epoch * self.n), min(self.n, first + self.batch - epoch * self.n))
            parts.append(_epoch_draws(seed, member, epoch, self.n)[inside])
        return np.concatenate(parts)

    def step(self, batch: tuple[int, list[Tensor], Batch]) -> None:
        number, images, details = batch
        lr = cosine(number, self.steps, self.learner["lr"], self.train["lr_min"])
        for net, optimizers, image, (picks, numbers), who in zip(
            self.nets, self.optimizers, images, details, self.networks, strict=True
        ):
            for optimizer in optimizers:
                optimizer.param_groups[0]["lr"] = lr
            u = torch.from_numpy(numbers).to(self.device)
            y = torch.from_numpy(self.task.y_train[picks]).to(self.device)
            self.loss = self._step_one(net, optimizers, image, u, y, (*who, number))

    def _step_one(
        self,
        net: VGG,
        optimizers: list[torch.optim.AdamW],
        image: Tensor,
        u: Tensor,
        y: Tensor,
        who: tuple[int, int, int],
    ) -> Tensor:
        parts, clip = self.train["accumulate"], self.learner["clip"]
        part, total = self.batch // parts, torch.zeros((), device=self.device)

        def finish(i: int) -> None:
            if clip:
                clip_grad_norm_([p for g in optimizers[i].param_groups for p in g["params"]], clip)
            optimizers[i].step()
            optimizers[i].zero_grad(set_to_none=True)

        for k in range(parts):
            at = slice(k * part, (k + 1) * part)
            total += gradients(
                net,
                self._seen(image[at], u[at]),
                y[at],
                self._mask(net, *who, k),
                finish if k == parts - 1 else lambda i: None,
                share=1 / parts,
                local_step=self.train["local_step"],
                checkpointing=self.train["activation_checkpointing"],
                precision=self.train["precision"],
                kernels=self.kernels,
            )
        return total

    def _seen(self, image: Tensor, u: Tensor) -> Tensor:
        if "none" in self.train["augment"]:
            return normalised(image, *self.task.statistics)
        return augment(image, u, self.train["augment"], *self.task.statistics)

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

    # ---- what the loop asks --------------------------------------------------------------------------------------

    def evaluate(self, split: str) -> Iterator[tuple[list[Tensor], list[np.ndarray[Any, Any]]]]:
        """Logits of every head, each (E, K, chunk), and each network's labels, chunk by chunk."""
        for net in self.nets:
            net.eval()
        for rows, labels in self.feed.chunks(split, self.chunk):
            heads = []
            for net, own in zip(self.nets, rows.view(self.E, -1), strict=True):
                x = normalised(self.feed.take(own), *self.task.statistics)
                with torch.autocast(self.device, torch.bfloat16, enabled=self.train["precision"] == "bfloat16"):
                    heads.append(net.logits(x))
            yield [torch.stack(z).transpose(1, 2) for z in zip(*heads, strict=True)], labels
        for net in self.nets:
            net.train()

    def tensors(self, network: int) -> dict[str, Tensor]:
        """What one network predicts with."""
        return dict(self.nets[network].state_dict())

    def temperatures(self, network: int) -> list[float]:
        with torch.no_grad():
            return [float(self.nets[network].temperature(i)) for i in self.headed] if self.learned_t else []

    def counts(self, learner: dict[str, Any]) -> dict[str, int]:
        return conv_counts(K=self.K, size=self.size, batch=self.batch, net=self.net_config, learner=learner)

    def evaluate_at(self) -> list[int]:
        """At most 20 evenly spaced ends of epochs (every one, where the best counts), or of a number of steps their logarithmic grid."""
        if "steps" in self.train:
            return checkpoints(self.steps)
        return sorted({0, *self._epoch_ends()})

    def trains_at(self) -> set[int]:
        """When training images are looked at too, a third of an epoch's work: at the end, and with epochs after four fifths of them."""
        if "steps" in self.train:
            return {self.steps}
        ends = self._epoch_ends()
        return {ends[math.ceil(0.8 * len(ends)) - 1], self.steps}

    def _epoch_ends(self) -> list[int]:
        epochs = math.ceil(self.train["epochs"])
        looks = epochs if self.train["select"] == "best" else min(epochs, LOOKS)
        ends = (math.ceil(round(epochs * i / looks) * self.n / self.batch) for i in range(1, looks + 1))
        return [min(e, self.steps) for e in ends]

    def note(self, done: int) -> str:
        loss = "-" if self.loss is None else f"{float(self.loss):.3f}"
        return f"epoch {done * self.batch / self.n:.2f} of {self.steps * self.batch / self.n:.4g}, loss {loss}"

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


@lru_cache(maxsize=16)  # an epoch and the next, for a few members
def _epoch_draws(seed: int, member: int, epoch: int, n: int) -> np.ndarray[Any, Any]:
    return draws(seed, member, epoch, n)
