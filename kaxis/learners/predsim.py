"""Local similarity matching and prediction (Nokland & Eidnes 2019, arXiv 1901.06656).

Layer l: z = W h, a = relu(batchnorm(z)). Its loss is beta |S(V a) - S(Y)|^2 / B^2 + (1 - beta) CE(R a, y): V is a
linear map, on images a 3 x 3 convolution, S the matrix of centred cosines between samples, of maps by the standard
deviation of each channel over the pixels, Y the one-hot labels. Nothing reaches the layer below. A classifier above the
last layer, trained by itself, predicts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kaxis.nets.start import Start

__all__ = ["PredSim", "similarity"]


class PredSim(nn.Module):
    """The rule on an MLP or a conv net.

    Parameters
    ----------
    start : Start
    beta : float
        Share of the similarity loss.
    batchnorm : float
        1 for BatchNorm between a layer's weights and its nonlinearity, 0 for none.
    """

    def __init__(self, start: Start, *, beta: float = 0.99, batchnorm: float = 1.0) -> None:
        super().__init__()
        self.beta, self.K, every = beta, start.K, range(start.depth)
        self.act = start.nonlinearity
        self.hidden = nn.ModuleList(start.hidden(i) for i in every)
        self.conv = isinstance(self.hidden[0], nn.Conv2d)
        norm = nn.BatchNorm2d if self.conv else nn.BatchNorm1d
        self.norms = nn.ModuleList(norm(start.channels(i)) if batchnorm else nn.Identity() for i in every)
        self.maps = nn.ModuleList(_map(start.channels(i), self.conv) for i in every)
        self.reads = nn.ModuleList(start.read(i) for i in every)
        self.ups = nn.ModuleList(start.up(i) for i in every)
        self.heads = nn.ModuleList(start.linear(f"head/{i}", start.features(i), start.K) for i in every)
        for head in self.heads:
            nn.init.zeros_(head.get_parameter("weight"))
        self.out = start.linear("out", start.features(start.depth - 1), start.K)

    def activations(self, x: Tensor) -> list[Tensor]:
        out = []
        for layer, norm, up in zip(self.hidden, self.norms, self.ups, strict=True):
            out.append(self.act(norm(layer(x))))
            x = up(out[-1].detach())
        return out

    def losses(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        wanted, out = similarity(F.one_hot(y, self.K).to(x.dtype)), {}
        activations = self.activations(x)
        for i, a in enumerate(activations):
            alike = F.mse_loss(similarity(self.maps[i](a)), wanted)
            said = F.cross_entropy(self.heads[i](self.reads[i](a)), y)
            out[str(i)] = self.beta * alike + (1 - self.beta) * said
        out["out"] = F.cross_entropy(self.out(self.reads[-1](activations[-1].detach())), y)
        return out

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.stack(list(self.losses(x, y).values())).sum()

    def logits(self, x: Tensor) -> list[Tensor]:
        return [self.out(self.reads[-1](self.activations(x)[-1]))]

    def groups(self) -> list[list[nn.Parameter]]:
        layers = zip(self.hidden, self.norms, self.maps, self.heads, strict=True)
        return [*([p for part in layer for p in part.parameters()] for layer in layers), [*self.out.parameters()]]


def _map(n: int, conv: bool) -> nn.Module:
    return nn.Conv2d(n, n, 3, padding=1, bias=False) if conv else nn.Linear(n, n, bias=False)


def similarity(x: Tensor) -> Tensor:
    """Centred cosine between the samples of a batch (their ``similarity_matrix``): of maps (B, C, S, S) with more than
    three channels by each channel's standard deviation over the pixels.

    Examples
    --------
    >>> similarity(torch.tensor([[1.0, 0.0], [0.0, 1.0]])).round().tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    if x.dim() == 4:
        x = x.flatten(2).std(2) if x.shape[1] > 3 and x.shape[2] > 1 else x.flatten(1)
    centred = x - x.mean(1, keepdim=True)
    unit = centred / (centred.norm(dim=1, keepdim=True) + 1e-8)
    return (unit @ unit.T).clamp(-1, 1)
