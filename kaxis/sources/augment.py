"""Augmentation of whole batches on the device, its random numbers drawn per epoch on the CPU.

So the images of a (set, seed, epoch) are the same for every learner, stack and job count, and do not hang on the
device. The paper names crop with padding 4, flip, colour jitter and Cutout at 32 px; their strengths, and everything at
other sizes, are ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kaxis.streams import stream

__all__ = ["augment", "draws", "normalised"]

JITTER, HUE, GRAYSCALE = 0.4, 0.1, 0.2
"""Brightness, contrast and saturation by up to 40 %, hue by up to a tenth of the circle; grey with probability .2
(ASGE's values).
"""

COLUMNS = ("top", "left", "flip", "brightness", "contrast", "saturation", "hue", "grey", "cut_row", "cut_column")
LUMA = (0.299, 0.587, 0.114)
TO_YIQ = [list(LUMA), [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]]
FROM_YIQ = np.linalg.inv(np.array(TO_YIQ)).tolist()


def draws(seed: int, member: int, epoch: int, n: int) -> NDArray[np.float32]:
    """Numbers in [0, 1) for each image of one epoch, in its order, shape (n, len(COLUMNS)).

    The same whatever is switched on, so that leaving out one kind of augmentation changes nothing else.
    """
    return stream(seed, f"augment/{member}/{epoch}").random((n, len(COLUMNS)), dtype=np.float32)


def augment(x_BSSC: Tensor, u_BF: Tensor, kinds: Sequence[str], mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Augmented, normalised images.

    Parameters
    ----------
    x_BSSC : Tensor of uint8, shape (B, S, S, 3)
    u_BF : Tensor, shape (B, len(COLUMNS))
        From `draws`.
    kinds : sequence of str
        Out of `kaxis.spec.training.AUGMENTATIONS`.
    mean, std : sequence of float
        Of each channel.

    Returns
    -------
    Tensor of float32, shape (B, 3, S, S), channels last in memory
        Crop shifts by up to S / 8 with black borders (4 px at 32), Cutout blanks a square of S / 4 (8 px at 32) around
        any pixel.
    """
    S = x_BSSC.shape[1]
    u = dict(zip(COLUMNS, u_BF.unbind(1), strict=True))
    ahead = torch.arange(S, device=x_BSSC.device)
    x = x_BSSC
    if "crop" in kinds or "flip" in kinds:
        pad = max(1, S // 8) if "crop" in kinds else 0
        rows = ahead + _integers(u["top"], 2 * pad + 1)[:, None] - pad
        columns = ahead + _integers(u["left"], 2 * pad + 1)[:, None] - pad
        if "flip" in kinds:
            columns = torch.where((u["flip"] < 0.5)[:, None], columns.flip(1), columns)
        image = torch.arange(len(x), device=x.device)[:, None, None]
        x = x[image, rows.clamp(0, S - 1)[:, :, None], columns.clamp(0, S - 1)[:, None, :]]
        inside = ((rows >= 0) & (rows < S))[:, :, None] & ((columns >= 0) & (columns < S))[:, None, :]
        x = x * inside[..., None]
    x = x.float().div_(255)
    if "jitter" in kinds or "grayscale" in kinds:
        x = _coloured(x, u, kinds)
    x = (x - x.new_tensor(mean)).div_(x.new_tensor(std))
    if "cutout" in kinds:
        side = max(1, S // 4)
        first = [_integers(u[name], S)[:, None] - side // 2 for name in ("cut_row", "cut_column")]
        hit = [(ahead >= start) & (ahead < start + side) for start in first]
        x = x.masked_fill_((hit[0][:, :, None] & hit[1][:, None, :])[..., None], 0.0)
    return x.permute(0, 3, 1, 2)


def normalised(x_BSSC: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Images as they are, normalised, shape (B, 3, S, S)."""
    x = x_BSSC.float().div_(255)
    return ((x - x.new_tensor(mean)).div_(x.new_tensor(std))).permute(0, 3, 1, 2)


def _integers(u: Tensor, n: int) -> Tensor:
    return (u * n).long().clamp_(max=n - 1)


def _coloured(x_BSSC: Tensor, u: dict[str, Tensor], kinds: Sequence[str]) -> Tensor:
    """Brightness, contrast, saturation, hue and grey as one 3 x 3 matrix and one offset an image.

    Saturation blends with the grey image, contrast with its mean, hue turns the plane across the grey axis (in YIQ, so
    that the whole is linear; ours). Clipped to 0 .. 1 once, at the end.
    """
    luma = x_BSSC.new_tensor(LUMA)
    eye, grey = torch.eye(3, device=luma.device), torch.ones(3, 1, device=luma.device) * luma
    one = torch.ones_like(u["grey"])
    bright = contrast = saturation = one
    turn = 0 * one
    if "jitter" in kinds:
        bright, contrast, saturation = (1 + JITTER * (2 * u[k] - 1) for k in ("brightness", "contrast", "saturation"))
        turn = 2 * math.pi * HUE * (2 * u["hue"] - 1)
    if "grayscale" in kinds:
        saturation = torch.where(u["grey"] < GRAYSCALE, 0 * one, saturation)
    cos, sin, zero = turn.cos(), turn.sin(), 0 * one
    spin = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], 1).view(-1, 3, 3)
    hue = luma.new_tensor(FROM_YIQ) @ spin @ luma.new_tensor(TO_YIQ)
    matrix = hue @ (saturation[:, None, None] * eye + (1 - saturation)[:, None, None] * grey)
    matrix = (bright * contrast)[:, None, None] * matrix
    mean = (x_BSSC.mean((1, 2)) * luma).sum(1)
    offset = (1 - contrast) * bright * mean
    B, S, _, _ = x_BSSC.shape
    out = torch.baddbmm(offset[:, None, None], x_BSSC.view(B, S * S, 3), matrix.transpose(1, 2))
    return out.clamp_(0, 1).view_as(x_BSSC)
