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
        self.act = torch.tanh if stack.tanh else F.relu
        self.K, self.back = stack.K, {int(k[1:]): B[index] for k, B in stack.p.items() if k[0] == "B"}
        if self.learner.readout != "learned":
            self.heads.requires_grad_(False)
        if self.learner.bias == "no":
            for head in self.heads.values():
                head.bias.requires_grad_(False)
        if self.learner.gradient == "none":
            self.layers.requires_grad_(False)
        if self.learner.temperature == "learned":
            self.alpha = nn.ParameterList(torch.zeros((), dtype=torch.float64) for _ in self.headed)

    def logits(self, x: torch.Tensor) -> list[torch.Tensor]:
        out = []
        for layer, linear in enumerate(self.layers):
            if self.learner.gradient == "local":
                x = x.detach()
            a = self.act(linear(x))
            if layer in self.headed:
                out.append(self.head(layer, a))
            x = self.onward(a)
        return out

    def head(self, layer: int, a: torch.Tensor) -> torch.Tensor:
        g = a**2 if self.learner.power == "2" else a
        if self.learner.temperature == "learned":
            low, high = self.learner.t_min, self.learner.t_max
            g = g / (low + (high - low) * torch.sigmoid(self.alpha[self.headed.index(layer)]))
        return self.heads[str(layer)](g)

    def onward(self, a: torch.Tensor) -> torch.Tensor:
        norm, n = self.learner.norm, a.shape[-1]
        if norm == "layernorm":
            return F.layer_norm(a, (n,))
        if norm in ("rmsnorm", "rmsnorm_sample"):
            return F.rms_norm(a, (n,), eps=1e-5)
        if norm == "groupnorm":
            return torch.cat([F.layer_norm(part, part.shape[-1:]) for part in torch.tensor_split(a, self.K, -1)], -1)
        return a

    def backward(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """Write every ``.grad``, of what feedback alignment sends back too."""
        if self.learner.gradient in ("fa", "usf", "dfa", "sdfa", "drtp"):
            self._feedback(x, y)
        else:
            self.loss(x, y).backward()

    def _feedback(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """One layer at a time, autograd inside a layer alone."""
        kind, last, steps = self.learner.gradient, len(self.layers) - 1, []
        for linear in self.layers:
            h = x.detach().requires_grad_()
            a = self.act(linear(h))
            x = self.onward(a)
            steps.append((h, a, x))
        a = steps[-1][1].detach().requires_grad_()
        logits = self.head(last, a)
        F.cross_entropy(logits, y).backward()
        target = F.one_hot(y, self.K).double()
        e = (torch.softmax(logits.detach(), 1) - target) / len(y)
        if kind in ("dfa", "sdfa", "drtp"):
            sent = {"dfa": e, "sdfa": torch.sign(e) / len(y), "drtp": target / len(y)}[kind]
            for layer, (_, a, _) in enumerate(steps):
                a.backward(sent @ self.back[layer])
            return

        def signs(W: torch.Tensor) -> torch.Tensor:
            return W.detach().sign() * (2 / sum(W.shape)) ** 0.5

        B = signs(self.heads[str(last)].weight) if kind == "usf" else self.back[last + 1]
        d = e @ B * (2 * steps[-1][1].detach() if self.learner.power == "2" else 1)
        for layer in reversed(range(last + 1)):
            linear = self.layers[layer]
            z = linear(steps[layer][0].detach())
            (seen,) = torch.autograd.grad(self.act(z), z, d)
            linear.weight.grad, linear.bias.grad = seen.T @ steps[layer][0].detach(), seen.sum(0)
            if layer:
                up = seen @ (signs(linear.weight) if kind == "usf" else self.back[layer])
                _, a_below, h = steps[layer - 1]
                (d,) = torch.autograd.grad(h, a_below, up, retain_graph=True)

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
        for layer, head in self.heads.items():
            out |= {f"R{layer}": head.weight, f"c{layer}": head.bias}
        if self.learner.temperature == "learned":
            out |= {f"alpha{layer}": alpha for layer, alpha in zip(self.headed, self.alpha, strict=True)}
        return {name: p for name, p in out.items() if p.requires_grad}


def _linear(stack: MLPStack, weight: str, bias: str, layer: int, index: int) -> nn.Linear:
    W, b = stack.p[f"{weight}{layer}"][index], stack.p[f"{bias}{layer}"][index, :, 0]
    linear = nn.Linear(W.shape[1], W.shape[0], dtype=torch.float64)
    with torch.no_grad():
        linear.weight.copy_(W)
        linear.bias.copy_(b)
    return linear
