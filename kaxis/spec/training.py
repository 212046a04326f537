"""How a net is trained: steps, batches, and what a conv net's recipe adds.

The MLP's recipe is the synthetic study's. The conv nets' is the paper's as far as it is legible (AdamW, cosine, batch
128 or 64, 400 or 200 epochs, crop, flip, jitter, Cutout); the floor is that of ASGE, the closest public relative.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le

from kaxis.errors import KaxisError, hint
from kaxis.spec.options import Float, Option, Spec, Strings

__all__ = ["AUGMENTATIONS", "ConvTraining", "MLPTraining", "Training", "training_spec"]

AUGMENTATIONS = ("crop", "flip", "jitter", "grayscale", "cutout")

BatchSize = Annotated[int, Ge(1), Le(1_000_000)]
BATCH_SIZE = Option("samples a step", "the same", "mlp 256; vgg 128, from 64 px on 64")
Select = Annotated[
    Literal["last", "best"],
    Option(
        "report the last step, or the best on held-out samples, of 20 looks (mlp, or by steps) or each epoch (vgg)",
        "last step; `best` is ours",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Training(Spec):
    """What every training has."""

    steps: Annotated[
        Annotated[int, Ge(1), Le(1_000_000_000)] | None, Option("optimizer steps", "the same", "mlp 8000")
    ] = None
    epochs: Annotated[
        Annotated[Float, Gt(0), Le(1_000_000)] | None,
        Option("passes over the training data, instead of steps", "the same", "vgg 400, from 64 px on 200"),
    ] = None
    batch_size: Annotated[BatchSize, BATCH_SIZE]
    select: Select = "last"

    UNNAMED: ClassVar[Mapping[str, Any]] = {"steps": None, "epochs": None}

    @property
    def bfloat16(self) -> bool:
        """Whether layers are worked in 16 bits."""
        return False

    @property
    def parts(self) -> int:
        """How many a batch is worked in."""
        return 1

    @classmethod
    def by_size(cls, size: int) -> dict[str, Any]:
        """Defaults that hang on the side of the images in pixels; without steps and epochs, those of the recipe."""
        raise NotImplementedError

    def check(self, holdout: float) -> None:
        """Refuse combinations that cannot be trained."""
        if self.steps is not None and self.epochs is not None:
            raise KaxisError(f"steps = {self.steps} and epochs = {self.epochs}: choose one")
        if self.select == "best" and not holdout:
            raise KaxisError("select = best: needs held-out training samples; set holdout, for example 0.1")


@dataclass(frozen=True, kw_only=True)
class MLPTraining(Training):
    """Batches of rows, at one rate."""

    batch_size: Annotated[BatchSize, BATCH_SIZE] = 256

    UNNAMED: ClassVar[Mapping[str, Any]] = {**Training.UNNAMED, "select": "last"}

    @classmethod
    def by_size(cls, size: int) -> dict[str, Any]:
        return {"steps": 8_000}


@dataclass(frozen=True, kw_only=True)
class ConvTraining(Training):
    """Batches of augmented images, on a cosine."""

    batch_size: Annotated[BatchSize, BATCH_SIZE] = 128
    augment: Annotated[
        Strings,
        Option("vgg: out of crop flip jitter grayscale cutout, or none", "the same; strengths not legible"),
    ] = ("crop", "flip", "jitter", "cutout")
    lr_min: Annotated[Float, Ge(0), Option("vgg: where the cosine ends", "a floor; not legible (ASGE's)")] = 1e-5
    precision: Annotated[
        Literal["float32", "bfloat16"],
        Option("vgg: of the layers; heads and weights stay float32", "not said; `bfloat16` autocasts the layers"),
    ] = "float32"
    accumulate: Annotated[
        int,
        Ge(1),
        Le(1_000_000),
        Option("vgg: parts a batch is worked in, to save memory", "used in its memory table"),
    ] = 1
    activation_checkpointing: Annotated[
        bool, Option("vgg: forget activations and compute them again, to save memory", "used in its memory table")
    ] = False
    local_step: Annotated[
        Literal["interleaved", "naive", "summed"],
        Option(
            "vgg: local layers step one by one, as published at first (each convolution twice), or on one summed loss",
            "its pipelined step; `naive` is its first one, `summed` one backward pass over all losses",
        ),
    ] = "interleaved"
    kernels: Annotated[
        Literal["fused", "plain"],
        Option(
            "vgg: a layer as one operation with 16-bit dropout masks, or step by step as before version 0.2",
            "not said; `plain` is how records that do not name this option were trained",
        ),
    ] = "fused"

    UNNAMED: ClassVar[Mapping[str, Any]] = {**Training.UNNAMED, "kernels": "plain"}

    @property
    def bfloat16(self) -> bool:
        return self.precision == "bfloat16"

    @property
    def parts(self) -> int:
        return self.accumulate

    @classmethod
    def by_size(cls, size: int) -> dict[str, Any]:
        return {"epochs": 400.0, "batch_size": 128} if size < 64 else {"epochs": 200.0, "batch_size": 64}

    def check(self, holdout: float) -> None:
        super().check(holdout)
        for kind in self.augment:
            if kind != "none" and kind not in AUGMENTATIONS:
                raise KaxisError(f"augment '{kind}' is not {hint(kind, ['none', *AUGMENTATIONS])}")
        if ("none" in self.augment and len(self.augment) > 1) or len(set(self.augment)) < len(self.augment):
            raise KaxisError(f"augment = {' '.join(self.augment)}: each kind once, or none alone")
        if self.batch_size % self.accumulate:
            raise KaxisError(f"accumulate = {self.accumulate}: does not divide batch_size = {self.batch_size}")
        if self.local_step == "naive" and self.accumulate > 1:
            raise KaxisError(
                f"accumulate = {self.accumulate}: local_step = naive steps inside each batch; use interleaved"
            )

    def check_batch_statistics(self) -> None:
        """Refuse what cannot be normalised by the batch."""
        if self.batch_size // self.accumulate < 2:
            raise KaxisError(
                f"batch_size = {self.batch_size}, accumulate = {self.accumulate}: batch statistics need parts of 2 "
                "images or more"
            )


def training_spec(config: Mapping[str, Any], *, conv: bool) -> MLPTraining | ConvTraining:
    """The ``train`` part of a configuration."""
    return (ConvTraining if conv else MLPTraining).restored(config)
