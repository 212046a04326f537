"""HCL-FF (Yao, Chen & Kuo 2026, arXiv 2605.24797): groups of channels for a readout, a contrastive term, a tree of
classes.

Layer l: a = relu(W h), z_k the mean of a over group k of its channels, n the groups of a, each normalised. Its loss is
CE(mean of z over the classes of a node, the label's node) at the layer's level of a tree of the classes, coarse below
and fine above, plus a supervised contrastive loss of a normalised projection of n. Nothing reaches the layer below. The
tree is Ward's, of the weights of a classifier on the last layer; until it has learned, every node is one class. The sum
of z over layers predicts.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from scipy.cluster.hierarchy import linkage
from torch import Tensor, nn
from torch.nn import functional as F

from kaxis.nets.draws import group_means
from kaxis.nets.start import Start

__all__ = ["HCLFF", "coarse", "contrastive", "nodes"]

WARM, HIGH, MIDDLE, LOW = 0.05, 0.8, 0.2, 0.1
"""Their temperature: from high to middle in a straight line over 50 of 1,000 epochs, to low along a cosine."""


class HCLFF(nn.Module):
    """The rule on an MLP or a conv net.

    Parameters
    ----------
    start : Start
    contrast : float
        Weight of the contrastive loss.
    share : float
        Of the training's steps, before there is a tree; 1 for none at all.
    units : float
        Of a projection.
    """

    done: Tensor
    levels: Tensor

    def __init__(self, start: Start, *, contrast: float = 1.0, share: float = 1 / 6, units: float = 128.0) -> None:
        super().__init__()
        every, self.K, self.contrast = range(start.depth), start.K, contrast
        self.act, self.steps = start.nonlinearity, max(start.steps, 1)
        self.until = round(share * self.steps)
        self.hidden = nn.ModuleList(start.hidden(i) for i in every)
        self.reads = nn.ModuleList(start.read(i) for i in every)
        self.norm = start.normalisation("groupnorm")
        self.ups = nn.ModuleList(start.up(i, "groupnorm") for i in every)
        self.projections = nn.ModuleList(
            nn.Sequential(
                start.linear(f"projection/{i}", start.features(i), int(units), bias=False), nn.BatchNorm1d(int(units))
            )
            for i in every
        )
        self.out = start.linear("out", start.features(start.depth - 1), start.K)
        for i in every:
            n = start.channels(i)
            means = torch.as_tensor(group_means(start.K, n, start.features(i) // n), dtype=torch.float32)
            self.register_buffer(f"means{i}", means.to(start.device))
        self.register_buffer("levels", torch.arange(start.K, device=start.device).repeat(start.depth, 1))
        self.register_buffer("done", torch.zeros((), dtype=torch.int64, device=start.device))

    def layers(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Of every layer the goodness of each class (B, K), and what a head reads of its normalised activation."""
        out = []
        for i, layer in enumerate(self.hidden):
            a = self.act(layer(x))
            out.append((self.reads[i](a) @ self.get_buffer(f"means{i}").T, self.reads[i](self.norm(a))))
            x = self.ups[i](a.detach())
        return out

    @property
    def temperature(self) -> float:
        t = int(self.done) / self.steps
        if t < WARM:
            return HIGH - (HIGH - MIDDLE) * t / WARM
        return LOW + (MIDDLE - LOW) * (1 + math.cos(math.pi * min((t - WARM) / (1 - WARM), 1))) / 2

    def losses(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        out, temperature = {}, self.temperature
        for i, (z, n) in enumerate(self.layers(x)):
            node = self.levels[i]
            alike = contrastive(F.normalize(self.projections[i](n)), y, temperature)
            out[str(i)] = F.cross_entropy(coarse(z, node), node[y]) + self.contrast * alike
        out["out"] = F.cross_entropy(self.out(n.detach()), y)
        return out

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        if int(self.done) == self.until and self.out.weight.isfinite().all():
            self.levels.copy_(nodes(self.out.weight.detach(), len(self.hidden)))
        total = torch.stack(list(self.losses(x, y).values())).sum()
        self.done += 1
        return total

    def logits(self, x: Tensor) -> list[Tensor]:
        return [z for z, _ in self.layers(x)]

    def groups(self) -> list[list[nn.Parameter]]:
        layers = [[*layer.parameters()] for layer in self.hidden]
        return [*layers, *([*one.parameters()] for one in self.projections), [*self.out.parameters()]]


def contrastive(z: Tensor, y: Tensor, temperature: float) -> Tensor:
    """Supervised contrastive loss (Khosla et al. 2020) of rows z (B, n) of length 1 with labels y (B,): the mean, over
    the others of a row's class, of -log softmax of its products with all others; of rows without such 0.

    Examples
    --------
    >>> contrastive(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0, 1]), 1.0).item()
    0.2088...
    """
    own = torch.eye(len(y), dtype=torch.bool, device=z.device)
    said = (z @ z.T / temperature).masked_fill(own, -torch.inf).log_softmax(1)
    same = (y[:, None] == y) & ~own
    return -(said.masked_fill(~same, 0).sum(1) / same.sum(1).clamp(min=1)).mean()


def coarse(z: Tensor, node: Tensor) -> Tensor:
    """Means of z (B, K) over the classes of each node, whose numbers node (K,) gives; -inf where no class is.

    Examples
    --------
    >>> coarse(torch.tensor([[1.0, 2.0, 6.0]]), torch.tensor([0, 0, 1])).tolist()
    [[1.5, 6.0, -inf]]
    """
    of = torch.zeros_like(z[0]).index_add_(0, node, torch.ones_like(z[0]))
    total = torch.zeros_like(z).index_add_(1, node, z)
    return (total / of.clamp(min=1)).masked_fill(of == 0, -torch.inf)


def nodes(weight: Tensor, depth: int) -> Tensor:
    """Of each of `depth` layers the node (depth, K) in which each class lies, at its level of Ward's tree of the rows
    of a classifier's weights (K, n), each divided by its length.

    Of a tree of D levels, the last of which holds each class alone, layer i has level ceil((i + 1) D / depth).

    Examples
    --------
    >>> nodes(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), 2).tolist()
    [[0, 0, 1], [0, 1, 2]]
    """
    K = len(weight)
    rows = F.normalize(weight.double()).cpu().numpy()
    above: dict[int, list[Any]] = {2 * K - 2: []}
    for made, two in reversed([*enumerate(linkage(rows, "ward")[:, :2].astype(int).tolist())]):
        for below in two:
            above[below] = [*above[K + made], below]
    levels = max(len(above[k]) for k in range(K))
    out = []
    for i in range(depth):
        level = -(-(i + 1) * levels // depth)
        at = [above[k][min(level, len(above[k])) - 1] for k in range(K)]
        number = {one: n for n, one in enumerate(dict.fromkeys(at))}
        out.append([number[one] for one in at])
    return torch.tensor(out, device=weight.device)
