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
    "mono_forward",
    "asge",
    "deeperforward",
    "cwcomp",
    "random_trunk",
    "bp[gradient=none]",
    "fa",
    "usf",
    "dfa",
    "sdfa",
    "drtp",
    "dfa[power=2,temperature=learned]",
    "fa[power=2]",
    "fa[power=2,temperature=learned]",
    "usf[temperature=learned]",
    "fa[label_smoothing=0.3]",
    "dfa[label_smoothing=0.3]",
    "sdfa[label_smoothing=0.3]",
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

    def through(self, z: Tensor, other: Tensor) -> Tensor:
        """z, with a gradient on the input that goes through `other` alone; both are of that input, z of it detached."""
        return z + other - other.detach()

    def losses(self, x: Tensor, y: Tensor, mask: Callable[[int, Tensor], Tensor]) -> list[Tensor]:
        net, row, out, gap, sent = self.net, self.net.learner, [], [], []
        direct, signs = row.gradient in ("dfa", "sdfa", "drtp"), row.gradient == "usf"
        act = torch.tanh if net.tanh else torch.relu
        for i, conv in enumerate(net.convs):
            if row.gradient in ("local", "none") or direct:
                x = x.detach()
            if row.gradient in ("fa", "usf") and i:
                fan = (conv.weight.shape[0] + conv.weight.shape[1]) * 9
                B = conv.weight.detach().sign() * (2 / fan) ** 0.5 if signs else getattr(net, f"back{i}")
                z = F.conv2d(x.detach(), conv.weight, conv.bias, padding=1)
                a = act(self.through(z, F.conv2d(x, B, padding=1)))
            else:
                a = act(F.conv2d(x, conv.weight, conv.bias, padding=1))
            if direct:
                sent.append((i, a))
            if str(i) in net.heads:
                g = a**2 if row.power == "2" else a
                g = g.detach() if direct else g
                side = {0: 4, 1: 2, 2: 2}.get(i, 1)
                g = F.adaptive_avg_pool2d(g, side).permute(0, 2, 3, 1).reshape(len(x), -1)
                unscaled = g
                if row.temperature == "learned":
                    g = g / (0.5 + 1.5 * torch.sigmoid(net.alphas[str(i)]))
                head, soft = net.heads[str(i)], row.label_smoothing
                z = g @ head.weight.T + head.bias
                if row.gradient in ("fa", "usf"):
                    B = head.weight.detach().sign() * (2 / sum(head.weight.shape)) ** 0.5 if signs else net.back7
                    g = unscaled.detach()  # what is sent back knows no temperature; the head's learns by the loss
                    if row.temperature == "learned":
                        g = g / (0.5 + 1.5 * torch.sigmoid(net.alphas[str(i)]))
                    z = self.through(g @ head.weight.T + head.bias, unscaled @ B.T)
                out.append(F.cross_entropy(z, y, label_smoothing=soft))
                if direct:
                    target = F.one_hot(y, K).to(z.dtype)
                    e = (torch.softmax(z.detach(), 1) - ((1 - soft) * target + soft / K)) / len(y)
                    e = {"dfa": e, "sdfa": e.sign() / len(y), "drtp": target / len(y)}[row.gradient]
            gap.append(a.mean((2, 3)))
            x = F.avg_pool2d(a, 2) if i in (1, 3, 4, 5) else a
            x = normalised(x, row.norm)
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
        return out + [(a * torch.einsum("bk,kcxy->bcxy", e, getattr(net, f"back{i}"))).sum() for i, a in sent]


def normalised(x: Tensor, kind: str) -> Tensor:
    if kind == "groupnorm":
        return torch.cat([F.layer_norm(part, part.shape[1:]) for part in x.tensor_split(K, 1)], 1)
    if kind == "rmsnorm_sample":
        return F.rms_norm(x, x.shape[1:], eps=1e-5)
    return F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2]).permute(0, 3, 1, 2)


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
