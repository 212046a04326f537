"""Greedy layerwise training (Belilovsky et al. 2019): one layer after another, each below an auxiliary net of its own.

The training's steps are shared out evenly. In its share a layer and its auxiliary net learn by cross-entropy, those
below are fixed. The last auxiliary net predicts.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kaxis.nets.start import Start

__all__ = ["Layerwise"]


class Layerwise(nn.Module):
    """The rule on an MLP or a conv net.

    Parameters
    ----------
    start : Start
    auxiliary : float
        Hidden layers of an auxiliary net: 0, 1 or 2 in their paper.
    units : float
        Of each of these (ours; theirs are convolutions as wide as the layer).
    """

    done: Tensor

    def __init__(self, start: Start, *, auxiliary: float = 1.0, units: float = 128.0) -> None:
        super().__init__()
        every, self.steps, self.act = range(start.depth), max(start.steps, start.depth), start.nonlinearity
        self.hidden = nn.ModuleList(start.hidden(i) for i in every)
        self.ups = nn.ModuleList(start.up(i) for i in every)
        self.heads = nn.ModuleList()
        for i in every:
            sizes = [start.features(i), *[int(units)] * int(auxiliary), start.K]
            parts: list[nn.Module] = [start.read(i)]
            for j, (n, m) in enumerate(pairwise(sizes)):
                parts += [start.linear(f"auxiliary/{i}/{j}", n, m), nn.ReLU()]
            self.heads.append(nn.Sequential(*parts[:-1]))
        self.register_buffer("done", torch.zeros((), dtype=torch.int64, device=start.device))

    def heads_of(self, x: Tensor, last: int) -> Tensor:
        """Logits of layer `last`; nothing reaches those below it."""
        for i in range(last + 1):
            a = self.act(self.hidden[i](x))
            x = self.ups[i](a.detach())
        out: Tensor = self.heads[last](a)
        return out

    def losses(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Of every layer, whichever's turn it is."""
        return {str(i): F.cross_entropy(self.heads_of(x, i), y) for i in range(len(self.heads))}

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        turn = min(int(self.done) * len(self.heads) // self.steps, len(self.heads) - 1)
        self.done += 1
        return F.cross_entropy(self.heads_of(x, turn), y)

    def logits(self, x: Tensor) -> list[Tensor]:
        return [self.heads_of(x, len(self.heads) - 1)]

    def groups(self) -> list[list[nn.Parameter]]:
        return [[*a.parameters(), *b.parameters()] for a, b in zip(self.hidden, self.heads, strict=True)]
