"""Conv nets to test with, and the same network in slow, plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kaxis.nets.vgg import VGG
from kaxis.spec.cell import Cell
from kaxis.spec.sweep import Sweep
from kaxis.train.step import gradients

K, SIZE = 5, 32


ROWS = [
    "bp",
    "bp_concat",
    "bp_deepsup",
    "dtg_ff",
    "local_ce",
    "dtg_ff[inference=concat]",
    "bp_deepsup[inference=concat]",
]


def a_cell(learner: str, **options: Any) -> Cell:
    return Sweep.of(
        {"source": "cifar10", "K": K, "net": "vgg8", "width": 0.05, "learners": learner, **options}
    ).cells()[0]


def build(learner: str, dtype: torch.dtype = torch.float64, size: int = SIZE, **options: Any) -> VGG:
    c = a_cell(learner, **options)
    return VGG(0, 0, K=K, size=size, net=c.net, learner=c.algorithm, concat=c.algorithm.concat).to(dtype)


def batch(n: int = 6, dtype: torch.dtype = torch.float64, size: int = SIZE) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    x = torch.randn(n, 3, size, size, generator=g, dtype=dtype).to(memory_format=torch.channels_last)
    return x, torch.randint(0, K, (n,), generator=g)


def masks(net: VGG) -> Callable[[int, Tensor], Tensor]:
    """Dropout by a generator of its own for each layer, so that order does not matter."""

    def mask(i: int, like: Tensor) -> Tensor:
        g = torch.Generator().manual_seed(100 + i)
        return (torch.rand(like.shape, generator=g, dtype=torch.float64) < 0.8).to(like.dtype) / 0.8

    return mask


def ignore(i: int) -> None:
    pass


class Plain(nn.Module):
    """The same network as its paper describes it: autograd, one expression a line, no sharing of code."""

    def __init__(self, net: VGG) -> None:
        super().__init__()
        self.net = net

    def losses(self, x: Tensor, y: Tensor, mask: Callable[[int, Tensor], Tensor]) -> list[Tensor]:
        net, row, out, gap = self.net, self.net.learner, [], []
        for i, conv in enumerate(net.convs):
            if row.gradient == "local":
                x = x.detach()
            a = torch.relu(F.conv2d(x, conv.weight, conv.bias, padding=1))
            if str(i) in net.heads:
                g = a**2 if row.power == "2" else a
                side = {0: 4, 1: 2, 2: 2}.get(i, 1)
                g = F.adaptive_avg_pool2d(g, side).permute(0, 2, 3, 1).reshape(len(x), -1)
                if row.temperature == "learned":
                    g = g / (0.5 + 1.5 * torch.sigmoid(net.alphas[str(i)]))
                head = net.heads[str(i)]
                out.append(F.cross_entropy(g @ head.weight.T + head.bias, y))
            gap.append(a.mean((2, 3)))
            x = F.avg_pool2d(a, 2) if i in (1, 3, 4, 5) else a
            x = F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2]).permute(0, 3, 1, 2)
            if i < 6:
                x = x * mask(i, x)
        if net.concat is not None:
            features = torch.cat(gap[1:], 1)
            if row.heads != "concat":
                features = features.detach()
            centred = features - features.mean(0)
            features = (
                centred / (features.var(0, unbiased=False) + 1e-5).sqrt() * net.concat[0].weight + net.concat[0].bias
            )
            out.append(F.cross_entropy(net.concat[1](features * mask(7, features)), y, label_smoothing=0.1))
        return out


def by_hand(net: VGG, x: Tensor, y: Tensor, mask: Callable[[int, Tensor], Tensor]) -> list[Tensor | None]:
    trained = [p for p in net.parameters() if p.requires_grad]
    return list(torch.autograd.grad(torch.stack(Plain(net).losses(x, y, mask)).sum(), trained, allow_unused=True))


def taken(net: VGG, x: Tensor, y: Tensor, mask: Any, **how: Any) -> list[Tensor | None]:
    net.zero_grad(set_to_none=True)
    gradients(net, x, y, mask, how.pop("done", ignore), **how)
    return [p.grad for p in net.parameters() if p.requires_grad]


def same(a: list[Tensor | None], b: list[Tensor | None], tolerance: float = 1e-9) -> None:
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        if one is None or other is None:
            assert one is other or (one if other is None else other).abs().max() == 0  # type: ignore[union-attr]
        else:
            torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance * float(other.abs().max()) + 1e-15)
