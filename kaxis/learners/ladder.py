"""The Forward-Forward MLPs from Hinton's to the paper's hybrid, rung by rung (paper, section on flat images).

A label is written over the first K inputs. Layers learn to have high goodness for the right label and low goodness for
a wrong one; from the hybrid on, a classifier reads the concatenated layers and its loss flows through them. What the
paper does not print (how layers are normalised on the way up, how wrong labels are drawn, the overlay's height) is
ours.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kaxis.errors import KaxisError
from kaxis.nets.start import Start

__all__ = ["Ladder", "first_layer_for_every_label"]


class Ladder(nn.Module):
    """One rung.

    Parameters
    ----------
    start : Start
    learned : bool
        Margin softplus(theta) of each layer learned, with theta started so that the margin is the first batch's mean
        goodness; else the fixed `threshold`.
    mean : bool
        Goodness mean(a^2), as the paper's, else sum(a^2), as Hinton's. Loss and margin see the same number.
    classifier : {"", "plain", "layernorm", "batchnorm"}
        A linear classifier on all hidden layers but the last; with a LayerNorm before it; with a BatchNorm of each
        layer on the way to it.
    everywhere : bool
        BatchNorm of every layer's activations before their goodness is taken (the published failure).
    weight : float
        Of the classifier's loss beside the layers'.
    threshold : float
        The fixed margin, a unit: of mean(a^2) as it is, of sum(a^2) times the width. At the start mean(a^2) is about
        0.16.
    alpha : float
        Above 0, the loss is softplus(-alpha (g+ - g-)), which needs no margin (SymBa, Lee & Song 2023), where the
        others have softplus(m - g+) + softplus(g- - m).
    """

    def __init__(
        self,
        start: Start,
        *,
        learned: bool = False,
        mean: bool = False,
        classifier: str = "",
        everywhere: bool = False,
        weight: float = 1.0,
        threshold: float = 0.15,
        alpha: float = 0.0,
    ) -> None:
        super().__init__()
        if start.inputs <= start.K:
            raise KaxisError(
                f"K = {start.K}: a label over the first inputs needs more than K of them, there are {start.inputs}"
            )
        if classifier and start.depth < 2:
            raise KaxisError("depth = 1: the classifier reads all hidden layers but the last")
        self.K, self.mean, self.learned, self.weight, self.alpha = start.K, mean, learned, weight, alpha
        self.threshold = threshold if mean else threshold * start.width
        self.layers = [start.hidden(i) for i in range(start.depth)]
        self.hidden = nn.ModuleList(self.layers)
        self.between = nn.ModuleList(nn.BatchNorm1d(start.width) for _ in self.hidden) if everywhere else None
        theta = [nn.Parameter(torch.tensor(math.nan)) for _ in self.hidden]
        self.theta = nn.ParameterList(theta) if learned else None
        self.head = start.linear("classifier", start.width * (start.depth - 1), start.K) if classifier else None
        width = start.width * (start.depth - 1)
        self.before = nn.LayerNorm(width) if classifier == "layernorm" else nn.Identity()
        each = [nn.BatchNorm1d(start.width) if classifier == "batchnorm" else nn.Identity() for _ in self.hidden[1:]]
        self.each = nn.ModuleList(each)

    # ---- the layers --------------------------------------------------------------------------------------------------

    def overlay(self, x: Tensor, label_BK: Tensor) -> Tensor:
        """A label (one-hot, or 1/K for the neutral one) over the first K inputs, as high as the largest of the
        others.
        """
        rest = x[:, self.K :]
        return torch.cat([label_BK * rest.abs().amax(1, keepdim=True), rest], 1)

    def onward(self, a: Tensor) -> Tensor:
        """What the next layer sees: direction alone, so that it cannot read the goodness off the length (Hinton
        2022).
        """
        return a / (a.square().mean(1, keepdim=True).sqrt() + 1e-6)

    def activation(self, i: int, z: Tensor) -> Tensor:
        """What the goodness of layer i is taken of, from its pre-activations."""
        a = F.relu(z)
        return a if self.between is None else self.between[i](a)

    def activations(self, x: Tensor, *, detach: bool) -> list[Tensor]:
        out = []
        for i, layer in enumerate(self.layers):
            a = self.activation(i, layer(x))
            out.append(a)
            x = self.onward(a.detach() if detach else a)
        return out

    def goodness(self, a: Tensor) -> Tensor:
        return a.square().mean(1) if self.mean else a.square().sum(1)

    def margin(self, i: int) -> Tensor | float:
        return self.threshold if self.theta is None else F.softplus(self.theta[i])

    def told_apart(self, i: int, high: Tensor, low: Tensor) -> Tensor:
        """The loss of layer i for each sample, from the goodness of a right and of a wrong label."""
        if self.alpha:
            return F.softplus(-self.alpha * (high - low))
        m = self.margin(i)
        return F.softplus(m - high) + F.softplus(low - m)

    # ---- training and prediction -------------------------------------------------------------------------------------

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.stack(list(self.losses(x, y).values())).sum()

    def losses(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Softplus losses of the right label above the margin and of a wrong one below it, layer by layer; and the
        classifier's.
        """
        wrong = (y + torch.randint(1, self.K, y.shape, device=y.device)) % self.K
        up, down = (
            self.activations(self.overlay(x, F.one_hot(label, self.K).to(x.dtype)), detach=True) for label in (y, wrong)
        )
        self._warm(up)
        out = {}
        for i, (positive, negative) in enumerate(zip(up, down, strict=True)):
            out[str(i)] = self.told_apart(i, self.goodness(positive), self.goodness(negative)).mean()
        if self.head is not None:
            out["classifier"] = self.weight * F.cross_entropy(self.classify(x), y)
        return out

    def _warm(self, up: list[Tensor]) -> None:
        """Theta at the inverse softplus of the first batch's mean goodness, at that goodness itself when it is
        large.
        """
        if self.theta is not None and torch.isnan(self.theta[0]):
            with torch.no_grad():
                for theta, a in zip(self.theta, up, strict=True):
                    g = self.goodness(a).mean()
                    theta.copy_(torch.where(g > 20, g, torch.log(torch.expm1(g.clamp(1e-6, 20)))))

    def classify(self, x: Tensor) -> Tensor:
        """Logits from a neutral label, so that none leaks."""
        assert self.head is not None
        neutral = x.new_full((len(x), self.K), 1 / self.K)
        layers = self.activations(self.overlay(x, neutral), detach=False)[:-1]
        return self.head(self.before(torch.cat([norm(a) for norm, a in zip(self.each, layers, strict=True)], 1)))

    def logits(self, x: Tensor) -> list[Tensor]:
        """The classifier's, or the goodness of every label summed over all layers but the first (the only one, if
        it is).
        """
        if self.head is not None:
            return [self.classify(x)]
        first: torch.nn.Linear = self.layers[0]  # type: ignore[assignment]  # the ladder is of MLPs
        a = self.activation(0, first_layer_for_every_label(first, x, self.K).flatten(0, 1))
        score = self.goodness(a) if len(self.hidden) == 1 else torch.zeros(len(a), device=x.device)
        for i, layer in enumerate(self.layers[1:], 1):
            a = self.activation(i, layer(self.onward(a)))
            score = score + self.goodness(a)
        return [score.view(len(x), self.K)]


def first_layer_for_every_label(layer: nn.Linear, x: Tensor, K: int) -> Tensor:
    """The first layer's pre-activations for each of K labels, shape (B, K, H), for the price of one pass: labels only
    add a column.

    From the second layer on there is no such shortcut, so prediction grows with K.
    """
    rest = F.linear(x[:, K:], layer.weight[:, K:], layer.bias)
    height = x[:, K:].abs().amax(1)
    return rest[:, None, :] + height[:, None, None] * layer.weight[:, :K].T[None]
