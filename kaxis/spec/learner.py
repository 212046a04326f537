"""What a learner is made of: the settings that a run gives it, and the ``learner`` part of a cell's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt

from kaxis.spec.options import Float, Option, Spec

__all__ = [
    "DIRECT",
    "FEEDBACK",
    "RULE_SETTINGS",
    "SETTINGS",
    "UNSAID",
    "CodeLearner",
    "ConvSettings",
    "Gradient",
    "LearnerSpec",
    "Settings",
    "Switches",
    "TableLearner",
    "learner_spec",
]

Gradient = Literal["global", "local", "none", "fa", "usf", "dfa", "sdfa", "drtp"]
Power = Literal["1", "2"]
Temperature = Literal["1", "learned"]
Readout = Literal["learned", "fixed", "groups"]
Bias = Literal["yes", "no"]
Start = Literal["torch", "draw"]
Heads = Literal["last", "every", "concat"]
Inference = Literal["last", "logit_sum", "softmax_mean", "concat"]


@dataclass(frozen=True, kw_only=True)
class Switches:
    """What a learner of the table is a choice of.

    Parameters
    ----------
    gradient : {"global", "local", "none", "fa", "usf", "dfa", "sdfa", "drtp"}
        What teaches a layer: the losses at it and above, sent back through the weights (``global``); its own loss alone
        (``local``, layers are detached from below); nothing, its weights stay as drawn (``none``). The others send the
        last head's loss back otherwise: layer by layer through fixed random weights (``fa``, feedback alignment) or
        the signs of the weights (``usf``); to each layer at once through fixed random weights, the error (``dfa``), its
        sign (``sdfa``), or the target in its place (``drtp``).
    power : {"1", "2"}
        Heads read the activation a, or the goodness a^2.
    temperature : {"1", "learned"}
        Heads read g / T with T = 1, or T = t_min + (t_max - t_min) sigmoid(alpha), one alpha a layer.
    readout : {"learned", "fixed", "groups"}
        Heads are trained, or random buffers, or the means of K groups of channels, as equal as can be.
    start : {"torch", "draw"}
        A learned readout starts as `torch.nn.Linear` does, or from the draw that a fixed one would be.
    heads : {"last", "every", "concat"}
        Which hidden layers have a head; the loss is the sum of the heads' cross-entropies. ``concat``: one classifier
        on the concatenated average-pooled layers of a conv net, whose gradient reaches them.
    inference : {"last", "logit_sum", "softmax_mean", "concat"}
        Last head; sum of the heads' logits; mean over members of the last head's softmax; a classifier on the
        concatenated layers of a conv net, trained beside the heads without a gradient into the layers (paper, concat
        inference).
    members : int
        Networks trained independently for one cell.
    bias : {"yes", "no"}
        Whether heads have a bias; those of groups have none.
    """

    gradient: Gradient = "global"
    power: Power = "1"
    temperature: Temperature = "1"
    readout: Readout = "learned"
    start: Start = "torch"
    heads: Heads = "every"
    inference: Inference = "logit_sum"
    members: int = 1
    bias: Bias = "yes"


UNSAID: Mapping[str, Any] = {"bias": "yes"}
"""Switches that a configuration leaves out at these values, so that cells from before them keep their names."""

FEEDBACK = ("fa", "usf")
"""Gradients that go back layer by layer, but not through the weights."""

DIRECT = ("dfa", "sdfa", "drtp")
"""Gradients that go from the last head to each layer at once."""

Norm = Literal["none", "layernorm", "rmsnorm", "rmsnorm_sample", "groupnorm"]
Scale = Literal["unit", "rsqrt_width", "rsqrt_K", "columns"]
LR = Annotated[Float, Gt(0), Option("learning rate", "Adam, AdamW, cosine; rates not legible (conv: ASGE's)")]
CLIP = Annotated[
    Float,
    Ge(0),
    Option("largest gradient norm of a layer, 0 for none", "per-layer clipping of DTG-FF; bound not legible"),
]
NORM = Annotated[
    Norm,
    Option(
        "normalisation between layers, without trained numbers: over the channels, of conv nets pixel by pixel; "
        "`rmsnorm_sample` over the whole sample, `groupnorm` over each of K groups of channels",
        "conv: LayerNorm; MLP: not said; `rmsnorm` is an ablation of its; `rmsnorm_sample` is ASGE's, `groupnorm` "
        "DeeperForward's",
    ),
]
DECAY = Annotated[
    Float,
    Ge(0),
    Option(
        "AdamW's, on everything trained; 0 is Adam",
        "differs from ASGE's 1e-3 by a stated factor that is not legible",
    ),
]
SCALE = Annotated[
    Scale,
    Option(
        "a drawn readout's standard deviation: 1, 1/sqrt(width), 1/sqrt(K), or columns of length 1",
        "\"fixed random\"; scale not said (`rsqrt_K` is ASGE's; `columns` an ablation of the paper's)",
    ),
]
T_MIN = Annotated[Float, Gt(0), Option("lowest learned temperature", "not said, not legible")]


@dataclass(frozen=True, kw_only=True)
class Settings(Spec):
    """Numbers of a run that may also be set for one learner alone, in brackets; the defaults are the MLP's."""

    lr: LR = 1e-3
    clip: CLIP = 0.0
    norm: NORM = "none"
    weight_decay: DECAY = 0.0
    label_smoothing: Annotated[
        float, Ge(0), Lt(1), Option("of the heads' losses; the concat classifier's is always 0.1", "concat 0.1")
    ] = 0.0
    readout_scale: SCALE = "unit"
    readout_bias: Annotated[
        Float, Ge(0), Option("a drawn readout's bias, in units of its weights' scale", "not said")
    ] = 1.0
    t_min: T_MIN = 0.1
    t_max: Annotated[
        Float,
        Gt(0),
        Option(
            "highest learned temperature",
            "a learned temperature in a range; the MLP's is not said, the conv nets' is not legible",
        ),
    ] = 2.0


@dataclass(frozen=True, kw_only=True)
class ConvSettings(Settings):
    """Those of conv nets; learning rate and weight decay are ASGE's."""

    lr: LR = 2e-4
    clip: CLIP = 1.0
    norm: NORM = "layernorm"
    weight_decay: DECAY = 1e-3
    readout_scale: SCALE = "rsqrt_K"
    t_min: T_MIN = 0.5
    goodness: Annotated[
        Literal["vector", "scalar"],
        Option("vgg: heads read the pooled vector or its mean", "vector; `scalar` is its MLP's"),
    ] = "vector"
    goodness_norm: Annotated[
        Literal["none", "batchnorm"],
        Option("vgg: normalisation of what the heads read", "no BatchNorm on the goodness path"),
    ] = "none"


SETTINGS = tuple(f.name for f in fields(ConvSettings))
"""Settings of a run that may also be set for one learner alone, in brackets."""

RULE_SETTINGS = ("lr", "clip", "weight_decay")
"""Those that reach a learner that is code."""


@dataclass(frozen=True, kw_only=True)
class LearnerSpec(Spec):
    """The ``learner`` part of a configuration: what every learner has."""

    name: str
    members: int = 1
    inference: str = "logit_sum"
    lr: float
    clip: float | None = None
    norm: str = "none"
    weight_decay: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TableLearner(Switches, LearnerSpec):
    """A row of the table with its settings; those that do not reach it are left out of its configuration."""

    label_smoothing: float = 0.0
    goodness: str = "vector"
    goodness_norm: str = "none"
    readout_scale: str = "unit"
    readout_bias: float = 1.0
    t_min: float = 1.0
    t_max: float = 1.0

    @property
    def drawn(self) -> bool:
        """Whether a readout is drawn from the stream of fixed ones."""
        return self.readout == "fixed" or (self.readout == "learned" and self.start == "draw")

    @property
    def trunk(self) -> bool:
        """Whether hidden layers are trained."""
        return self.gradient != "none"

    @property
    def apart(self) -> bool:
        """Whether nothing goes from layer to layer but activations."""
        return self.gradient in ("local", "none", *DIRECT)

    @property
    def grouped(self) -> bool:
        """Whether something is worked in K groups of channels."""
        return self.readout == "groups" or self.norm == "groupnorm"

    @property
    def concat(self) -> bool:
        """Whether a classifier on the concatenated layers is trained."""
        return "concat" in (self.heads, self.inference)

    @property
    def batch_statistics(self) -> bool:
        """Whether something is normalised by the batch."""
        return self.concat or self.goodness_norm == "batchnorm"


@dataclass(frozen=True, kw_only=True)
class CodeLearner(LearnerSpec):
    """A learner that is code (`kaxis.spec.rules`): the hash of its file, and settings of its own."""

    rule: str
    code: str
    settings: Mapping[str, float]

    @property
    def grouped(self) -> bool:
        """Whether the run's normalisation works in K groups of channels."""
        return self.norm == "groupnorm"


def learner_spec(config: Mapping[str, Any]) -> TableLearner | CodeLearner:
    """The ``learner`` part of a configuration."""
    return (CodeLearner if "rule" in config else TableLearner).restored(config)
