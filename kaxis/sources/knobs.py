"""The synthetic task's knobs for difficulty, balance and hierarchy: their names, values and checks (all ours)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kaxis.errors import KaxisError, hint

__all__ = ["NEUTRAL", "available_classes", "check_knobs", "fine_classes", "parse_margin"]

NEUTRAL: dict[str, Any] = {
    "labels": "fine",
    "teacher_classes": None,
    "superclasses": None,
    "balance": "none",
    "margin": "any",
    "per_class": None,
    "holdout": 0.0,
}
"""Values with which the data are the plain generator's, bit for bit. Only what differs is part of a configuration."""


def parse_margin(text: str) -> tuple[str, float]:
    """``any``; ``above:Q`` or ``below:Q``, the share Q of a class's samples that lies below the edge; ``match:A``, the probe's accuracy.

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


def fine_classes(source: Mapping[str, Any], K: int) -> int:
    """Classes that the teacher tells apart, before its labels are merged into K."""
    return int(source.get("teacher_classes") or K)


def available_classes(labels: str, superclasses: int | None) -> int | None:
    """K of a label view of the teacher; None for its own classes, as many as asked for."""
    if labels == "coarse":
        return superclasses
    match = re.fullmatch(r"merge:(\d+)", labels)
    return int(match[1]) if match else None


def check_knobs(options: Mapping[str, Any], K: Sequence[int]) -> None:
    """Refuse combinations that make no task.

    Parameters
    ----------
    options : mapping
        With the keys of `NEUTRAL`.
    K : sequence of int

    Raises
    ------
    KaxisError
        In one line.
    """
    labels, fine, groups = options["labels"], options["teacher_classes"], options["superclasses"]
    parse_margin(options["margin"])
    if labels not in ("fine", "coarse") and not re.fullmatch(r"merge:\d+", labels):
        raise KaxisError(f"labels '{labels}': a synthetic task has {hint(labels, ['fine', 'coarse', 'merge:N'])}")
    if labels == "coarse" and groups is None:
        raise KaxisError("labels = coarse: name the teacher's superclasses, e.g. --superclasses 5")
    if labels == "fine" and fine is not None:
        raise KaxisError(f"teacher_classes = {fine}: for coarse and merged labels; with fine ones K is their number")
    if labels != "fine" and fine is None:
        raise KaxisError(f"labels = {labels}: name the teacher's own classes, e.g. --teacher-classes 50")
    for classes in [fine] if fine is not None else K:
        if groups is not None and not 2 <= groups <= classes:
            raise KaxisError(f"superclasses = {groups}: 2 or more, and no more than the {classes} classes")
        if labels.startswith("merge:") and not 2 <= int(labels[6:]) <= classes:
            raise KaxisError(f"labels '{labels}': {classes} classes can be merged into 2 to {classes} groups")
