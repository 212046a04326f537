"""What one training step and one prediction cost: memory and arithmetic from shapes alone, time and memory on the machine."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from kaxis.measure.ledger import Ledger
from kaxis.measure.subject import Subject
from kaxis.train.precision import cpu_matmul, one_thread

__all__ = ["Cost", "Visit", "predict", "visit"]


def _baddbmm(onto: Any, a: Any, b: Any, out_shape: Any = None, **_: Any) -> int:
    return 2 * int(a[0]) * int(a[1]) * int(a[2]) * int(b[2])


IN_PLACE = {torch.ops.aten.baddbmm_: _baddbmm}
"""What torch counts only where it does not write in place."""

WARM_UP, PREDICTIONS = 2, 3


@dataclass(frozen=True)
class Cost:
    """What needs no clock.

    Parameters
    ----------
    split : dict of str to int
        Bytes at the peak of a step, by the kinds of `kaxis.measure.ledger.KINDS`.
    predict_bytes : int
        What a prediction of `predicted` images takes beside the parameters, at its peak.
    predicted : int
    flops_step, flops_predict : float
        Floating-point operations of products and convolutions an image (2 a multiply-add), as `torch.utils.flop_counter` counts them.
    """

    split: dict[str, int]
    predict_bytes: int
    predicted: int
    flops_step: float
    flops_predict: float

    @property
    def peak(self) -> int:
        return sum(self.split.values())


def predict(subject: Subject, *, real: bool = False) -> Cost:
    """Run the trainer's step under a ledger: on fake tensors for a conv net, which take no memory, no time and no device.

    Parameters
    ----------
    subject : Subject
    real : bool
        On real tensors instead. An MLP's step, which is short, always runs for real.
    """
    with ExitStack() as modes:
        modes.enter_context(one_thread())
        if subject.conv and not real:
            modes.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        stack = subject.stack("cpu", noise=False)
        ledger = modes.enter_context(Ledger())
        batches = stack.batches(0)
        kept = [t for n in range(len(stack.networks)) for t in stack.tensors(n).values()]
        ledger.mark("parameters", kept)
        trained = [p for o in _optimizers(stack) for g in o.param_groups for p in g["params"]]
        for p in trained:
            if p.grad is not None:
                ledger.mark("gradients", [p.grad])
            p.register_post_accumulate_grad_hook(lambda p: ledger.mark("gradients", [p.grad]))
        stack.step(next(batches))
        ledger.mark("optimizer", [v for o in _optimizers(stack) for s in o.state.values() for v in s.values()])
        ledger.rest()
        ledger.restart()
        stack.step(next(batches))
        split = ledger.split()
        # Counting keeps tensors alive that would be freed, so it has a step of its own.
        with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as step:
            stack.step(next(batches))
        ledger.rest()
        ledger.restart()
        with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as forward:
            chunks = [len(labels[0]) for _, labels in stack.evaluate("test")]
        flops = step.get_total_flops() / subject.batch
    return Cost(split, ledger.split()["temporaries"], chunks[0], flops, forward.get_total_flops() / sum(chunks))


def _optimizers(stack: Any) -> list[torch.optim.Optimizer]:
    return [o for own in stack.optimizers for o in own]


@dataclass
class Visit:
    """What a machine showed: seconds of each step and of each prediction of `predicted` images; on a GPU peak bytes."""

    steps: list[float] = field(default_factory=list)
    predictions: list[float] = field(default_factory=list)
    predicted: int = 1
    allocated: int | None = None
    reserved: int | None = None
    failed: str = ""

    def join(self, other: Visit) -> Visit:
        """Two visits as one: all their times, their larger peaks, the first failure."""
        return Visit(
            self.steps + other.steps,
            self.predictions + other.predictions,
            other.predicted,
            max(filter(None, (self.allocated, other.allocated)), default=None),
            max(filter(None, (self.reserved, other.reserved)), default=None),
            self.failed or other.failed,
        )


def visit(subject: Subject, device: str, steps: int) -> Visit:
    """Time `steps` steps and predictions after warming up; on a GPU in a fresh process, whose peaks are its own."""
    if device != "cuda":
        return _visit(subject, device, steps)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as fresh:
        return fresh.submit(_visit, subject, device, steps).result()


def _visit(subject: Subject, device: str, steps: int) -> Visit:
    seen = Visit()
    try:
        with _ready(device):
            stack = subject.stack(device)
            batches = stack.batches(0)
            for _ in range(WARM_UP):
                stack.step(next(batches))
            if device == "cuda":
                torch.cuda.synchronize()
                torch.cuda.reset_peak_memory_stats()
            seen.steps = [_seconds(device, lambda: stack.step(next(batches))) for _ in range(steps)]
            if device == "cuda":
                seen.allocated, seen.reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
            seen.predicted = sum(len(labels[0]) for _, labels in stack.evaluate("test"))
            seen.predictions = [_seconds(device, lambda: list(stack.evaluate("test"))) for _ in range(PREDICTIONS)]
    except torch.OutOfMemoryError:
        seen.failed = "out of memory"
    return seen


@contextmanager
def _ready(device: str) -> Iterator[None]:
    if device == "cuda":
        torch.backends.cuda.matmul.fp32_precision = "ieee"
        torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
        yield
    else:
        with one_thread(), cpu_matmul():
            yield


def _seconds(device: str, run: Any) -> float:
    started = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started
