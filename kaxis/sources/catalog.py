"""What sources there are, known without loading any data: names, classes, label views, canonical strings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kaxis.errors import KaxisError, hint

__all__ = ["CATALOG", "SourceInfo", "n_classes", "source_label", "validate_features"]


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
    """

    name: str
    views: Mapping[str, int]
    about: str

    @property
    def real(self) -> bool:
        return bool(self.views)


CATALOG: dict[str, SourceInfo] = {
    s.name: s
    for s in (
        SourceInfo("synthetic", {}, "random ReLU teacher on standard normal inputs, any K"),
        SourceInfo("digits", {"fine": 10}, "8 x 8 grey digits of scikit-learn, embedded, 1,797 images"),
        SourceInfo("cifar10", {"fine": 10}, "CIFAR-10, 32 x 32 colour, 60,000 images, download 162 MiB"),
        SourceInfo(
            "cifar100", {"fine": 100, "coarse": 20}, "CIFAR-100, 32 x 32 colour, 60,000 images, download 161 MiB"
        ),
    )
}


def n_classes(name: str, view: str) -> int | None:
    """Classes of a source under a label view; None for a source with as many as asked for.

    Raises
    ------
    KaxisError
        For an unknown source or view, or ``merge:N`` with N outside 2 .. classes.

    Examples
    --------
    >>> n_classes("cifar100", "merge:20"), n_classes("cifar100", "fine"), n_classes("synthetic", "fine")
    (20, 100, None)
    """
    if name not in CATALOG:
        raise KaxisError(f"source '{name}' is not {hint(name, CATALOG)}")
    views = CATALOG[name].views
    if not views:
        if view != "fine":
            raise KaxisError(f"labels '{view}': a synthetic task has no label views")
        return None
    if view in views:
        return views[view]
    if match := re.fullmatch(r"merge:(\d+)", view):
        groups = int(match[1])
        if not 2 <= groups <= views["fine"]:
            raise KaxisError(f"labels 'merge:{groups}': {name} can be merged into 2 to {views['fine']} groups")
        return groups
    raise KaxisError(f"labels '{view}': {name} has {hint(view, [*views, 'merge:N'])}")


def validate_features(text: str) -> str:
    """``raw`` or ``pca:D`` with D >= 1, else a one-line error."""
    if text == "raw" or re.fullmatch(r"pca:[1-9]\d*", text):
        return text
    raise KaxisError(f"features '{text}' is not raw or pca:D with D = 1, 2, ...")


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
    """
    parts = [source["name"]]
    if source["name"] == "synthetic":
        parts += [f"{k}:{source[k]}" for k, default in TEACHER_DEFAULTS.items() if source[k] != default]
        return "/".join(parts)
    if source.get("labels", "fine") != "fine":
        parts.append(source["labels"])
    if source.get("features", "raw") != "raw":
        parts.append(source["features"])
    if source.get("classes"):
        parts.append("classes:" + "+".join(source["classes"]))
    if source.get("per_class"):
        parts.append(f"per:{source['per_class']}")
    if source.get("train_total"):
        parts.append(f"total:{source['train_total']}")
    return "/".join(parts)
