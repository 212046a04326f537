"""What one training step and one prediction cost, from shapes alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from kaxis.measure.subject import Subject
from kaxis.measure.tracker import Tracker
from kaxis.train.precision import one_thread

__all__ = ["Cost", "cost_of", "memory_of"]


def _baddbmm(onto: Any, a: Any, b: Any, out_shape: Any = None, **_: Any) -> int:
    return 2 * int(a[0]) * int(a[1]) * int(a[2]) * int(b[2])


IN_PLACE = {torch.ops.aten.baddbmm_: _baddbmm}
"""What torch counts only where it does not write in place."""


@dataclass(frozen=True)
class Cost:
    """What needs no clock.

    Parameters
    ----------
    split : dict of str to int
        Bytes at the peak of a step, by the kinds of `kaxis.measure.tracker.KINDS`.
    flops_step, flops_predict : float
        Floating-point operations of products and convolutions an image (2 a multiply-add), as
        `torch.utils.flop_counter` counts them.
    predict_bytes : float
        What predicting takes beside the networks at its peak, an image of a chunk.
    """

    split: dict[str, int]
    flops_step: float
    flops_predict: float
    predict_bytes: float

    @property
    def peak(self) -> int:
        return sum(self.split.values())


@contextmanager
def _stack(subject: Subject, real: bool) -> Iterator[Any]:
    """The subject's stack on fake tensors, which take no memory and no time; a rule's module, whose code may look at
    numbers, on real ones.
    """
    with one_thread():
        if real or subject.rule:
            yield subject.stack("cpu", steps=2, noise=False)
        else:
            with FakeTensorMode(allow_non_fake_inputs=True):
                yield subject.stack("cpu", steps=2, noise=False)


def memory_of(subject: Subject, *, real: bool = False) -> dict[str, int]:
    """Bytes at the peak of a training step, by `kaxis.measure.tracker.KINDS`.

    Parameters
    ----------
    subject : Subject
    real : bool
        On real tensors; by default fake ones, but for a rule.
    """
    with _stack(subject, real) as stack:
        batches = stack.batches.draw(0)
        # Copies, so that a batch is itself and no view of many that were drawn ahead.
        first, second = (tree_map_only(Tensor, torch.clone, next(batches)) for _ in range(2))
        with Tracker() as tracker:
            tracker.mark("parameters", (t for n in range(len(stack.networks)) for t in stack.tensors(n).values()))
            optimizers = [o for own in stack.optimizers for o in own]
            for p in (p for o in optimizers for g in o.param_groups for p in g["params"]):
                if p.grad is not None:
                    tracker.mark("gradients", [p.grad])
                p.register_post_accumulate_grad_hook(lambda p: tracker.mark("gradients", [p.grad]))
            stack.step(first)
            del first
            tracker.mark("optimizer", (v for o in optimizers for s in o.state.values() for v in s.values()))
            tracker.mark("activations", (t for t in tree_leaves(second) if isinstance(t, Tensor)))
            tracker.rest()
            tracker.restart()
            stack.step(second)
            return tracker.split()


def cost_of(subject: Subject, *, real: bool = False) -> Cost:
    """Memory and arithmetic of the trainer's step and of predicting.

    Parameters
    ----------
    subject : Subject
    real : bool
        As `memory_of`.
    """
    split = memory_of(subject, real=real)
    with _stack(subject, real) as stack:
        # Counting keeps tensors alive that would be freed, so it has a step of its own.
        with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as step:
            stack.step(next(stack.batches.draw(0)))
        flops = step.get_total_flops() / subject.batch
    with _stack(subject, real) as stack, Tracker() as tracker:
        tracker.mark("parameters", (t for n in range(len(stack.networks)) for t in stack.tensors(n).values()))
        tracker.restart()
        with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as forward:
            chunks = [len(labels[0]) for _, labels in stack.evaluate("test")]
        return Cost(split, flops, forward.get_total_flops() / sum(chunks), tracker.split()["temporaries"] / chunks[0])
