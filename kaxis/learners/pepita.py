"""PEPITA: the error changes the input of a second forward pass (Dellaferrera & Kreiman 2022).

e = p - y with p the softmax of a first pass on x; the second is on x + B e, B fixed. A layer learns from the difference
between its activations, (h_l - h'_l) h'_{l-1}^T, the readout from e' h'^T, e' the error of the second pass.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kaxis.nets.start import Start

__all__ = ["Pepita"]


class Pepita(nn.Module):
    """The rule on an MLP.

    Parameters
    ----------
    start : Start
    scale : float
        Of B, which is uniform in +-scale sqrt(6 / inputs).
    first_error : float
        1 trains the readout on the first pass's error, as their paper has it; 0 on the second's, as their code has.
    """

    B: Tensor

    def __init__(self, start: Start, *, scale: float = 0.05, first_error: float = 0.0) -> None:
        super().__init__()
        self.first_error, self.act, self.K = first_error, start.nonlinearity, start.K
        self.hidden = nn.ModuleList(start.hidden(i) for i in range(start.depth))
        self.out = start.linear("out", start.width, start.K)
        uniform = 2 * torch.rand(start.inputs, start.K) - 1
        self.register_buffer("B", scale * (6 / start.inputs) ** 0.5 * uniform.to(start.device))

    def passes(self, x: Tensor) -> list[Tensor]:
        """Input and activations, lowest first."""
        out = [x]
        for layer in self.hidden:
            out.append(self.act(layer(out[-1])))
        return out

    def logits(self, x: Tensor) -> list[Tensor]:
        return [self.out(self.passes(x)[-1])]

    @torch.no_grad()
    def update(self, x: Tensor, y: Tensor) -> Tensor:
        """Write each parameter's step into its ``.grad``; returns the loss of the first pass."""
        target = F.one_hot(y, self.K).to(x.dtype)
        first = self.passes(x)
        logits = self.out(first[-1])
        error = logits.softmax(1) - target
        second = self.passes(x + error @ self.B.T)
        own = error if self.first_error else self.out(second[-1]).softmax(1) - target
        apart = [h - h2 for h, h2 in zip(first[1:], second[1:], strict=True)]
        for layer, d, below in zip([*self.hidden, self.out], [*apart, own], second, strict=True):
            layer.get_parameter("weight").grad = d.T @ below / len(x)
            layer.get_parameter("bias").grad = d.mean(0)
        return F.cross_entropy(logits, y)
