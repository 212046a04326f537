"""One training step's gradients for each kind of learner, on a conv net.

Local learners go layer by layer: forward, loss, backward, step, graph freed, the next input from the detached
activation computed before the step (the paper's pipelined step). Global ones sum their heads' losses and go back once.
Direct feedback alignment goes up once and then sends the last head's error to every layer; with targets in its place
(DRTP) each layer steps at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from kaxis.nets.vgg import CONCAT_SMOOTHING, VGG
from kaxis.spec.learner import DIRECT, FEEDBACK

__all__ = ["Mask", "gradients"]

Mask = Callable[[int, Tensor], Tensor]
"""A layer's dropout mask, already divided by the share kept."""


def gradients(
    net: VGG,
    x_BCSS: Tensor,
    y_B: Tensor,
    mask: Mask | None,
    done: Callable[[int], None],
    *,
    share: float = 1.0,
    local_step: str = "interleaved",
    checkpointing: bool = False,
    precision: str = "float32",
    kernels: str = "fused",
    look: Callable[[str, Tensor], None] = lambda name, loss: None,
) -> Tensor:
    """Add the gradient of a batch's loss to the parameters, calling ``done(layer)`` as soon as a layer's is whole.

    Parameters
    ----------
    net : VGG
    x_BCSS, y_B : Tensor
        Images, and labels of int64.
    mask : callable or None
        Dropout mask of a layer; None for no dropout.
    done : callable
        May step the layer: none but ``naive`` looks at it again, which computes its output once more.
    share : float
        What the loss counts for, 1 / (parts of the batch).
    local_step : {"interleaved", "naive", "summed"}
        For local learners: layer by layer; so with each output computed again after the step (as first published); or
        one backward pass over the sum, every graph alive until then.
    checkpointing : bool
        Forget what global learners need for their backward pass, and compute it again there.
    precision : {"float32", "bfloat16"}
        Of convolutions and what lies between them; heads are float32.
    kernels : {"fused", "plain"}
        A layer as one operation (`kaxis.nets.fused`), or operation by operation.
    look : callable
        Shown each loss by name (``0``, the lowest layer's, ``concat``, the classifier's) before it goes back.

    Returns
    -------
    Tensor
        The heads' summed loss (nats), detached.
    """
    step = _Step(net, x_BCSS.device.type, y_B, mask, done, look, share, local_step, precision, kernels)
    if net.learner.gradient in DIRECT:
        return step.direct(x_BCSS)
    losses = step.forward(x_BCSS, checkpointing)
    total = torch.stack(losses).sum()
    if not step.one_by_one:
        for i, loss in zip(net.headed, losses, strict=False):
            look(str(i), loss)
        total.backward()
        for i in range(len(net.plan)):
            done(i)
        if net.concat and net.learner.heads == "concat":
            done(len(net.plan))
    return total.detach()


@dataclass(frozen=True)
class _Step:
    """What every layer of a step is worked with; see `gradients`."""

    net: VGG
    device: str
    y_B: Tensor
    mask: Mask | None
    done: Callable[[int], None]
    look: Callable[[str, Tensor], None]
    share: float
    local_step: str
    precision: str
    kernels: str

    @property
    def as_one(self) -> bool:
        """Whether a layer is one operation; feedback alignment's always is, whose pass back autograd does not know."""
        return self.kernels == "fused" or self.net.learner.gradient in FEEDBACK

    @property
    def one_by_one(self) -> bool:
        return self.net.apart and self.local_step != "summed"

    def cast(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bfloat16")

    def forward(self, x_BCSS: Tensor, checkpointing: bool) -> list[Tensor]:
        """The heads' losses; of a learner that goes layer by layer they have gone back already."""
        h: Tensor | None = x_BCSS
        losses, pools = [], []
        for i in range(len(self.net.plan)):
            assert h is not None
            if checkpointing and not self.one_by_one:
                h, loss, pooled = checkpoint(self.block, i, h, use_reentrant=False, preserve_rng_state=False)
            else:
                h, loss, pooled = self.block(i, h)
            if loss is not None:
                losses.append(loss.detach() if self.one_by_one else loss)
            if pooled is not None:
                pools.append(pooled)
        return losses + (self.classify(pools) if self.net.concat else [])

    def block(self, i: int, h: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """What goes up, the head's loss, the average-pooled activation."""
        net = self.net
        with self.cast():
            if self.as_one:
                a, logits, up = net.layer(i, h)
            else:
                up = a = net.activation(i, h)
                logits = net.head(i, a) if i in net.headed else None
        loss = None
        if logits is not None:
            loss = self.share * F.cross_entropy(logits, self.y_B, label_smoothing=net.learner.label_smoothing)
        if self.one_by_one:  # outside autocast, whose copies of the weights would outlive the step
            if loss is not None:  # a layer that is not trained may have no head
                self.look(str(i), loss)
                loss.backward()
            self.done(i)
            a = a.detach()
        with self.cast():
            if self.one_by_one and self.local_step == "naive":
                with torch.no_grad():
                    a = net.activation(i, h)
            pooled = a.mean((2, 3)) if net.concat and i else None
            if i + 1 == len(net.plan):
                return None, loss, pooled
            if net.apart:
                return net.onward(i, a.detach(), self.mask), loss, pooled
            return (net.normed if self.as_one else net.onward)(i, up, self.mask), loss, pooled

    def direct(self, x_BCSS: Tensor) -> Tensor:
        """The last head's loss, detached, which has gone back into the head alone; a layer's gradient is what is sent
        to it.
        """
        net, h, last, kind = self.net, x_BCSS, len(self.net.plan) - 1, self.net.learner.gradient
        target = F.one_hot(self.y_B, net.K).to(x_BCSS.dtype)
        target = target * (self.share / len(target))
        waiting: list[Tensor] = []
        for i in range(last):
            with self.cast():
                a = net.alone(i, h)
                h = net.onward(i, a.detach(), self.mask)
            if kind == "drtp":
                self.send(i, a, target)
            else:
                waiting.append(a)
        with self.cast():
            a = net.alone(last, h)
            logits = net.head(last, a.detach())
        loss = self.share * F.cross_entropy(logits, self.y_B, label_smoothing=net.learner.label_smoothing)
        self.look(str(last), loss)
        if loss.requires_grad:  # else nothing of the head is trained
            loss.backward()
        if kind == "drtp":
            self.send(last, a, target)
            return loss.detach()
        if soft := net.learner.label_smoothing:
            target = (1 - soft) * target + soft / net.K * (self.share / len(target))
        error = logits.detach().softmax(1) * (self.share / len(target)) - target
        if kind == "sdfa":
            error = error.sign() * (self.share / len(target))
        for i, one in enumerate([*waiting, a]):
            self.send(i, one, error)
        return loss.detach()

    def send(self, i: int, a: Tensor, e_BK: Tensor) -> None:
        a.backward(self.net.sent(i, e_BK).to(a.dtype))
        self.done(i)

    def classify(self, pools: list[Tensor]) -> list[Tensor]:
        """The concat classifier's loss, where it reaches the layers; else it goes back at once, into itself alone."""
        into = self.net.learner.heads == "concat"
        logits = self.net.classify(pools if into else [p.detach() for p in pools], self.mask)
        own = self.share * F.cross_entropy(logits, self.y_B, label_smoothing=CONCAT_SMOOTHING)
        self.look("concat", own)
        if into:
            return [own]
        own.backward()
        self.done(len(self.net.plan))
        return []
