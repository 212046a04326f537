"""The options of image sets, and whose options a source has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Le

from kaxis.errors import KaxisError, hint
from kaxis.spec.catalog import SYNTHETIC, n_classes, source_info
from kaxis.spec.options import Option, Strings
from kaxis.spec.source import SourceSpec
from kaxis.spec.teacher import TeacherSpec
from kaxis.streams import SHARED

__all__ = ["DigitsSpec", "ImageSpec", "source_kind", "source_spec"]

PHOTOGRAPH = 224
"""Side in pixels of images that have no size of their own."""


def _unjoined(name: str) -> str:
    """A class name in a list of them that is joined by ``+``."""
    return name.replace("%", "%25").replace("+", "%2B")


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
            "the set's own; 28 px sets get a black border of 2 px; folders 224",
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
    def side(self) -> int:
        """Of the images that a conv net sees, in pixels: as asked for, else the set's own, else 224."""
        return self.size or source_info(self.name).size or PHOTOGRAPH

    @property
    def label(self) -> str:
        parts = [self.name, *self._split()]
        parts += [self.labels] if self.labels != "fine" else []
        parts += [self.features] if self.features != "raw" else []
        parts += [f"size:{self.size}"] if self.size else []
        parts += [self.subset] if self.subset != "any" else []
        parts += ["classes:" + "+".join(map(_unjoined, self.classes))] if self.classes else []
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
