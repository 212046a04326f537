"""What sources there are, known without loading any data: names, classes, label views, canonical strings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kaxis.errors import KaxisError, hint
from kaxis.registry import Registry, modules
from kaxis.sources.info import ImageSet, SourceInfo
from kaxis.sources.knobs import NEUTRAL

__all__ = [
    "ADDED",
    "AUGMENTATIONS",
    "CATALOG",
    "OWN",
    "SETS",
    "set_name",
    "source_label",
    "validate_features",
    "validate_subset",
]


SYNTHETIC = SourceInfo("synthetic", {}, "random ReLU teacher on standard normal inputs, any K")

SETS: dict[str, ImageSet] = {made.info.name: made for family in modules("kaxis.sources.sets") for made in family.SETS}
"""The package's own; 28 px sets get a border of two pixels (ours; the paper says 32 px)."""

CATALOG: dict[str, SourceInfo] = {s.name: s for s in (SYNTHETIC, *(made.info for made in SETS.values()))}

ADDED: Registry[ImageSet] = Registry("source", "kaxis.sets")
"""Those of installed packages."""

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
