"""What sources there are, known without loading any data: names, classes, label views, canonical strings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kaxis.errors import KaxisError, hint
from kaxis.sources.knobs import NEUTRAL

__all__ = [
    "AUGMENTATIONS",
    "CATALOG",
    "OWN",
    "SourceInfo",
    "set_name",
    "source_label",
    "validate_features",
    "validate_subset",
]


@dataclass(frozen=True)
class SourceInfo:
    """A source: how many classes it has in each label view, and where it comes from.

    Parameters
    ----------
    name : str
    views : dict of str to int
        Classes of each named label view; empty for the synthetic teacher, which has as many as asked for.
    about : str
        One line for ``kaxis data list``.
    size : int or None
        Side of its images in pixels; None where they have no size of their own.
    train, test : int
        Images.
    licence : str
    download : int
        MiB.
    channels : int
        Of its raw features.
    """

    name: str
    views: Mapping[str, int]
    about: str
    size: int | None = None
    train: int = 0
    test: int = 0
    licence: str = ""
    download: int = 0
    channels: int = 3

    @property
    def real(self) -> bool:
        return bool(self.views)


CATALOG: dict[str, SourceInfo] = {
    s.name: s
    for s in (
        SourceInfo("synthetic", {}, "random ReLU teacher on standard normal inputs, any K"),
        SourceInfo(
            "digits",
            {"fine": 10},
            "8 x 8 grey digits of scikit-learn, tested on other writers",
            8,
            1_157,
            640,
            "CC BY 4.0",
            channels=1,
        ),
        SourceInfo("cifar10", {"fine": 10}, "CIFAR-10, colour", 32, 50_000, 10_000, "none stated", 162),
        SourceInfo(
            "cifar100", {"fine": 100, "coarse": 20}, "CIFAR-100, colour", 32, 50_000, 10_000, "none stated", 161
        ),
        SourceInfo(
            "fashion_mnist", {"fine": 10}, "Fashion-MNIST, grey, 28 px with a border", 32, 60_000, 10_000, "MIT", 30
        ),
        SourceInfo("stl10", {"fine": 10}, "STL-10, labelled part, colour", 96, 5_000, 8_000, "none stated", 2_518),
        SourceInfo(
            "tiny_imagenet",
            {"fine": 200},
            "Tiny ImageNet, colour; its val set tests",
            64,
            100_000,
            10_000,
            "research only",
            237,
        ),
        SourceInfo(
            "imagenet100",
            {"fine": 100},
            "100 classes of your ImageNet",
            224,
            126_689,
            5_000,
            "ImageNet's terms, by sign-up",
        ),
        SourceInfo(
            "pathmnist", {"fine": 9}, "PathMNIST, colour, 28 px with a border", 32, 89_996, 7_180, "CC BY 4.0", 196
        ),
        SourceInfo(
            "dermamnist", {"fine": 7}, "DermaMNIST, colour, 28 px with a border", 32, 7_007, 2_005, "CC BY-NC 4.0", 19
        ),
        SourceInfo(
            "bloodmnist", {"fine": 8}, "BloodMNIST, colour, 28 px with a border", 32, 11_959, 3_421, "CC BY 4.0", 34
        ),
    )
}
"""Sizes and counts as their makers give them; 28 px sets get a border of two pixels (ours; the paper says 32 px)."""

AUGMENTATIONS = ("crop", "flip", "jitter", "grayscale", "cutout")

OWN = ("folder:", "npz:")
"""Prefixes of a user's own sets."""


def set_name(source: Mapping[str, Any]) -> str:
    """What `kaxis.sources.images.load_images` calls the set of a configuration: its name and, where it has several, the split.

    Examples
    --------
    >>> set_name({"name": "cifar10"}), set_name({"name": "digits", "split": "writers"})
    ('cifar10', 'digits/writers')
    """
    return "/".join([source["name"], *([source["split"]] if "split" in source else [])])


def validate_features(text: str) -> str:
    """``raw`` or ``pca:D`` with D >= 1, else a one-line error."""
    if text == "raw" or re.fullmatch(r"pca:[1-9]\d*", text):
        return text
    raise KaxisError(f"features '{text}' is not raw or pca:D with D = 1, 2, ...")


def validate_subset(text: str, views: Mapping[str, int], labels: str) -> None:
    """``any``, or for fine classes with superclasses ``across``, ``within``, ``within:NAME[+NAME]``."""
    if text == "any":
        return
    if not (text in ("across", "within") or text.startswith("within:")):
        raise KaxisError(f"subset '{text}' is not {hint(text, ['any', 'across', 'within', 'within:NAME'])}")
    if "coarse" not in views or labels != "fine":
        raise KaxisError(f"subset '{text}': needs the fine labels of a source with superclasses, such as cifar100")


TEACHER_DEFAULTS: dict[str, Any] = {
    "n_train": 20_000,
    "n_test": 5_000,
    "input_dim": 32,
    "teacher_width": 64,
    "teacher_depth": 3,
    "teacher_init": "torch",
    "teacher_bias": True,
    "label_noise": 0.0,
    "nested_teacher": False,
}


def source_label(source: Mapping[str, Any]) -> str:
    """The canonical string of a source: set, label view, features and sampling, defaults left out.

    Two cells have the same string exactly when they ask for the same data, whatever their K and seed.

    Examples
    --------
    >>> source_label({"name": "cifar100", "labels": "merge:20", "features": "pca:32", "train_total": 2500})
    'cifar100/merge:20/pca:32/total:2500'
    >>> source_label({"name": "synthetic", **TEACHER_DEFAULTS, "teacher_width": 128})
    'synthetic/teacher_width:128'
    >>> source_label({"name": "synthetic", **TEACHER_DEFAULTS, "margin": "above:0.5"})
    'synthetic/margin:above:0.5'
    >>> source_label({"name": "digits", "split": "writers"}), source_label({"name": "digits"})
    ('digits', 'digits/interleaved')
    """
    parts = [source["name"]]
    if source["name"] == "synthetic":
        parts += [f"{k}:{source[k]}" for k, default in TEACHER_DEFAULTS.items() if source[k] != default]
        parts += [source["labels"]] if source.get("labels", "fine") != "fine" else []
        parts += [f"{k}:{source[k]}" for k in NEUTRAL if k != "labels" and k in source]
        return "/".join(parts)
    if source["name"] == "digits" and "split" not in source:  # records from before writers were kept apart
        parts.append("interleaved")
    if source.get("labels", "fine") != "fine":
        parts.append(source["labels"])
    if source.get("features", "raw") != "raw":
        parts.append(source["features"])
    if source.get("size"):
        parts.append(f"size:{source['size']}")
    if source.get("subset"):
        parts.append(source["subset"])
    if source.get("classes"):
        parts.append("classes:" + "+".join(source["classes"]))
    if source.get("per_class"):
        parts.append(f"per:{source['per_class']}")
    if source.get("train_total"):
        parts.append(f"total:{source['train_total']}")
    if source.get("holdout"):
        parts.append(f"holdout:{source['holdout']}")
    return "/".join(parts)
