"""A leg: a grid of cells under one configuration.

The fields of `Leg` are at once the flags of ``kaxis run``, the keys of a study file and the configuration that a
record carries, so there is one table of options and one place that checks them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any, Literal, NamedTuple

from annotated_types import Ge, Gt, Lt
from pydantic import AllowInfNan, BeforeValidator, TypeAdapter, ValidationError

from kaxis import learners
from kaxis.cell import FORMAT, Cell
from kaxis.errors import KaxisError, hint
from kaxis.sources.catalog import CATALOG, TEACHER_DEFAULTS, n_classes, validate_features

__all__ = ["Help", "Leg", "integers"]


class Help(NamedTuple):
    """What a field means, for ``--help`` and the docs."""

    text: str


def integers(value: object) -> tuple[int, ...]:
    """Whole numbers from what people type: ``5 10 50``, ``0-4``, ``0,3,7``, or a list.

    Raises
    ------
    KaxisError
        For something that is no number, or a range that runs backwards.

    Examples
    --------
    >>> integers(["0-2", "7"]), integers("5,10"), integers([3, 5])
    ((0, 1, 2, 7), (5, 10), (3, 5))
    """
    items = value if isinstance(value, (list, tuple)) else [value]
    out: list[int] = []
    for item in (part for each in items for part in re.split(r"[,\s]+", str(each).strip())):
        if re.fullmatch(r"-?\d+", item):
            out.append(int(item))
        elif match := re.fullmatch(r"(\d+)-(\d+)", item):
            first, last = int(match[1]), int(match[2])
            if last < first:
                raise KaxisError(f"'{item}' runs backwards; write {last}-{first}")
            out.extend(range(first, last + 1))
        else:
            raise KaxisError(f"'{item}' is not a whole number or a range such as 0-4")
    return tuple(out)


def _strings(value: object) -> tuple[str, ...]:
    return tuple(str(v) for v in value) if isinstance(value, (list, tuple)) else (str(value),)


Float = Annotated[float, AllowInfNan(False)]
Integers = Annotated[tuple[int, ...], BeforeValidator(integers)]
Strings = Annotated[tuple[str, ...], BeforeValidator(_strings)]


@dataclass(frozen=True, kw_only=True)
class Leg:
    """A grid source x K x learner x seed under one configuration; the options of a run.

    Raises
    ------
    KaxisError
        From `Leg.of`, naming the first field that does not fit.
    """

    source: Annotated[str, Help("synthetic, digits, cifar10, cifar100, or a study file")]
    K: Annotated[Integers, Help("numbers of classes; all of a real source's, or 5 10 50")] = ()
    seeds: Annotated[Integers, Help("replicates, e.g. 0-4")] = (0, 1, 2, 3, 4)
    learners: Annotated[Strings, Help("rows of the learner table, switches changed in brackets: 'dtg_ff[t_max=1]'")] = (
        "bp",
        "bp_ensemble",
        "bp_deepsup",
        "dtg_ff",
    )
    labels: Annotated[str, Help("label view of a real source: fine, coarse, merge:N (random balanced groups)")] = "fine"
    classes: Annotated[Strings, Help("classes by name, instead of K drawn by the seed")] = ()
    features: Annotated[str, Help("raw pixels or pca:D, standardised on the training images")] = "raw"
    per_class: Annotated[int | None, Ge(1), Help("training images a class, constant along K")] = None
    train_total: Annotated[int | None, Ge(2), Help("training images in all, balanced, constant along K")] = None
    n_train: Annotated[int, Ge(2), Help("synthetic: training samples")] = 20_000
    n_test: Annotated[int, Ge(1), Help("synthetic: test samples")] = 5_000
    input_dim: Annotated[int, Ge(1), Help("synthetic: input dimension")] = 32
    teacher_width: Annotated[int, Ge(1), Help("synthetic: the teacher's hidden width")] = 64
    teacher_depth: Annotated[int, Ge(1), Help("synthetic: the teacher's linear layers")] = 3
    teacher_init: Annotated[Literal["torch", "kaiming"], Help("synthetic: the teacher's initial weights")] = "torch"
    teacher_bias: Annotated[bool, Help("synthetic: biases in the teacher")] = True
    label_noise: Annotated[
        float, Ge(0), Lt(1), Help("synthetic: share of training labels redrawn among the others")
    ] = 0.0
    nested_teacher: Annotated[bool, Help("synthetic: one teacher a seed, its output growing with K")] = False
    net: Annotated[Literal["mlp"], Help("the student")] = "mlp"
    width: Annotated[int, Ge(1), Help("units of a hidden layer")] = 128
    depth: Annotated[int, Ge(1), Help("hidden layers")] = 4
    norm: Annotated[Literal["none", "layernorm", "rmsnorm"], Help("normalisation between layers")] = "none"
    steps: Annotated[int, Ge(1), Help("optimizer steps")] = 8_000
    batch_size: Annotated[int, Ge(1), Help("samples a step")] = 256
    lr: Annotated[Float, Gt(0), Help("Adam's learning rate")] = 1e-3
    clip: Annotated[Float | None, Gt(0), Help("largest gradient norm of a layer; none by default")] = None
    readout_scale: Annotated[
        Literal["unit", "rsqrt_width", "rsqrt_K"],
        Help("standard deviation of a drawn readout: 1, 1/sqrt(width), 1/sqrt(K)"),
    ] = "unit"
    readout_bias: Annotated[Float, Ge(0), Help("a drawn readout's bias, in units of its weights' scale")] = 1.0
    t_min: Annotated[Float, Gt(0), Help("lowest learned temperature")] = 0.1
    t_max: Annotated[Float, Gt(0), Help("highest learned temperature")] = 2.0

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Leg:
        """A checked leg from options as typed; unknown keys and values that do not fit are errors."""
        allowed = [f.name for f in fields(cls)]
        for key in options:
            if key not in allowed:
                raise KaxisError(f"option '{key}' is not {hint(key, allowed)}")
        return _validated(options)._checked()

    def _checked(self) -> Leg:
        available = n_classes(self.source, self.labels)
        real = CATALOG[self.source].real
        for name in TEACHER_DEFAULTS if real else ("classes", "features", "per_class", "train_total"):
            if getattr(self, name) != _DEFAULTS[name]:
                raise KaxisError(f"{name} = {getattr(self, name)}: not an option of the source '{self.source}'")
        validate_features(self.features)
        if self.per_class and self.train_total:
            raise KaxisError(f"per_class = {self.per_class} and train_total = {self.train_total}: choose one")
        if len(set(self.classes)) != len(self.classes):
            raise KaxisError(f"classes = {' '.join(self.classes)}: a class is named twice")
        K = self.K or ((len(self.classes) or available,) if available else (5, 10, 50))
        most = len(self.classes) or available or self.n_train
        for k in K:
            if not 2 <= k <= most:
                raise KaxisError(f"K = {k}: '{self.source}' can have 2 to {most} classes with these options")
            if self.classes and k != most:
                raise KaxisError(f"K = {k}: {most} classes are named")
            if self.train_total and self.train_total < k:
                raise KaxisError(f"train_total = {self.train_total}: less than one image for each of K = {k} classes")
        for name, values in (("K", K), ("seeds", self.seeds)):
            if not values or min(values) < 0:
                raise KaxisError(f"{name} = {values}: 0 or more, at least one")
            if twice := [value for value, count in Counter(values).items() if count > 1]:
                raise KaxisError(f"{name}: {twice[0]} is given twice")
        rows = tuple(learners.parse(text).name for text in self.learners)
        if not rows:
            raise KaxisError("learners: name at least one")
        if repeated := [row for row in rows if rows.count(row) > 1]:
            raise KaxisError(f"learners: {repeated[0]} is given twice")
        leg = replace(self, K=K, learners=rows)
        for row in rows:
            leg._learner(row)
        return leg

    def _learner(self, text: str) -> dict[str, Any]:
        """Name, switches and those settings that reach this learner."""
        row = learners.parse(text)
        own = self
        if row.overrides:
            try:
                own = _validated({**asdict(self), **row.overrides})
            except KaxisError as error:
                raise KaxisError(f"learner '{row.name}': {error}") from None
        config = {"name": row.name, **row.switches(), "lr": own.lr, "clip": own.clip, "norm": own.norm}
        if row.readout == "fixed" or row.start == "draw":
            config |= {"readout_scale": own.readout_scale, "readout_bias": own.readout_bias}
        if row.temperature == "learned":
            if not own.t_min < own.t_max:
                raise KaxisError(f"learner '{row.name}': t_min = {own.t_min} is not below t_max = {own.t_max}")
            config |= {"t_min": own.t_min, "t_max": own.t_max}
        if idle := [key for key in row.overrides if key not in config]:
            raise KaxisError(f"learner '{row.name}': {idle[0]} has no effect on it")
        return config

    def cells(self) -> list[Cell]:
        """Every cell of the grid, K-major."""
        keys = (
            ("labels", "classes", "features", "per_class", "train_total")
            if CATALOG[self.source].real
            else TEACHER_DEFAULTS
        )
        source = {"name": self.source, **{k: getattr(self, k) for k in keys}}
        if "classes" in source:
            source["classes"] = list(self.classes)
        net = {"name": self.net, "width": self.width, "depth": self.depth}
        train = {"steps": self.steps, "batch_size": self.batch_size}
        rows = [self._learner(text) for text in self.learners]
        return [
            Cell({"format": FORMAT, "source": source, "K": K, "seed": seed, "learner": row, "net": net, "train": train})
            for K in self.K
            for row in rows
            for seed in self.seeds
        ]


_LEG: TypeAdapter[Leg] = TypeAdapter(Leg)
_DEFAULTS = {f.name: f.default for f in fields(Leg)}


def _validated(options: Mapping[str, Any]) -> Leg:
    """Types and ranges of single fields; the first that does not fit, in one line."""
    try:
        return _LEG.validate_python(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        field = next(part for part in first["loc"] if isinstance(part, str))
        value, message = options.get(field), first["msg"].removeprefix("Value error, ")
        typed = " ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
        raise KaxisError(f"{field} = {typed}: {message[0].lower()}{message[1:]}") from None
