"""Normalisation between layers, over features (dimension 1), forward and backward, without trained parameters."""

from __future__ import annotations

from torch import Tensor

__all__ = ["backward", "forward"]

EPS = 1e-5  # torch.nn.LayerNorm's default


def forward(kind: str, a_EHB: Tensor) -> tuple[Tensor, Tensor | None]:
    """The normalised activation and 1 / its spread, shape (E, 1, B); the activation itself for ``none``."""
    if kind == "none":
        return a_EHB, None
    centred = a_EHB - a_EHB.mean(1, keepdim=True) if kind == "layernorm" else a_EHB
    rstd = (centred.square().mean(1, keepdim=True) + EPS).rsqrt()
    return centred * rstd, rstd


def backward(kind: str, dh_EHB: Tensor, h_EHB: Tensor, rstd_E1B: Tensor | None) -> Tensor:
    """The gradient on the activation from that on its normalised form `h_EHB`."""
    if rstd_E1B is None:
        return dh_EHB
    out = dh_EHB - h_EHB * (dh_EHB * h_EHB).mean(1, keepdim=True)
    if kind == "layernorm":
        out = out - dh_EHB.mean(1, keepdim=True)
    return out * rstd_E1B
