"""Which CPU library multiplies float32 matrices, and the proof that it still computes in float32."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from threadpoolctl import threadpool_limits

__all__ = ["cpu_matmul", "exact_gpu", "float32_error", "one_thread", "product_rate", "reuse_memory"]


def float32_error() -> float:
    """Relative error of a batched float32 product against float64."""
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 128, 128, generator=g), torch.randn(2, 128, 256, generator=g)
    exact = a.double() @ b.double()
    return float(((a @ b) - exact).norm() / exact.norm())


SMALL = 16**3
"""Multiplications of a product up to which torch asks the whole stack's size whether oneDNN or MKL takes it."""


@contextmanager
def cpu_matmul(smallest: int | None = None) -> Iterator[str]:
    """Route float32 products to oneDNN where that keeps float32; yields the name of the library for the record.

    The switch is spelt "bf16", which permits oneDNN to round to bfloat16. On a CPU without AMX it computes in float32
    all the same, and is faster than MKL (by 2 x on some CPUs, by a few per cent on others). So it is switched on only
    where AMX is absent and a comparison with float64 shows that nothing was rounded; and not where the smallest product
    of a network has `SMALL` multiplications or fewer: alone it would be another library's than beside other networks.
    """
    setting = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = setting.fp32_precision
    name = "mkl"
    small = smallest is not None and smallest <= SMALL
    if torch.backends.mkldnn.is_available() and not small and not torch.cpu._is_amx_tile_supported():
        setting.fp32_precision = "bf16"
        if float32_error() < 1e-6:
            name = "onednn"
        else:
            setting.fp32_precision = before
    try:
        yield name
    finally:
        setting.fp32_precision = before


@contextmanager
def exact_gpu() -> Iterator[None]:
    """On a GPU float32 products are of float32 (no TF32), and cuDNN takes a kernel that gives the same bits each time,
    so that a training that is gone on with ends as if it had not been cut.
    """
    cudnn = torch.backends.cudnn
    products: list[Any] = [torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn]  # type: ignore[attr-defined]
    before, chosen = [each.fp32_precision for each in products], cudnn.deterministic
    try:
        for each in products:
            each.fp32_precision = "ieee"
        cudnn.deterministic = True
        yield
    finally:
        for each, was in zip(products, before, strict=True):
            each.fp32_precision = was
        cudnn.deterministic = chosen


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch and BLAS: a process a core is faster here, and no sum's order hangs on the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def product_rate(device: str, dtype: torch.dtype = torch.float32) -> tuple[float, str]:
    """FLOP/s of large products on one core, or on the GPU, measured in a fraction of a second; and which it was."""
    where = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    n, times = (8192, 4) if where == "cuda" else (1024, 1)  # long enough that starting a product does not count
    with one_thread():
        a = torch.randn(n, n, device=where, dtype=dtype)
        b, best = a.t().contiguous(), 0.0
        for _ in range(5):
            started = time.perf_counter()
            for _ in range(times):
                c = a @ b
            c[0, 0].item()
            best = max(best, times * 2 * n**3 / (time.perf_counter() - started))
    return best, where


def reuse_memory() -> None:
    """Tell glibc to keep freed memory for the next step; asking the system for it anew costs a conv net up to a third
    of its time.
    """
    import ctypes

    with suppress(OSError, AttributeError):  # another C library
        libc = ctypes.CDLL(None)
        M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
