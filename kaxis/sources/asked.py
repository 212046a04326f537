"""What may be asked of a source: options that it has, classes that there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kaxis.errors import KaxisError
from kaxis.sources.catalog import TEACHER_DEFAULTS, validate_features, validate_subset
from kaxis.sources.knobs import NEUTRAL, available_classes, check_knobs
from kaxis.sources.lookup import n_classes, source_info

__all__ = ["check_source"]

TEACHER_KNOBS = tuple(name for name in NEUTRAL if name not in ("labels", "per_class", "holdout"))
"""Knobs of the synthetic task that no real source has."""

REAL = ("classes", "subset", "size", "features", "train_total")
"""Options of real sources alone."""


def check_source(leg: Any, defaults: Mapping[str, Any]) -> tuple[tuple[int, ...], bool, int | None]:
    """Refuse what a leg's source cannot give.

    Parameters
    ----------
    leg : Leg
    defaults : mapping
        Of its fields.

    Returns
    -------
    K : tuple of int
        The numbers of classes asked for, or all there are.
    real : bool
        Whether it is made of images.
    size : int or None
        Their own side in pixels.

    Raises
    ------
    KaxisError
        Naming the option, or the number of classes, that does not fit.
    """
    info = source_info(leg.source)
    real = info.real
    available = n_classes(leg.source, leg.labels) if real else available_classes(leg.labels, leg.superclasses)
    for name in (*TEACHER_DEFAULTS, *TEACHER_KNOBS) if real else REAL:
        if getattr(leg, name) != defaults[name]:
            raise KaxisError(f"{name} = {getattr(leg, name)}: not an option of the source '{leg.source}'")
    if leg.source != "digits" and leg.split != defaults["split"]:
        raise KaxisError(f"split = {leg.split}: not an option of the source '{leg.source}', which has one split")
    validate_features(leg.features)
    validate_subset(leg.subset, info.views, leg.labels)
    if leg.subset != "any" and leg.classes:
        raise KaxisError(f"subset = {leg.subset} and classes = {' '.join(leg.classes)}: choose one")
    if leg.per_class and leg.train_total:
        raise KaxisError(f"per_class = {leg.per_class} and train_total = {leg.train_total}: choose one")
    if len(set(leg.classes)) != len(leg.classes):
        raise KaxisError(f"classes = {' '.join(leg.classes)}: a class is named twice")
    K = leg.K or ((len(leg.classes) or available,) if available else (5, 10, 50))
    if not real:
        check_knobs({name: getattr(leg, name) for name in NEUTRAL}, K)
    most = len(leg.classes) or available or leg.n_train
    for k in K:
        if not 2 <= k <= most:
            raise KaxisError(f"K = {k}: '{leg.source}' can have 2 to {most} classes with these options")
        if leg.classes and k != most:
            raise KaxisError(f"K = {k}: {most} classes are named")
        if not real and available and k != available:
            raise KaxisError(f"K = {k}: a teacher's {leg.labels} labels are {available}")
        if leg.train_total and leg.train_total < k:
            raise KaxisError(f"train_total = {leg.train_total}: less than one image for each of K = {k} classes")
    return K, real, info.size
