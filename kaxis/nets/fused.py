"""A conv layer and what lies above it, each as one operation with one pass back.

The plain form (`VGG.activation`, `head`, `onward`) goes operation by operation, and autograd then reads and writes the
largest maps of a net a dozen times more. Here a layer's ReLU is in place, its goodness and pooling come back in one
pass, and a bias's gradient is a sum by itself (in oneDNN's kernel it costs a quarter of the whole). Same arithmetic,
other order of some sums: equal to rounding, and the tests hold one form against the other.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

__all__ = ["kept", "layer", "linear"]

Gradient = Tensor | None


def layer(
    x_BCSS: Tensor,
    W: Tensor,
    b: Tensor,
    *,
    head: int,
    squared: bool,
    pool: bool,
    tanh: bool = False,
    back: Tensor | None = None,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """a = relu(W * x + b) by a 3 x 3 convolution, with two means of it.

    Parameters
    ----------
    x_BCSS : Tensor
        Channels last in memory, in the precision of `W` and `b`.
    W, b : Tensor
    head : int
        Side of the grid that a, or its square, is averaged to for a head: a divisor of S; 0 for no head.
    squared : bool
        Whether the head averages squares.
    pool : bool
        Also average over 2 x 2 squares.
    tanh : bool
        Instead of the rectifier.
    back : Tensor, optional
        What the gradient on `x_BCSS` goes back through in the place of `W` (feedback alignment).

    Returns
    -------
    a_BCSS : Tensor
    g_BCGG : Tensor of float32, or None without a head
    p_BCHH : Tensor, or None without `pool`

    Examples
    --------
    >>> x, W = torch.tensor([[[[-1.0, 2.0], [3.0, 5.0]]]]), torch.zeros(1, 1, 3, 3)
    >>> W[0, 0, 1, 1] = 1
    >>> a, g, p = layer(x, W, torch.zeros(1), head=1, squared=True, pool=True)
    >>> a.flatten().tolist(), g.item(), p.item()
    ([0.0, 2.0, 3.0, 5.0], 9.5, 2.5)
    """
    a, g, p = _Layer.apply(x_BCSS, W, b, head, squared, pool, tanh, back)
    return a, g, p


def linear(x_BG: Tensor, W: Tensor, b: Tensor, back: Tensor) -> Tensor:
    """A linear layer whose gradient on `x_BG` goes back through other weights than `W` (feedback alignment).

    Examples
    --------
    >>> x = torch.ones(1, 2, requires_grad=True)
    >>> linear(x, torch.ones(1, 2), torch.zeros(1), torch.tensor([[3.0, 4.0]])).backward()
    >>> x.grad.tolist()
    [[3.0, 4.0]]
    """
    z: Tensor = _Linear.apply(x_BG, W, b, back)
    return z


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, W: Tensor, b: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(x, back)
        return F.linear(x, W, b)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dz: Tensor) -> tuple[Gradient, ...]:
        x, back = ctx.saved_tensors
        dW = dz.T @ x if ctx.needs_input_grad[1] else None
        return dz @ back, dW, dz.sum(0) if ctx.needs_input_grad[2] else None, None


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        W: Tensor,
        b: Tensor,
        head: int,
        squared: bool,
        pool: bool,
        tanh: bool,
        back: Tensor | None,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        z = torch.conv2d(x, W, b, padding=1)
        a = z.tanh_() if tanh else z.relu_()
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, W if back is None else back, a)
        ctx.squared, ctx.tanh = squared, tanh
        g = p = None
        if head:
            wide = a.float()
            g = F.avg_pool2d(wide * wide if squared else wide, a.shape[2] // head)
        if pool:
            p = F.avg_pool2d(a, 2)
        return a, g, p

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, da: Gradient, dg: Gradient, dp: Gradient) -> tuple[Gradient, ...]:
        x, W, a = ctx.saved_tensors
        dh = (_through_tanh if ctx.tanh else _through_relu)(a, da, dg, dp, squared=ctx.squared)
        if dh is None:
            return (None,) * 8
        wanted = (ctx.needs_input_grad[0], ctx.needs_input_grad[1], False)
        dx, dW, _ = torch.ops.aten.convolution_backward(
            dh, x, W, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, wanted
        )
        return dx, dW, dh.sum((0, 2, 3)), None, None, None, None, None


def _through_relu(a: Tensor, da: Gradient, dg: Gradient, dp: Gradient, *, squared: bool) -> Gradient:
    if dp is not None:
        if da is None and dg is None:
            return _positive(dp / 4, a)
        up = _spread(dp / 4, a)
        da = up if da is None else up.add_(da)
    if dg is not None:
        each = dg / (a.shape[2] // dg.shape[2]) ** 2
        if squared:
            own = _times(2 * each, a.float()).to(a.dtype)
            if da is None:
                return own  # zero wherever ReLU is
        elif da is None:
            return _positive(each.to(a.dtype), a)
        else:
            own = _spread(each.to(a.dtype), a)
        da = own if da is None else own.add_(da)
    return None if da is None else torch.ops.aten.threshold_backward(da, a, 0)


def _through_tanh(a: Tensor, da: Gradient, dg: Gradient, dp: Gradient, *, squared: bool) -> Gradient:
    if dp is not None:
        up = _spread(dp / 4, a)
        da = up if da is None else up.add_(da)
    if dg is not None:
        each = dg / (a.shape[2] // dg.shape[2]) ** 2
        own = _times(2 * each, a.float()).to(a.dtype) if squared else _spread(each.to(a.dtype), a)
        da = own if da is None else own.add_(da)
    return None if da is None else torch.ops.aten.tanh_backward(da, a)


def _bands(x_BCSS: Tensor, n: int) -> Tensor:
    """n bands of rows, as they lie in memory: shape (B, n, S / n, S C)."""
    return x_BCSS.permute(0, 2, 3, 1).flatten(2).unflatten(1, (n, -1))


def _rows(each_BCNN: Tensor, side: int) -> Tensor:
    """One row for each of n bands, shape (B, n, 1, S C): long stretches of memory are what makes the passes below
    fast.
    """
    B, C, n, _ = each_BCNN.shape
    cells_BNNC = each_BCNN.permute(0, 2, 3, 1)
    return cells_BNNC[:, :, :, None].expand(B, n, n, side // n, C).reshape(B, n, 1, -1)


def _new(like_BCSS: Tensor) -> Tensor:
    return torch.empty_like(like_BCSS, memory_format=torch.channels_last)


def _spread(each_BCNN: Tensor, a_BCSS: Tensor) -> Tensor:
    n, out = each_BCNN.shape[2], _new(a_BCSS)
    _bands(out, n).copy_(_rows(each_BCNN, a_BCSS.shape[2]))
    return out


def _times(each_BCNN: Tensor, a_BCSS: Tensor) -> Tensor:
    n, out = each_BCNN.shape[2], _new(a_BCSS)
    torch.mul(_bands(a_BCSS, n), _rows(each_BCNN, a_BCSS.shape[2]), out=_bands(out, n))
    return out


def _positive(each_BCNN: Tensor, a_BCSS: Tensor) -> Tensor:
    """Spread, where the activation is above zero."""
    n, out = each_BCNN.shape[2], _new(a_BCSS)
    a, rows = _bands(a_BCSS, n), _rows(each_BCNN, a_BCSS.shape[2])
    torch.ops.aten.threshold_backward.grad_input(rows.expand_as(a), a, 0, grad_input=_bands(out, n))
    return out


def kept(like: Tensor, keep: float, generator: torch.Generator) -> Tensor:
    """A dropout mask: 1 / `keep` where 16 random bits say so, else 0; `keep` to the nearest of 65,536 parts.

    Parameters
    ----------
    like : Tensor
        Of shape (B, C, S, S), channels last in memory, or (B, C).
    keep : float
    generator : torch.Generator
        On the device of `like`.

    Examples
    --------
    >>> mask = kept(torch.ones(1000, 1000), 0.75, torch.Generator().manual_seed(0))
    >>> round(mask.mean().item(), 2), mask.unique().tolist()
    (1.0, [0.0, 1.3333333730697632])
    """
    n, share = like.numel(), min(max(round(keep * 2**16), 1), 2**16 - 1)
    words = torch.empty((n + 3) // 4, dtype=torch.int64, device=like.device)
    bits = words.random_(-(2**63), None, generator=generator).view(torch.int16)[:n]
    flat = torch.empty(n, dtype=like.dtype, device=like.device)
    torch.lt(bits, share - 2**15, out=flat)
    return flat.div_(share / 2**16).view(like.movedim(1, -1).shape).movedim(-1, 1)
