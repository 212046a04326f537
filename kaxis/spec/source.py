"""Where labelled data come from: the teacher's options, and those of image sets. Difficulty, balance and hierarchy of
the teacher are ours.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Le, Lt

from kaxis.errors import KaxisError, hint
from kaxis.spec.catalog import SYNTHETIC, n_classes, source_info
from kaxis.spec.options import Option, Spec, Strings
from kaxis.streams import SHARED

__all__ = ["DigitsSpec", "ImageSpec", "SourceSpec", "TeacherSpec", "parse_margin", "source_kind", "source_spec"]

Count = Annotated[int, Ge(2), Le(100_000)]
Samples = Annotated[int, Ge(1), Le(100_000_000)]

Name = Annotated[
    str,
    Option(
        "a set (kaxis data list), folder:PATH, npz:PATH, or a study file",
        "synthetic teacher and nine image sets; `digits`, `folder:PATH` and `npz:PATH` are ours",
        "-",
    ),
]
Labels = Annotated[
    str,
    Option(
        "label view: fine, coarse, merge:N (random balanced groups)",
        "fine and coarse CIFAR-100 labels; `merge:N`, the random grouping, is ours",
    ),
]
Holdout = Annotated[
    float,
    Ge(0),
    Lt(1),
    Option("share of the training samples held out, to choose settings on", "no validation selection"),
]
PerClass = Annotated[
    Samples | None,
    Option("training images a class, constant along K", "all images; the control is ours", "all images"),
]


@dataclass(frozen=True, kw_only=True)
class SourceSpec(Spec, ABC):
    """What every source has."""

    real: ClassVar[bool]

    name: Name
    labels: Labels = "fine"
    holdout: Holdout = 0.0
    per_class: PerClass = None

    @property
    @abstractmethod
    def label(self) -> str:
        """The canonical string of a source: set, label view, features and sampling, defaults left out.

        Two cells have the same string exactly when they ask for the same data, whatever their K and seed.
        """

    @abstractmethod
    def streams(self, K: int) -> dict[str, int | str]:
        """Which streams its data are drawn from, each with its key; see `Cell.streams`."""

    @abstractmethod
    def checked(self, K: tuple[int, ...]) -> tuple[int, ...]:
        """The numbers of classes asked for, or all there are.

        Raises
        ------
        KaxisError
            Naming the option, or the number of classes, that the source cannot give.
        """

    def _check_K(self, K: tuple[int, ...], most: int) -> None:
        for k in K:
            if not 2 <= k <= most:
                raise KaxisError(f"K = {k}: '{self.name}' can have 2 to {most} classes with these options")


@dataclass(frozen=True, kw_only=True)
class TeacherSpec(SourceSpec):
    """The synthetic task (`kaxis.sources.synthetic`).

    Examples
    --------
    >>> TeacherSpec(teacher_width=128).label, TeacherSpec(margin="above:0.5").label
    ('synthetic/teacher_width:128', 'synthetic/margin:above:0.5')
    """

    real: ClassVar[bool] = False

    name: Name = SYNTHETIC.name
    n_train: Annotated[int, Ge(2), Le(100_000_000), Option("synthetic: training samples", "the same")] = 20_000
    n_test: Annotated[Samples, Option("synthetic: test samples", "the same")] = 5_000
    input_dim: Annotated[
        int,
        Ge(1),
        Le(1_000_000),
        Option("synthetic: input dimension", "not said; calibrated against the published BP accuracies"),
    ] = 32
    teacher_width: Annotated[
        int,
        Ge(1),
        Le(65_536),
        Option("synthetic: the teacher's hidden width", "not said; calibrated against the published BP accuracies"),
    ] = 64
    teacher_depth: Annotated[
        int, Ge(1), Le(1_000), Option("synthetic: the teacher's linear layers", '"3-layer ReLU network"')
    ] = 3
    teacher_init: Annotated[
        Literal["torch", "kaiming"],
        Option("synthetic: the teacher's initial weights", "not said; `torch` is uniform, 1/sqrt(fan-in)"),
    ] = "torch"
    teacher_bias: Annotated[bool, Option("synthetic: biases in the teacher", "not said")] = True
    label_noise: Annotated[
        float, Ge(0), Lt(1), Option("synthetic: share of training labels redrawn among the others", "0")
    ] = 0.0
    nested_teacher: Annotated[
        bool,
        Option(
            "synthetic: one teacher a seed, its output growing with K",
            "a new draw per seed; whether K shares it is not said",
        ),
    ] = False
    teacher_classes: Annotated[
        Count | None, Option("synthetic: the teacher's own classes, where labels are coarse or merged")
    ] = None
    superclasses: Annotated[
        Count | None, Option("synthetic: a teacher that chooses one of so many superclasses, then a class in it")
    ] = None
    balance: Annotated[
        Literal["none", "logits", "uniform"],
        Option(
            "synthetic: the teacher's own shares; logits standardised, so that every class occurs; and equal shares",
            "the teacher's own shares; the others are ours",
        ),
    ] = "none"
    margin: Annotated[
        str,
        Option(
            "synthetic: any; above:Q, below:Q of each class's margins (easy, hard); match:A (a probe's accuracy A)",
            "all samples; the others are ours",
        ),
    ] = "any"

    UNNAMED: ClassVar[Mapping[str, Any]] = {
        "labels": "fine",
        "teacher_classes": None,
        "superclasses": None,
        "balance": "none",
        "margin": "any",
        "per_class": None,
        "holdout": 0.0,
    }
    """With these the data are the plain generator's, bit for bit."""

    @property
    def label(self) -> str:
        named = [f.name for f in fields(self) if f.name not in (*self.UNNAMED, "name")]
        plain = _plain_teacher()
        parts = [self.name, *(f"{k}:{getattr(self, k)}" for k in named if getattr(self, k) != getattr(plain, k))]
        parts += [self.labels] if self.labels != "fine" else []
        parts += [f"{k}:{getattr(self, k)}" for k, v in self.UNNAMED.items() if k != "labels" and getattr(self, k) != v]
        return "/".join(parts)

    def fine_classes(self, K: int) -> int:
        """Classes that the teacher tells apart, before its labels are merged into K."""
        return self.teacher_classes or K

    def streams(self, K: int) -> dict[str, int | str]:
        key = SHARED if self.nested_teacher else self.fine_classes(K)
        used: dict[str, int | str] = dict.fromkeys(("inputs", "teacher"), key)
        used |= {"label_noise": key} if self.label_noise else {}
        used |= {"superclasses": key} if self.superclasses else {}
        used |= {"pool": key} if self.balance != "none" or self.margin != "any" else {}
        used |= {"merge": SHARED} if self.labels.startswith("merge:") else {}
        return used | ({"holdout": SHARED} if self.holdout else {})

    def checked(self, K: tuple[int, ...]) -> tuple[int, ...]:
        match = re.fullmatch(r"merge:(\d+)", self.labels)
        views = self.superclasses if self.labels == "coarse" else int(match[1]) if match else None
        K = K or ((views,) if views else (5, 10, 50))
        self._check_views(K)
        self._check_K(K, views or self.n_train)
        for k in K:
            if views and k != views:
                raise KaxisError(f"K = {k}: a teacher's {self.labels} labels are {views}")
        return K

    def _check_views(self, K: Sequence[int]) -> None:
        """Refuse combinations that make no task."""
        labels, fine, groups = self.labels, self.teacher_classes, self.superclasses
        parse_margin(self.margin)
        if labels not in ("fine", "coarse") and not re.fullmatch(r"merge:\d+", labels):
            raise KaxisError(f"labels '{labels}': a synthetic task has {hint(labels, ['fine', 'coarse', 'merge:N'])}")
        if labels == "coarse" and groups is None:
            raise KaxisError("labels = coarse: name the teacher's superclasses, e.g. --superclasses 5")
        if labels == "fine" and fine is not None:
            raise KaxisError(
                f"teacher_classes = {fine}: for coarse and merged labels; with fine ones K is their number"
            )
        if labels != "fine" and fine is None:
            raise KaxisError(f"labels = {labels}: name the teacher's own classes, e.g. --teacher-classes 50")
        for classes in [fine] if fine is not None else K:
            if groups is not None and not 2 <= groups <= classes:
                raise KaxisError(f"superclasses = {groups}: 2 or more, and no more than the {classes} classes")
            if labels.startswith("merge:") and not 2 <= int(labels[6:]) <= classes:
                raise KaxisError(f"labels '{labels}': {classes} classes can be merged into 2 to {classes} groups")


@cache
def _plain_teacher() -> TeacherSpec:
    return TeacherSpec()


@dataclass(frozen=True, kw_only=True)
class ImageSpec(SourceSpec):
    """A set of images.

    Examples
    --------
    >>> ImageSpec(name="cifar100", labels="merge:20", features="pca:32", train_total=2500).label
    'cifar100/merge:20/pca:32/total:2500'
    """

    real: ClassVar[bool] = True

    classes: Annotated[
        Strings,
        Option(
            "classes by name, instead of K drawn by the seed",
            "not said; ours: the first K of the seed's permutation, so subsets nest along K",
            "drawn by the seed",
        ),
    ] = ()
    subset: Annotated[
        str,
        Option(
            "which K fine classes: any; within (few superclasses), within:NAME[+NAME], across (many superclasses)",
            "`within` and `across` are ours",
        ),
    ] = "any"
    size: Annotated[
        Annotated[int, Ge(8), Le(4_096)] | None,
        Option(
            "side of the images in pixels",
            "28 px sets at 32 px; how is not said",
            "the set's own; 28 px sets get a black border of 2 px",
        ),
    ] = None
    features: Annotated[
        str,
        Option(
            "raw pixels or pca:D, standardised on the training images",
            "raw images for its conv nets; `pca:D` (whitened, for the matched MLP) is ours",
        ),
    ] = "raw"
    train_total: Annotated[
        Annotated[int, Ge(2), Le(100_000_000)] | None,
        Option("training images in all, balanced, constant along K", "all images; the control is ours", "all images"),
    ] = None

    UNNAMED: ClassVar[Mapping[str, Any]] = {"subset": "any", "size": None, "holdout": 0.0}

    @property
    def set_name(self) -> str:
        """What `kaxis.sources.images.load_images` calls the set: its name and, where it has several, the split."""
        return self.name

    @property
    def label(self) -> str:
        parts = [self.name, *self._split()]
        parts += [self.labels] if self.labels != "fine" else []
        parts += [self.features] if self.features != "raw" else []
        parts += [f"size:{self.size}"] if self.size else []
        parts += [self.subset] if self.subset != "any" else []
        parts += ["classes:" + "+".join(self.classes)] if self.classes else []
        parts += [f"per:{self.per_class}"] if self.per_class else []
        parts += [f"total:{self.train_total}"] if self.train_total else []
        parts += [f"holdout:{self.holdout}"] if self.holdout else []
        return "/".join(parts)

    def _split(self) -> list[str]:
        return []

    def streams(self, K: int) -> dict[str, int | str]:
        used: dict[str, int | str] = {"merge": SHARED} if self.labels.startswith("merge:") else {}
        used |= {} if self.classes else {"classes": SHARED}
        used |= {"sample": SHARED} if self.per_class or self.train_total else {}
        return used | ({"holdout": SHARED} if self.holdout else {})

    def checked(self, K: tuple[int, ...]) -> tuple[int, ...]:
        available = n_classes(self.name, self.labels) or 0
        if not (self.features == "raw" or re.fullmatch(r"pca:[1-9]\d*", self.features)):
            raise KaxisError(f"features '{self.features}' is not raw or pca:D with D = 1, 2, ...")
        self._check_subset()
        if self.per_class and self.train_total:
            raise KaxisError(f"per_class = {self.per_class} and train_total = {self.train_total}: choose one")
        if len(set(self.classes)) != len(self.classes):
            raise KaxisError(f"classes = {' '.join(self.classes)}: a class is named twice")
        most = len(self.classes) or available
        K = K or (most,)
        self._check_K(K, most)
        for k in K:
            if self.classes and k != most:
                raise KaxisError(f"K = {k}: {most} classes are named")
            if self.train_total and self.train_total < k:
                raise KaxisError(f"train_total = {self.train_total}: less than one image for each of K = {k} classes")
        return K

    def _check_subset(self) -> None:
        """``any``, or for fine classes with superclasses ``across``, ``within``, ``within:NAME[+NAME]``."""
        text = self.subset
        if text == "any":
            return
        if not (text in ("across", "within") or text.startswith("within:")):
            raise KaxisError(f"subset '{text}' is not {hint(text, ['any', 'across', 'within', 'within:NAME'])}")
        if "coarse" not in source_info(self.name).views or self.labels != "fine":
            raise KaxisError(f"subset '{text}': needs the fine labels of a source with superclasses, such as cifar100")
        if self.classes:
            raise KaxisError(f"subset = {text} and classes = {' '.join(self.classes)}: choose one")


@dataclass(frozen=True, kw_only=True)
class DigitsSpec(ImageSpec):
    """Scikit-learn's digits, which can be split in two ways.

    Examples
    --------
    >>> DigitsSpec(name="digits").label, DigitsSpec.restored({"name": "digits"}).label
    ('digits', 'digits/interleaved')
    """

    split: Annotated[
        Literal["writers", "interleaved"],
        Option(
            "digits: tested on writers that no training image is of, or on every third image, as before version 0.2"
        ),
    ] = "writers"

    UNNAMED: ClassVar[Mapping[str, Any]] = {**ImageSpec.UNNAMED, "split": "interleaved"}

    @property
    def set_name(self) -> str:
        return f"{self.name}/writers" if self.split == "writers" else self.name

    def _split(self) -> list[str]:
        return ["interleaved"] if self.split == "interleaved" else []


def source_kind(name: str) -> type[TeacherSpec] | type[ImageSpec]:
    """Whose options a source has."""
    if name == SYNTHETIC.name:
        return TeacherSpec
    return DigitsSpec if name == "digits" else ImageSpec


def source_spec(config: Mapping[str, Any]) -> TeacherSpec | ImageSpec:
    """The ``source`` part of a configuration."""
    return source_kind(config["name"]).restored(config)


def parse_margin(text: str) -> tuple[str, float]:
    """``any``; ``above:Q`` or ``below:Q``, the share Q of a class's samples that lies below the edge; ``match:A``, the
    probe's accuracy.

    Raises
    ------
    KaxisError
        For anything else, or a number outside 0 .. 1.

    Examples
    --------
    >>> parse_margin("above:0.5"), parse_margin("any")
    (('above', 0.5), ('any', 0.0))
    """
    kind, colon, number = text.partition(":")
    if text == "any":
        return "any", 0.0
    if kind not in ("above", "below", "match") or not colon:
        raise KaxisError(f"margin '{text}' is not {hint(kind, ['any', 'above:Q', 'below:Q', 'match:A'])}")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        what = "normalised accuracy of the probe" if kind == "match" else "quantile"
        raise KaxisError(f"margin '{text}': the {what} lies between 0 and 1")
    return kind, value
