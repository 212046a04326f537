"""What several tests make by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from kaxis.measure.locality import locality
from kaxis.measure.subject import Subject, subject, subjects


def published(**options: Any) -> dict[str, Subject]:
    return {s.name: s for s in subjects(net="vgg8", **options)}


def reached(net: str, learner: str, **options: Any) -> tuple[np.ndarray[Any, Any], str]:
    shape = {"width": 0.0625} if net != "mlp" else {}
    matrix = locality(subject(net=net, learners=[learner], batch=8, **{**shape, **options}))
    return matrix.values, matrix.attrs["pattern"]
