"""SoftHebb: layers that learn without labels, below a classifier (Journe et al. 2023, "Hebbian deep learning without
feedback").

Layer l, on inputs x of a batch normalised without trained numbers: u = W x, y = softmax(t u) over the units, the sign
turned of all but the largest; dW = sum of y x^T - (y u) W over samples (and pixels), over its largest entry. A unit's
weights take a step of rate |(its norm) - 1|^.5 along it. What goes up is relu(u - mean of u over units)^p. After a
share of the training the layers are fixed and a linear classifier learns on the last one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight

from kaxis.nets.start import Start

__all__ = ["SoftHebb", "plastic"]

RATES, TEMPERATURES = (0.08, 0.005, 0.01), (1.0, 0.65, 0.25)
"""Of the first layer, of those between, of the last one: the three layers of their net."""

POWERS = (0.7, 1.4)
"""Of layers in turn, and 1 of the last: theirs with three. A power above 1 in several layers after another would
leave one unit in each."""


class SoftHebb(nn.Module):
    """The rule on an MLP or a conv net.

    Parameters
    ----------
    start : Start
    rate : float
        Multiplies the layers' rates.
    radius : float
        Norm of a unit's weights at the start, about; the rule leads it to 1.
    share : float
        Of the training's steps, for the layers; the others are the classifier's.
    """

    done: Tensor

    def __init__(self, start: Start, *, rate: float = 1.0, radius: float = 25.0, share: float = 0.5) -> None:
        super().__init__()
        every, self.rate = range(start.depth), rate
        self.until = int(share * max(start.steps, 2))
        self.hidden = nn.ModuleList(start.hidden(i) for i in every)
        self.conv = isinstance(self.hidden[0], nn.Conv2d)
        with torch.no_grad():
            for layer in self.hidden:
                # A row is uniform in +-1 / sqrt(inputs): its norm is about 1 / sqrt(3).
                layer.get_parameter("weight").mul_(radius * 3**0.5)
                layer.get_parameter("bias").zero_().requires_grad_(False)
        inputs = [start.inputs, *(start.channels(i) for i in every)]
        norm = nn.BatchNorm2d if self.conv else nn.BatchNorm1d
        self.norms = nn.ModuleList(norm(n, affine=False) for n in inputs[:-1])
        self.ups = nn.ModuleList(start.up(i) for i in every)
        self.read = start.read(start.depth - 1)
        self.out = start.linear("out", start.features(start.depth - 1), start.K)
        self.register_buffer("done", torch.zeros((), dtype=torch.int64, device=start.device))

    def last(self, x: Tensor) -> Tensor:
        """What the classifier reads; in training mode the layers learn on the way."""
        for i, (layer, norm, up) in enumerate(zip(self.hidden, self.norms, self.ups, strict=True)):
            top = i == len(self.hidden) - 1
            k = 0 if i == 0 else 2 if top else 1
            x = norm(x)
            u = layer(x)
            a = F.relu(u - u.mean(1, keepdim=True)) ** (1.0 if top else POWERS[i % 2])
            if self.training:
                W = layer.get_parameter("weight").data
                norms = W.flatten(1).norm(dim=1).view(-1, *[1] * (W.dim() - 1))
                W += self.rate * RATES[k] * (norms - 1).abs().sqrt() * plastic(x, u, W, TEMPERATURES[k])
            x = up(a)
        return self.read(a)

    @torch.no_grad()
    def update(self, x: Tensor, y: Tensor) -> Tensor:
        """One step of the layers or, after their share, the gradient of the classifier; returns its loss."""
        self.train(int(self.done) < self.until)
        self.done += 1
        a = self.last(x)
        logits = self.out(a)
        if not self.training:
            error = (logits.softmax(1) - F.one_hot(y, logits.shape[1])) / len(y)
            self.out.weight.grad, self.out.bias.grad = error.T @ a, error.sum(0)
        return F.cross_entropy(logits, y)

    def logits(self, x: Tensor) -> list[Tensor]:
        """Of whatever mode, nothing is learned by looking."""
        before = self.training
        self.eval()
        seen = [self.out(self.last(x))]
        self.train(before)
        return seen

    def groups(self) -> list[list[nn.Parameter]]:
        return [*([layer.get_parameter("weight")] for layer in self.hidden), [*self.out.parameters()]]


def plastic(x: Tensor, u: Tensor, W: Tensor, temperature: float) -> Tensor:
    """Direction in which a layer's weights W go, its largest entry 1, from inputs x and weighted inputs u: (B, n)
    and (B, m), or maps.
    """
    y = -(temperature * u).softmax(1)
    won = u.argmax(1, keepdim=True)
    y.scatter_(1, won, -y.gather(1, won))
    yx = conv2d_weight(x, W.shape, y, padding=1) if W.dim() == 4 else y.T @ x
    yu = (y * u).transpose(0, 1).flatten(1).sum(1)
    step = yx - yu.view(-1, *[1] * (W.dim() - 1)) * W
    return step / (step.abs().amax() + 1e-30)
