"""A leg: a grid of cells under one configuration.

The fields of `Leg` are at once the flags of ``kaxis run``, the keys of a study file and the configuration that a
record carries, so there is one table of options and one place that checks them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from kaxis import learners
from kaxis.cell import FORMAT, Cell
from kaxis.errors import KaxisError, hint
from kaxis.nets.plan import layers
from kaxis.options import Float, Help, Integers, Strings, known, strings, validated
from kaxis.recipes import check_training, recipe
from kaxis.rules import load_rules, placeholder, rule_config
from kaxis.sources.asked import check_source
from kaxis.sources.catalog import CATALOG, TEACHER_DEFAULTS
from kaxis.sources.knobs import NEUTRAL
from kaxis.sources.lookup import canonical
from kaxis.sources.lookup import known as known_source

__all__ = ["Leg"]

MOST_CELLS = 1_000_000
MOST_LEARNERS = 1_000


@dataclass(frozen=True, kw_only=True)
class Leg:
    """A grid source x K x learner x seed under one configuration; the options of a run.

    Raises
    ------
    KaxisError
        From `Leg.of`, naming the first field that does not fit.
    """

    source: Annotated[str, Help("a set (kaxis data list), folder:PATH, npz:PATH, or a study file")]
    K: Annotated[Integers, Help("numbers of classes; all of a real source's, or 5 10 50")] = ()
    seeds: Annotated[Integers, Help("replicates, e.g. 0-4")] = (0, 1, 2, 3, 4)
    learners: Annotated[Strings, Help("rows of the learner table, switches changed in brackets: 'dtg_ff[t_max=1]'")] = (
        "bp",
        "bp_ensemble",
        "bp_deepsup",
        "dtg_ff",
    )
    rules: Annotated[Strings, Help("Python files whose rules join the table (docs/add_a_learner.md)")] = ()
    labels: Annotated[str, Help("label view: fine, coarse, merge:N (random balanced groups)")] = "fine"
    classes: Annotated[Strings, Help("classes by name, instead of K drawn by the seed")] = ()
    subset: Annotated[
        str,
        Help("which K fine classes: any; within (few superclasses), within:NAME[+NAME], across (many superclasses)"),
    ] = "any"
    size: Annotated[int | None, Ge(8), Le(4_096), Help("side of the images in pixels; the set's own")] = None
    split: Annotated[
        Literal["writers", "interleaved"],
        Help("digits: tested on writers that no training image is of, or on every third image, as before version 0.2"),
    ] = "writers"
    holdout: Annotated[float, Ge(0), Lt(1), Help("share of the training samples held out, to choose settings on")] = 0.0
    features: Annotated[str, Help("raw pixels or pca:D, standardised on the training images")] = "raw"
    per_class: Annotated[int | None, Ge(1), Le(100_000_000), Help("training images a class, constant along K")] = None
    train_total: Annotated[
        int | None, Ge(2), Le(100_000_000), Help("training images in all, balanced, constant along K")
    ] = None
    n_train: Annotated[int, Ge(2), Le(100_000_000), Help("synthetic: training samples")] = 20_000
    n_test: Annotated[int, Ge(1), Le(100_000_000), Help("synthetic: test samples")] = 5_000
    input_dim: Annotated[int, Ge(1), Le(1_000_000), Help("synthetic: input dimension")] = 32
    teacher_width: Annotated[int, Ge(1), Le(65_536), Help("synthetic: the teacher's hidden width")] = 64
    teacher_depth: Annotated[int, Ge(1), Le(1_000), Help("synthetic: the teacher's linear layers")] = 3
    teacher_init: Annotated[Literal["torch", "kaiming"], Help("synthetic: the teacher's initial weights")] = "torch"
    teacher_bias: Annotated[bool, Help("synthetic: biases in the teacher")] = True
    label_noise: Annotated[
        float, Ge(0), Lt(1), Help("synthetic: share of training labels redrawn among the others")
    ] = 0.0
    nested_teacher: Annotated[bool, Help("synthetic: one teacher a seed, its output growing with K")] = False
    teacher_classes: Annotated[
        int | None, Ge(2), Le(100_000), Help("synthetic: the teacher's own classes, where labels are coarse or merged")
    ] = None
    superclasses: Annotated[
        int | None,
        Ge(2),
        Le(100_000),
        Help("synthetic: a teacher that chooses one of so many superclasses, then a class in it"),
    ] = None
    balance: Annotated[
        Literal["none", "logits", "uniform"],
        Help("synthetic: the teacher's own shares; logits standardised, so that every class occurs; and equal shares"),
    ] = "none"
    margin: Annotated[
        str,
        Help("synthetic: any; above:Q, below:Q of each class's margins (easy, hard); match:A (a probe's accuracy A)"),
    ] = "any"
    net: Annotated[Literal["mlp", "vgg8", "vgg11", "vgg13"], Help("the student")] = "mlp"
    width: Annotated[
        Float | None, Gt(0), Le(65_536), Help("mlp: units of a hidden layer [128]; vgg: multiplies the channels [1]")
    ] = None
    depth: Annotated[int | None, Ge(1), Le(1_000), Help("mlp: hidden layers [4]")] = None
    depth_only: Annotated[
        bool | None, Help("vgg: every layer as wide and four pools, so that nets differ by depth alone")
    ] = None
    norm: Annotated[
        Literal["none", "layernorm", "rmsnorm"] | None, Help("normalisation between layers [mlp none; vgg layernorm]")
    ] = None
    dropout: Annotated[float | None, Ge(0), Lt(1), Help("vgg: between layers [0.1]")] = None
    steps: Annotated[int | None, Ge(1), Le(1_000_000_000), Help("optimizer steps [mlp 8000]")] = None
    epochs: Annotated[
        Float | None,
        Gt(0),
        Le(1_000_000),
        Help("passes over the training data, instead of steps [vgg 400, from 64 px on 200]"),
    ] = None
    batch_size: Annotated[
        int | None, Ge(1), Le(1_000_000), Help("samples a step [mlp 256; vgg 128, from 64 px on 64]")
    ] = None
    lr: Annotated[Float | None, Gt(0), Help("learning rate [mlp 0.001, Adam; vgg 0.0002, AdamW]")] = None
    lr_min: Annotated[Float | None, Ge(0), Help("vgg: where the cosine ends [1e-05]")] = None
    weight_decay: Annotated[Float | None, Ge(0), Help("AdamW's [mlp 0, which is Adam; vgg 0.001]")] = None
    clip: Annotated[Float | None, Ge(0), Help("largest gradient norm of a layer, 0 for none [mlp 0; vgg 1]")] = None
    label_smoothing: Annotated[float | None, Ge(0), Lt(1), Help("of the heads' losses [0]")] = None
    augment: Annotated[
        Strings | None, Help("vgg: out of crop flip jitter grayscale cutout, or none [crop flip jitter cutout]")
    ] = None
    readout_scale: Annotated[
        Literal["unit", "rsqrt_width", "rsqrt_K", "columns"] | None,
        Help(
            "a drawn readout's standard deviation: 1, 1/sqrt(width), 1/sqrt(K), or columns of length 1 [mlp unit; vgg rsqrt_K]"
        ),
    ] = None
    readout_bias: Annotated[Float, Ge(0), Help("a drawn readout's bias, in units of its weights' scale")] = 1.0
    t_min: Annotated[Float | None, Gt(0), Help("lowest learned temperature [mlp 0.1; vgg 0.5]")] = None
    t_max: Annotated[Float, Gt(0), Help("highest learned temperature")] = 2.0
    goodness: Annotated[
        Literal["vector", "scalar"] | None, Help("vgg: heads read the pooled vector or its mean [vector]")
    ] = None
    goodness_norm: Annotated[
        Literal["none", "batchnorm"] | None, Help("vgg: normalisation of what the heads read [none]")
    ] = None
    precision: Annotated[
        Literal["float32", "bfloat16"] | None, Help("vgg: of the layers; weights stay float32 [float32]")
    ] = None
    accumulate: Annotated[
        int | None, Ge(1), Le(1_000_000), Help("vgg: parts a batch is worked in, to save memory [1]")
    ] = None
    activation_checkpointing: Annotated[
        bool | None, Help("vgg: forget activations and compute them again, to save memory")
    ] = None
    local_step: Annotated[
        Literal["interleaved", "naive", "summed"] | None,
        Help(
            "vgg: local layers step one by one, as published at first (each convolution twice), or on one summed loss [interleaved]"
        ),
    ] = None
    kernels: Annotated[
        Literal["fused", "plain"] | None,
        Help("vgg: a layer as one operation with 16-bit dropout masks, or step by step as before version 0.2 [fused]"),
    ] = None
    select: Annotated[
        Literal["last", "best"] | None,
        Help("report the last step, or the best on held-out samples, of 20 looks (mlp) or each epoch (vgg) [last]"),
    ] = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Leg:
        """A checked leg from options as typed; unknown keys and values that do not fit are errors."""
        load_rules(strings(options.get("rules") or ()))
        leg: Leg = known(cls, options)
        return replace(leg, source=canonical(leg.source))._checked()

    @classmethod
    def restored(cls, options: Mapping[str, Any]) -> Leg:
        """A leg that was checked before it was written down; files of rules are not read for it."""
        leg: Leg = known(cls, {"split": "interleaved", **options} if options.get("source") == "digits" else options)
        if not known_source(leg.source):
            raise KaxisError(f"source '{leg.source}' is not {hint(leg.source, CATALOG)}")
        leg._check_size()
        for text in leg.learners if leg.rules else ():
            placeholder(text)
        return leg

    def _checked(self) -> Leg:
        K, real, own_size = check_source(self, _DEFAULTS)
        for name, values in (("K", K), ("seeds", self.seeds)):
            if not values or min(values) < 0:
                raise KaxisError(f"{name} = {values}: 0 or more, at least one")
            if twice := [value for value, count in Counter(values).items() if count > 1]:
                raise KaxisError(f"{name}: {twice[0]} is given twice")
        if len(self.learners) > MOST_LEARNERS:
            raise KaxisError(f"learners: {len(self.learners):,} are named, {MOST_LEARNERS:,} at most")
        rows = tuple(learners.parse(text).name for text in self.learners)
        if not rows:
            raise KaxisError("learners: name at least one")
        if repeated := [row for row, count in Counter(rows).items() if count > 1]:
            raise KaxisError(f"learners: {repeated[0]} is given twice")
        if max(self.seeds) >= 2**63:
            raise KaxisError(f"seeds = {max(self.seeds)}: below 2^63")
        replace(self, K=K)._check_size()
        leg = replace(self, K=K, learners=rows)
        if self.net != "mlp" and not real:
            raise KaxisError(f"net = {self.net}: needs images; the source '{self.source}' has none")
        pixels = self.size or own_size or (224 if real else 0)
        if self.size and self.net == "mlp" and own_size is not None:
            raise KaxisError(f"size = {self.size}: the mlp takes {self.source} at its own size; conv nets resize")
        leg = replace(leg, **recipe(asdict(leg), pixels if self.net != "mlp" else 0))
        check_training(leg)
        if self.net != "mlp":
            layers(leg._net(), pixels)
        for row in rows:
            leg._learner(row)
        return leg

    def _check_size(self) -> None:
        """KaxisError for a grid that nobody can have meant."""
        sizes = {"K": len(self.K), "learners": len(self.learners), "seeds": len(self.seeds)}
        if (cells := math.prod(sizes.values())) > MOST_CELLS:
            raise KaxisError(
                f"{' x '.join(f'{n:,} {name}' for name, n in sizes.items())} are {cells:,} cells, {MOST_CELLS:,} at most"
            )

    def _net(self) -> dict[str, Any]:
        if self.net == "mlp":
            return {"name": self.net, "width": int(self.width or 0), "depth": self.depth}
        return {"name": self.net, "width": self.width, "depth_only": self.depth_only, "dropout": self.dropout}

    def _training(self) -> dict[str, Any]:
        out: dict[str, Any] = {"steps": self.steps} if self.steps else {"epochs": self.epochs}
        out["batch_size"] = self.batch_size
        if self.net != "mlp":
            keys = ("lr_min", "precision", "accumulate", "activation_checkpointing", "local_step", "select")
            out |= {"augment": list(self.augment or ()), **{k: getattr(self, k) for k in keys}}
            if self.kernels == "fused":  # records from before this option do not name theirs
                out["kernels"] = "fused"
        elif self.select == "best":  # named only where it differs, as below
            out["select"] = "best"
        return out

    def _learner(self, text: str) -> dict[str, Any]:
        """Name, switches and those settings that reach this learner."""
        row = learners.parse(text)
        if row.rule is not None:
            return rule_config(row, asdict(self))
        own = self
        if row.overrides:
            try:
                own = validated(Leg, {**asdict(self), **row.overrides})
            except KaxisError as error:
                raise KaxisError(f"learner '{row.name}': {error}") from None
        if self.net == "mlp" and "concat" in (row.heads, row.inference):
            raise KaxisError(f"learner '{row.name}': concat is for conv nets; the mlp has heads last and every")
        config = {"name": row.name, **row.switches(), "lr": own.lr, "clip": own.clip or None, "norm": own.norm}
        if self.net != "mlp":
            config |= {k: getattr(own, k) for k in learners.CONV_SETTINGS}
        else:
            config |= {k: getattr(own, k) for k in ("weight_decay", "label_smoothing") if getattr(own, k)}
        if row.readout == "fixed" or row.start == "draw":
            config |= {"readout_scale": own.readout_scale, "readout_bias": own.readout_bias}
        if row.temperature == "learned":
            if own.t_min is None or not own.t_min < own.t_max:
                raise KaxisError(f"learner '{row.name}': t_min = {own.t_min} is not below t_max = {own.t_max}")
            config |= {"t_min": own.t_min, "t_max": own.t_max}
        if idle := [key for key in row.overrides if key not in config]:
            raise KaxisError(f"learner '{row.name}': {idle[0]} has no effect on it")
        return config

    def cells(self) -> list[Cell]:
        """Every cell of the grid, K-major."""
        real = self.source != "synthetic"
        keys = ("labels", "classes", "features", "per_class", "train_total") if real else TEACHER_DEFAULTS
        source = {"name": self.source, **{k: getattr(self, k) for k in keys}}
        if real:
            source["classes"] = list(self.classes)
            # Named only where they differ, so that records older than these options keep their names.
            later = {"subset": self.subset, "size": self.size, "holdout": self.holdout}
            source |= {k: v for k, v in later.items() if v != _DEFAULTS[k]}
            if self.source == "digits" and self.split == "writers":
                source["split"] = self.split
        else:
            source |= {k: getattr(self, k) for k, neutral in NEUTRAL.items() if getattr(self, k) != neutral}
        net, train = self._net(), self._training()
        rows = [self._learner(text) for text in self.learners]
        return [
            Cell({"format": FORMAT, "source": source, "K": K, "seed": seed, "learner": row, "net": net, "train": train})
            for K in self.K
            for row in rows
            for seed in self.seeds
        ]


_DEFAULTS = {f.name: f.default for f in fields(Leg)}
