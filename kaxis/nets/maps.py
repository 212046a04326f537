"""Convolutions, and what is made of their maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kaxis.nets.draws import linear, sizes
from kaxis.nets.plan import Layer
from kaxis.streams import stream

__all__ = ["convolution", "flat", "grid_means", "over_channels"]

EPS = 1e-5


def convolution(seed: int, member: int, i: int, layer: Layer) -> nn.Conv2d:
    """Convolution i as every learner of the seed starts it."""
    made = nn.Conv2d(layer.inputs, layer.channels, 3, padding=1)
    W, b = linear(stream(seed, f"init/{member}/{i}"), layer.channels, 9 * layer.inputs)
    own: dict[str, nn.Parameter] = dict(made.named_parameters())
    with torch.no_grad():
        own["weight"].copy_(torch.from_numpy(W).view_as(own["weight"]))
        own["weight"].data = own["weight"].data.contiguous(memory_format=torch.channels_last)
        own["bias"].copy_(torch.from_numpy(b[:, 0]))
    return made


def over_channels(x_BSSC: Tensor, kind: str, K: int) -> Tensor:
    """Normalisation over channels, which are last, without trained numbers; of rows (B, C) too.

    In the precision of `x_BSSC`: on a GPU, not on a CPU, autocast would make float32 of bfloat16 here.
    """
    with torch.autocast(x_BSSC.device.type, enabled=False):
        return _over_channels(x_BSSC, kind, K)


def _over_channels(x_BSSC: Tensor, kind: str, K: int) -> Tensor:
    shape = (x_BSSC.shape[-1],)
    if kind == "none":
        return x_BSSC
    if kind == "rmsnorm":
        return F.rms_norm(x_BSSC, shape, eps=EPS)
    if kind == "rmsnorm_sample":
        return x_BSSC * (x_BSSC.square().mean(tuple(range(1, x_BSSC.dim())), keepdim=True) + EPS).rsqrt()
    if kind == "groupnorm":
        of = sizes(K, shape[0])
        large = of.count(of[0])  # groups of one size side by side: two blocks, where K does not divide the channels
        blocks = x_BSSC.movedim(-1, 1).tensor_split([large * of[0]], 1)
        # Not F.group_norm, which refuses one sample of a group that is one number; that is 0.
        parts = [torch.group_norm(b, n, eps=EPS) for b, n in zip(blocks, (large, K - large), strict=True) if n]
        return torch.cat(parts, 1).movedim(1, -1)
    # torch's kernel is twice as fast with a weight; the numbers are the same, but a gradient's are not
    ones = None if torch.is_grad_enabled() and x_BSSC.requires_grad else x_BSSC.new_ones(shape)
    return F.layer_norm(x_BSSC, shape, ones, eps=EPS)


def flat(g_BCGG: Tensor) -> Tensor:
    """Flattened as it lies in memory, so that the backward pass stays channels-last."""
    return g_BCGG.permute(0, 2, 3, 1).flatten(1)


def grid_means(x_BCSS: Tensor, goal: int) -> Tensor:
    """Means over a goal x goal grid."""
    side = x_BCSS.shape[2]
    return F.avg_pool2d(x_BCSS, side // goal) if side % goal == 0 else F.adaptive_avg_pool2d(x_BCSS, goal)
