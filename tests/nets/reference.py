"""Slow, plain PyTorch: one network, one `nn.Module`, autograd, batch-major. What the stacked trainer is compared
with.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from kaxis.nets.mlp import MLPStack


class PlainMLP(nn.Module):
    """One network of a stack, rebuilt from `nn.Linear` layers with the stack's weights."""

    def __init__(self, stack: MLPStack, index: int) -> None:
        super().__init__()
        self.learner, self.headed = stack.learner, list(stack.headed)
        self.layers = nn.ModuleList(_linear(stack, "W", "b", layer, index) for layer in range(stack.depth))
        self.heads = nn.ModuleDict({str(layer): _linear(stack, "R", "c", layer, index) for layer in self.headed})
        if self.learner.readout == "fixed":
            self.heads.requires_grad_(False)
        if self.learner.temperature == "learned":
            self.alpha = nn.ParameterList(torch.zeros((), dtype=torch.float64) for _ in self.headed)

    def logits(self, x: torch.Tensor) -> list[torch.Tensor]:
        out = []
        for layer, linear in enumerate(self.layers):
            if self.learner.gradient == "local":
                x = x.detach()
            a = F.relu(linear(x))
            if layer in self.headed:
                g = a**2 if self.learner.power == "2" else a
                if self.learner.temperature == "learned":
                    low, high = self.learner.t_min, self.learner.t_max
                    g = g / (low + (high - low) * torch.sigmoid(self.alpha[self.headed.index(layer)]))
                out.append(self.heads[str(layer)](g))
            norm = self.learner.norm
            if norm == "layernorm":
                a = F.layer_norm(a, a.shape[-1:])
            elif norm == "rmsnorm":
                a = F.rms_norm(a, a.shape[-1:], eps=1e-5)
            x = a
        return out

    def loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.stack([F.cross_entropy(z, y) for z in self.logits(x)]).sum()

    def layer_parameters(self, layer: int) -> list[nn.Parameter]:
        own = list(self.layers[layer].parameters())
        if layer in self.headed:
            own += [p for p in self.heads[str(layer)].parameters() if p.requires_grad]
            if self.learner.temperature == "learned":
                own.append(self.alpha[self.headed.index(layer)])
        return own

    def by_name(self) -> dict[str, nn.Parameter]:
        """Trained parameters under the stack's names."""
        out = {}
        for layer, linear in enumerate(self.layers):
            out |= {f"W{layer}": linear.weight, f"b{layer}": linear.bias}
        if self.learner.readout == "learned":
            for layer, head in self.heads.items():
                out |= {f"R{layer}": head.weight, f"c{layer}": head.bias}
        if self.learner.temperature == "learned":
            out |= {f"alpha{layer}": alpha for layer, alpha in zip(self.headed, self.alpha, strict=True)}
        return out


def _linear(stack: MLPStack, weight: str, bias: str, layer: int, index: int) -> nn.Linear:
    W, b = stack.p[f"{weight}{layer}"][index], stack.p[f"{bias}{layer}"][index, :, 0]
    linear = nn.Linear(W.shape[1], W.shape[0], dtype=torch.float64)
    with torch.no_grad():
        linear.weight.copy_(W)
        linear.bias.copy_(b)
    return linear
