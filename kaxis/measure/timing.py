"""What a machine shows: seconds of training steps and predictions, and on a GPU the memory that was taken."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from kaxis.errors import out_of_memory
from kaxis.measure.subject import Subject
from kaxis.train.precision import cpu_matmul, exact_gpu, one_thread, product_rate, reuse_memory

__all__ = ["Timing", "rate", "time_steps"]

T = TypeVar("T")
WARM_UP, PREDICTIONS = 2, 3


@dataclass
class Timing:
    """Seconds of each step, and of each prediction of `images` images; on a GPU peak bytes of a conv net's steps."""

    steps: list[float] = field(default_factory=list)
    predictions: list[float] = field(default_factory=list)
    images: int = 1
    allocated: int | None = None
    reserved: int | None = None
    failed: str = ""

    def join(self, other: Timing) -> Timing:
        """Two passes as one: all their times, their larger peaks, the first failure."""
        return Timing(
            self.steps + other.steps,
            self.predictions + other.predictions,
            max(self.images, other.images),
            max(filter(None, (self.allocated, other.allocated)), default=None),
            max(filter(None, (self.reserved, other.reserved)), default=None),
            self.failed or other.failed,
        )


def time_steps(subject: Subject, device: str, steps: int) -> Timing:
    """Time `steps` steps and a few predictions after warming up; on a GPU in a fresh process, whose peaks are its own.

    What does not fit into memory, or ends its process, says so in ``failed``.
    """
    try:
        return _apart(_visit, subject, device, steps) if device == "cuda" else _visit(subject, device, steps)
    except BrokenProcessPool:
        return Timing(failed="its process ended early")


def _apart(run: Callable[..., T], *arguments: object) -> T:
    """In a fresh process, with whose end all that it has of a GPU's memory is free."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(run, *arguments).result()


def rate(device: str, precision: str) -> float:
    """FLOP/s of large products on the device (one core of a CPU), as the trainer multiplies."""
    return _apart(_rate, device, precision) if device == "cuda" else _rate(device, precision)


def _rate(device: str, precision: str) -> float:
    with _ready(device):
        return product_rate(device, torch.bfloat16 if precision == "bfloat16" else torch.float32)[0]


def _visit(subject: Subject, device: str, steps: int) -> Timing:
    seen = Timing()
    try:
        with _ready(device):
            stack = subject.stack(device, steps=WARM_UP + steps)
            batches = stack.batches.draw(0)
            for _ in range(WARM_UP):
                stack.step(next(batches))
            if device == "cuda":
                torch.cuda.synchronize()
                torch.cuda.reset_peak_memory_stats()
            seen.steps = [_seconds(device, lambda: stack.step(next(batches))) for _ in range(steps)]
            if device == "cuda" and subject.conv:  # an MLP's step is a graph, replayed without allocating anything
                seen.allocated, seen.reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
            seen.images = sum(len(labels[0]) for _, labels in stack.evaluate("test"))
            if device == "cuda":
                torch.cuda.synchronize()
            seen.predictions = [_seconds(device, lambda: list(stack.evaluate("test"))) for _ in range(PREDICTIONS)]
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        return Timing(failed="out of memory")
    return seen


@contextmanager
def _ready(device: str) -> Iterator[None]:
    """Settings of the trainer's own processes."""
    if device == "cuda":
        with exact_gpu():
            yield
    else:
        reuse_memory()
        with one_thread(), cpu_matmul():
            yield


def _seconds(device: str, run: Any) -> float:
    started = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started
