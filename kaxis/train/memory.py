"""How much memory a step takes, from the shapes alone, and what would fit."""

from __future__ import annotations

import os

import torch

from kaxis.nets.plan import cell_counts, layers
from kaxis.spec.cell import Cell
from kaxis.spec.learner import TableLearner
from kaxis.spec.net import VGGSpec
from kaxis.spec.training import ConvTraining

__all__ = ["activation_bytes", "free_bytes", "memory_advice"]


def activation_bytes(cell: Cell, size: int) -> int:
    """Predicted bytes of activations that one image keeps alive in a training step of a conv net.

    Per layer: input, activation, its power, what normalisation and dropout keep. Local learners hold one layer at a
    time, unless their losses are summed; global ones hold all, or with checkpointing the inputs of all and one whole.
    """
    net, training, learner = cell.net, cell.training, cell.algorithm
    assert isinstance(net, VGGSpec)
    assert isinstance(training, ConvTraining)
    assert isinstance(learner, TableLearner)
    plan = layers(net, size)
    whole = [4 * (p.inputs * p.side**2 + 4 * p.channels * p.side**2) for p in plan]
    inputs = [4 * p.inputs * p.side**2 for p in plan]
    if learner.gradient == "drtp" or (learner.gradient in ("local", "none") and training.local_step != "summed"):
        return max(whole)
    return sum(inputs) + max(whole) if training.activation_checkpointing else sum(whole)


def memory_advice(cell: Cell, device: str) -> str:
    """One line for a run that ran out of memory."""
    training, learner = cell.training, cell.algorithm
    failed = f"out of memory on {device} with batch_size = {training.batch_size}"
    if not isinstance(training, ConvTraining):
        return f"{failed}; run fewer jobs, or a smaller batch"
    if not isinstance(learner, TableLearner):  # what a rule keeps is its own affair
        return f"{failed}; run fewer jobs, or a smaller batch, or more parts than accumulate = {training.accumulate}"
    count = cell_counts(cell, cell.size)
    free = free_bytes(device) - 16 * (
        count["parameters"] + count["buffers"]
    )  # weights, gradients and AdamW's two moments
    each = activation_bytes(cell, cell.size)
    batch = training.batch_size
    most = batch // 2 if learner.batch_statistics else batch
    parts = [a for a in range(training.accumulate + 1, most + 1) if batch % a == 0 and training.local_step != "naive"]
    fits = next((a for a in parts if each * batch / a < 0.7 * free), None)
    advice = (
        f"accumulate = {fits} should fit" if fits else "take a smaller batch_size, width or activation_checkpointing"
    )
    return (
        f"{failed}, accumulate = {training.accumulate}; "
        f"about {each / 2**20:.0f} MiB of activations an image, {free / 2**30:.1f} GiB for them: {advice}"
    )


def free_bytes(device: str) -> int:
    """Bytes that a run alone on this machine or GPU could use; what the failed step still holds is counted as free."""
    if device == "cuda" and torch.cuda.is_available():
        return torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved()
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 2**32
