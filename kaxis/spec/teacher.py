"""The synthetic task's options; difficulty, balance and hierarchy are ours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Le, Lt

from kaxis.errors import KaxisError, hint
from kaxis.spec.catalog import SYNTHETIC
from kaxis.spec.options import Option
from kaxis.spec.source import Name, Samples, SourceSpec
from kaxis.streams import SHARED

__all__ = ["TeacherSpec", "parse_margin"]

Count = Annotated[int, Ge(2), Le(100_000)]


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
