"""Predictive coding (Whittington & Bogacz 2017): states settle before weights learn.

The states x_l of the hidden layers start at the forward pass and take T steps down E = sum_l |x_l - f(W_l x_{l-1})|^2
/ 2, x_L clamped to the one-hot target, f the nonlinearity, of the last layer none. Then each W_l takes one step down
its own term. T, the rate and where the states start are ours: papers differ.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kaxis.nets.start import Start

__all__ = ["PredictiveCoding"]


class PredictiveCoding(nn.Module):
    """The rule on an MLP.

    Parameters
    ----------
    start : Start
    settling : float
        Steps that states take.
    rate : float
        Of these.
    """

    def __init__(self, start: Start, *, settling: float = 20.0, rate: float = 0.1) -> None:
        super().__init__()
        self.settling, self.rate, self.K, self.act = int(settling), rate, start.K, start.nonlinearity
        self.hidden = nn.ModuleList(start.hidden(i) for i in range(start.depth))
        self.out = start.linear("out", start.width, start.K)

    def logits(self, x: Tensor) -> list[Tensor]:
        for layer in self.hidden:
            x = self.act(layer(x))
        return [self.out(x)]

    def errors(self, x: Tensor, states: list[Tensor], target: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Of each layer x_l - f(W_l x_{l-1}), and that times the slope of f there."""
        plain, sloped = [], []
        for layer, below, state in zip([*self.hidden, self.out], [x, *states], [*states, target], strict=True):
            z, slope = layer(below), 1.0
            if layer is not self.out:
                z = self.act(z)
                slope = 1 - z.square() if isinstance(self.act, nn.Tanh) else (z > 0).to(z.dtype)
            plain.append(state - z)
            sloped.append(plain[-1] * slope)
        return plain, sloped

    def settled(self, x: Tensor, target: Tensor) -> list[Tensor]:
        """The states after their steps."""
        states, h = [], x
        for layer in self.hidden:
            h = self.act(layer(h))
            states.append(h)
        weights = [layer.get_parameter("weight") for layer in [*self.hidden, self.out]]
        for _ in range(self.settling):
            plain, sloped = self.errors(x, states, target)
            slopes = [e - up @ W for e, up, W in zip(plain, sloped[1:], weights[1:], strict=False)]
            states = [s - self.rate * slope for s, slope in zip(states, slopes, strict=True)]
        return states

    @torch.no_grad()
    def update(self, x: Tensor, y: Tensor) -> Tensor:
        """Write each layer's step into its ``.grad``; returns E at the forward pass, over the batch's size."""
        target = F.one_hot(y, self.K).to(x.dtype)
        states = self.settled(x, target)
        _, sloped = self.errors(x, states, target)
        for layer, below, e in zip([*self.hidden, self.out], [x, *states], sloped, strict=True):
            layer.get_parameter("weight").grad = -e.T @ below / len(x)
            layer.get_parameter("bias").grad = -e.mean(0)
        return (target - self.logits(x)[0]).square().sum() / (2 * len(x))
