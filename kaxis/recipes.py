"""What each net is trained with unless told otherwise, and which options it has.

The MLP's recipe is the synthetic study's. The conv nets' is the paper's as far as it is legible (AdamW, cosine, batch 128 or 64,
400 or 200 epochs, crop, flip, jitter, Cutout); learning rate, weight decay and floor are ASGE's, the closest public
relative; clipping, and what else docs/options.md marks so, is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kaxis.errors import KaxisError, hint
from kaxis.sources.catalog import AUGMENTATIONS

__all__ = ["CONV", "MLP", "check_training", "recipe"]

MLP: dict[str, Any] = {
    "width": 128,
    "depth": 4,
    "norm": "none",
    "batch_size": 256,
    "lr": 1e-3,
    "clip": 0.0,
    "readout_scale": "unit",
    "t_min": 0.1,
    "weight_decay": 0.0,
    "label_smoothing": 0.0,
    "select": "last",
}

CONV: dict[str, Any] = {
    "width": 1.0,
    "norm": "layernorm",
    "lr": 2e-4,
    "clip": 1.0,
    "readout_scale": "rsqrt_K",
    "t_min": 0.5,
    "depth_only": False,
    "dropout": 0.1,
    "weight_decay": 1e-3,
    "lr_min": 1e-5,
    "label_smoothing": 0.0,
    "goodness": "vector",
    "goodness_norm": "none",
    "augment": ("crop", "flip", "jitter", "cutout"),
    "precision": "float32",
    "accumulate": 1,
    "activation_checkpointing": False,
    "local_step": "interleaved",
    "kernels": "fused",
    "select": "last",
}
"""Options from ``depth_only`` on exist for conv nets alone."""

STEPS = 8_000


def recipe(options: Mapping[str, Any], size: int) -> dict[str, Any]:
    """The values of all options that were left open, for a net on images of `size` pixels (0: no images).

    Raises
    ------
    KaxisError
        For an option that the net does not have.
    """
    conv = options["net"] != "mlp"
    table = dict(CONV) if conv else dict(MLP)
    if conv:
        table["batch_size"] = 128 if size < 64 else 64
    for name in ({*MLP} - {*table}) if conv else ({*CONV} - {*MLP}):
        if options[name] is not None:
            raise KaxisError(f"{name} = {options[name]}: not an option of the net '{options['net']}'")
    if options["steps"] is None and options["epochs"] is None:
        table |= {"epochs": 400.0 if size < 64 else 200.0} if conv else {"steps": STEPS}
    return {name: value for name, value in table.items() if options[name] is None}


def check_training(leg: Any) -> None:
    """Refuse combinations that cannot be trained."""
    if leg.steps is not None and leg.epochs is not None:
        raise KaxisError(f"steps = {leg.steps} and epochs = {leg.epochs}: choose one")
    if leg.select == "best" and not leg.holdout:
        raise KaxisError("select = best: needs held-out training samples; set holdout, for example 0.1")
    if leg.net == "mlp":
        if leg.width != int(leg.width) or leg.width < 1:
            raise KaxisError(f"width = {leg.width}: a whole number of units for the net 'mlp'")
        return
    if leg.features != "raw":
        raise KaxisError(f"features = {leg.features}: the net '{leg.net}' sees images; only the mlp takes components")
    for kind in leg.augment:
        if kind != "none" and kind not in AUGMENTATIONS:
            raise KaxisError(f"augment '{kind}' is not {hint(kind, ['none', *AUGMENTATIONS])}")
    if ("none" in leg.augment and len(leg.augment) > 1) or len(set(leg.augment)) < len(leg.augment):
        raise KaxisError(f"augment = {' '.join(leg.augment)}: each kind once, or none alone")
    if leg.batch_size % leg.accumulate:
        raise KaxisError(f"accumulate = {leg.accumulate}: does not divide batch_size = {leg.batch_size}")
    if leg.local_step == "naive" and leg.accumulate > 1:
        raise KaxisError(f"accumulate = {leg.accumulate}: local_step = naive steps inside each batch; use interleaved")
    if leg.activation_checkpointing and leg.goodness_norm == "batchnorm":
        raise KaxisError("activation_checkpointing = True: would count every batch twice in goodness_norm = batchnorm")
    batch_statistics = leg.goodness_norm == "batchnorm" or any(
        "concat" in name or "goodness_norm=batchnorm" in name for name in leg.learners
    )
    if batch_statistics and leg.batch_size // leg.accumulate < 2:
        raise KaxisError(
            f"batch_size = {leg.batch_size}, accumulate = {leg.accumulate}: batch statistics need parts of 2 images or more"
        )
