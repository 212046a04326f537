"""Where labelled data come from: the options that all sources have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le, Lt

from kaxis.errors import KaxisError
from kaxis.spec.options import Option, Spec

__all__ = ["SourceSpec"]

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
