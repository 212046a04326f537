"""How much memory a step takes, from the shapes alone, and what would fit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch

from kaxis.nets.plan import conv_counts
from kaxis.sources.lookup import source_info

__all__ = ["activation_bytes", "free_bytes", "memory_advice"]


def activation_bytes(config: Mapping[str, Any], size: int) -> int:
    """Predicted bytes of activations that one image keeps alive in a training step of a conv net.

    Per layer: input, activation, its power, what normalisation and dropout keep. Local learners hold one layer at a
    time, unless their losses are summed; global ones hold all, or with checkpointing the inputs of all and one whole.
    """
    from kaxis.nets.plan import layers

    plan = layers(config["net"], size)
    whole = [4 * (p.inputs * p.side**2 + 4 * p.channels * p.side**2) for p in plan]
    inputs = [4 * p.inputs * p.side**2 for p in plan]
    one_by_one = config["learner"]["gradient"] == "local" and config["train"]["local_step"] != "summed"
    if one_by_one:
        return max(whole)
    return sum(inputs) + max(whole) if config["train"]["activation_checkpointing"] else sum(whole)


def memory_advice(config: Mapping[str, Any], device: str) -> str:
    """One line for a run that ran out of memory."""
    train = config["train"]
    batch = train["batch_size"]
    if config["net"]["name"] == "mlp" or "rule" in config["learner"]:  # what a rule keeps is its own affair
        more = f", or more parts than accumulate = {train['accumulate']}" if "accumulate" in train else ""
        return f"out of memory on {device} with batch_size = {batch}; run fewer jobs, or a smaller batch{more}"
    size = config["source"].get("size") or source_info(config["source"]["name"]).size or 224
    shape = {"K": config["K"], "size": size, "batch": 1, "net": config["net"], "learner": config["learner"]}
    count = conv_counts(**shape)
    free = free_bytes(device) - 16 * (
        count["parameters"] + count["buffers"]
    )  # weights, gradients and AdamW's two moments
    each = activation_bytes(config, size)
    batch_statistics = config["learner"]["goodness_norm"] == "batchnorm" or config["learner"]["inference"] == "concat"
    most = batch // 2 if batch_statistics else batch
    parts = [a for a in range(train["accumulate"] + 1, most + 1) if batch % a == 0 and train["local_step"] != "naive"]
    fits = next((a for a in parts if each * batch / a < 0.7 * free), None)
    advice = (
        f"accumulate = {fits} should fit" if fits else "take a smaller batch_size, width or activation_checkpointing"
    )
    return (
        f"out of memory on {device} with batch_size = {batch}, accumulate = {train['accumulate']}; "
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
