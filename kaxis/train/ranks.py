"""Processes that ``torchrun`` started, which train one net together: each computes parts of every batch, all step
alike.

Gradients are gathered and added in the order of the parts, so that W ranks give what one process gives with as many
parts (``accumulate``), bit for bit on a CPU. Not DistributedDataParallel: its reducer assumes one forward and one
backward pass, and a local learner has one a layer.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from kaxis.errors import KaxisError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["add_up", "agreed", "check_device", "check_same", "count", "flat", "give_back", "rank", "tell", "told"]


def count() -> int:
    """How many there are; 1 without torchrun."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def rank() -> int:
    """Which one this is."""
    return int(os.environ["RANK"]) if count() > 1 else 0


def check_device(device: str) -> None:
    """Raise `KaxisError` for a device that ranks cannot have: one GPU for all, or fewer than there are ranks here."""
    if count() == 1 or device == "cpu":
        return
    if ":" in device:
        raise KaxisError(f"torchrun: --device {device} names one GPU for all ranks; say cuda, each takes its own")
    import torch

    if torch.cuda.is_available() and not _gpu_each():
        ranks, gpus = os.environ["LOCAL_WORLD_SIZE"], torch.cuda.device_count()
        raise KaxisError(f"torchrun: {ranks} ranks and {gpus} GPUs here; start as many, or say --device cpu")


def _gpu_each() -> bool:
    """Whether every rank of this machine has a GPU of its own: all of them answer alike."""
    import torch

    return torch.cuda.is_available() and torch.cuda.device_count() >= int(os.environ["LOCAL_WORLD_SIZE"])


PATIENCE = timedelta(days=7)
"""That ranks have with one another: the first may wait for another run's cells, the others for it."""


@cache
def _together() -> Any:
    """torch.distributed, with all ranks met."""
    import torch
    import torch.distributed as dist

    gpu = _gpu_each()
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo", timeout=PATIENCE)
    atexit.register(dist.destroy_process_group)  # left to the interpreter's end, its threads abort the process at times
    return dist


def tell(what: object) -> None:
    """Say something to the other ranks, which wait for it in `told`."""
    _together().broadcast_object_list([what], src=0)


def told() -> Any:
    """What the first rank says next."""
    said = [None]
    _together().broadcast_object_list(said, src=0)
    return said[0]


def agreed(asked: bool) -> bool:
    """Whether any rank was asked, so that all of them end at the same step."""
    if count() == 1:
        return asked
    import torch

    flag = torch.tensor(float(asked))
    _together().all_reduce(flag, op=_together().ReduceOp.MAX)
    return bool(flag)


def check_same(number: int, what: str) -> None:
    """Raise `KaxisError` where the ranks do not start alike, as on disks that are not one."""
    if count() > 1:
        import torch

        all_of = [torch.zeros((), dtype=torch.int64) for _ in range(count())]
        _together().all_gather(all_of, torch.tensor(number))
        if len(seen := {int(n) for n in all_of}) > 1:
            raise KaxisError(f"torchrun: ranks begin at {what} {sorted(seen)}; they must see one store", exit_code=1)


def add_up(grads: Sequence[Tensor], sums: Tensor | None) -> Tensor:
    """The ranks' gradients, in memory's order in one vector, added one after the other to those of earlier parts."""
    import torch

    own = torch.cat([flat(g) for g in grads])
    parts = [torch.empty_like(own) for _ in range(count())]
    _together().all_gather(parts, own)
    for part in parts:
        sums = part if sums is None else sums.add_(part)
    assert sums is not None
    return sums


def give_back(sums: Tensor, grads: Sequence[Tensor]) -> None:
    """Put a vector of `add_up` where the gradients are, each in its layout, by which a norm is summed."""
    for grad, part in zip(grads, sums.split([g.numel() for g in grads]), strict=True):
        flat(grad).copy_(part)


def flat(x: Tensor) -> Tensor:
    """A dense tensor as it lies in memory."""
    return x.as_strided((x.numel(),), (1,))
