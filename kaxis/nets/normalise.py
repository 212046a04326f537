"""Normalisation between an MLP's layers, over features (dimension 1), forward and backward, without trained
parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kaxis.nets.draws import sizes

__all__ = ["backward", "forward"]

EPS = 1e-5  # torch.nn.LayerNorm's default


def forward(kind: str, a_EHB: Tensor, K: int) -> tuple[Tensor, Tensor | None]:
    """The normalised activation and 1 / its spread, shape (E, 1, B); the activation itself for ``none``.

    ``groupnorm`` is a layernorm of each of K groups of features, its spreads of shape (E, K, B).
    """
    if kind == "none":
        return a_EHB, None
    if kind == "groupnorm":
        parts = [_forward("layernorm", part, 2) for part in _blocks(a_EHB, K)]
        return torch.cat([h.flatten(1, 2) for h, _ in parts], 1), torch.cat([r[:, :, 0] for _, r in parts], 1)
    return _forward(kind, a_EHB, 1)


def _forward(kind: str, a: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    centred = a - a.mean(dim, keepdim=True) if kind == "layernorm" else a
    rstd = (centred.square().mean(dim, keepdim=True) + EPS).rsqrt()
    return centred * rstd, rstd


def backward(kind: str, dh_EHB: Tensor, h_EHB: Tensor, rstd_E1B: Tensor | None) -> Tensor:
    """The gradient on the activation from that on its normalised form `h_EHB`."""
    if rstd_E1B is None:
        return dh_EHB
    if kind == "groupnorm":
        K = rstd_E1B.shape[1]
        parts, start = [], 0
        for dh, h in zip(_blocks(dh_EHB, K), _blocks(h_EHB, K), strict=True):
            rstd = rstd_E1B[:, start : start + dh.shape[1], None]
            parts.append(_backward("layernorm", dh, h, rstd, 2).flatten(1, 2))
            start += dh.shape[1]
        return torch.cat(parts, 1)
    return _backward(kind, dh_EHB, h_EHB, rstd_E1B, 1)


def _backward(kind: str, dh: Tensor, h: Tensor, rstd: Tensor, dim: int) -> Tensor:
    out = dh - h * (dh * h).mean(dim, keepdim=True)
    if kind == "layernorm":
        out = out - dh.mean(dim, keepdim=True)
    return out * rstd


def _blocks(a_EHB: Tensor, K: int) -> list[Tensor]:
    """Groups of one size side by side, each block of shape (E, groups, size, B): two, where K does not divide H."""
    of = sizes(K, a_EHB.shape[1])
    large = of.count(of[0])
    split = large * of[0]
    blocks = [a_EHB[:, :split].unflatten(1, (large, -1))]
    return blocks + ([a_EHB[:, split:].unflatten(1, (K - large, -1))] if large < K else [])
