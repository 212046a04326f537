"""One training step's gradients for each kind of learner, on a conv net.

Local learners go layer by layer: forward, loss, backward, step, graph freed, the next input from the detached
activation computed before the step (the paper's pipelined step). Global ones sum their heads' losses and go back once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from kaxis.nets.vgg import CONCAT_SMOOTHING, VGG

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
        May step the layer: ``interleaved`` and ``summed`` never look at it again, ``naive`` computes its output once
        more.
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
        Shown each loss by name (``0`` for the lowest layer's, ``concat`` for the classifier's) before anything goes
        back.

    Returns
    -------
    Tensor
        The heads' summed loss (nats), detached.
    """
    smoothing = net.learner.label_smoothing
    depth, one_by_one = len(net.plan), net.local and local_step != "summed"
    cast = partial(torch.autocast, x_BCSS.device.type, torch.bfloat16, enabled=precision == "bfloat16")

    def block(i: int, h: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """What goes up, the head's loss, the average-pooled activation."""
        with cast():
            if kernels == "fused":
                a, logits, up = net.layer(i, h)
            else:
                up = a = net.activation(i, h)
                logits = net.head(i, a) if i in net.headed else None
        loss = None if logits is None else share * F.cross_entropy(logits, y_B, label_smoothing=smoothing)
        if one_by_one:  # outside autocast, whose copies of the weights would outlive the step
            assert loss is not None
            look(str(i), loss)
            loss.backward()
            done(i)
            a = a.detach()
        with cast():
            if one_by_one and local_step == "naive":
                with torch.no_grad():
                    a = net.activation(i, h)
            pooled = a.mean((2, 3)) if net.concat and i else None
            if i + 1 == depth:
                return None, loss, pooled
            if net.local:
                return net.onward(i, a.detach(), mask), loss, pooled
            return (net.normed if kernels == "fused" else net.onward)(i, up, mask), loss, pooled

    h: Tensor | None = x_BCSS
    losses, pools = [], []
    for i in range(depth):
        assert h is not None
        if checkpointing and not one_by_one:
            h, loss, pooled = checkpoint(block, i, h, use_reentrant=False, preserve_rng_state=False)
        else:
            h, loss, pooled = block(i, h)
        if loss is not None:
            losses.append(loss.detach() if one_by_one else loss)
        if pooled is not None:
            pools.append(pooled)
    if net.concat:
        into = net.learner.heads == "concat"
        logits = net.classify(pools if into else [p.detach() for p in pools], mask)
        own = share * F.cross_entropy(logits, y_B, label_smoothing=CONCAT_SMOOTHING)
        look("concat", own)
        if into:
            losses.append(own)
        else:
            own.backward()
            done(depth)
    total = torch.stack(losses).sum()
    if not one_by_one:
        for i, loss in zip(net.headed, losses, strict=False):
            look(str(i), loss)
        total.backward()
        for i in range(depth):
            done(i)
        if net.concat and net.learner.heads == "concat":
            done(depth)
    return total.detach()
