"""Settings chosen on held-out samples: the candidates of one tuned learner."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

from kaxis.errors import KaxisError
from kaxis.spec.learners import Learner, canonical, parse

__all__ = ["grid", "tuned_config"]

MOST = 100
"""Candidates that a learner may have."""


def grid(asked: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What ``--tune lr=0.001,0.003 clip=0,1`` asks for.

    Raises
    ------
    KaxisError
        For what is no ``key=value,value``, a key or value given twice, and more than 100 candidates.

    Examples
    --------
    >>> grid(["lr=1e-3,0.003"])
    {'lr': ('0.001', '0.003')}
    """
    out: dict[str, tuple[str, ...]] = {}
    for item in asked:
        key, _, text = (part.strip() for part in item.partition("="))
        values = tuple(canonical(v.strip()) for v in text.split(",") if v.strip())
        if not key or not values:
            raise KaxisError(f"tune = {item}: write a setting and its values, for example lr=0.0003,0.001,0.003")
        if key in out:
            raise KaxisError(f"tune = {item}: {key} is given twice; write its values in one")
        if twice := [v for v, n in Counter(values).items() if n > 1]:
            raise KaxisError(f"tune = {item}: {twice[0]} is given twice")
        out[key] = values
    if (n := math.prod(map(len, out.values()))) > MOST:
        raise KaxisError(f"tune: {n:,} candidates for each learner, {MOST} at most")
    return out


def tuned_config(
    row: Learner, values: Mapping[str, Sequence[str]], config: Callable[[Learner], dict[str, Any]]
) -> dict[str, Any]:
    """The ``learner`` part of a tuned learner's configuration: its name, the grid, and each candidate's own part.

    Raises
    ------
    KaxisError
        If a setting does not reach the learner, or its name says it already.
    """
    base, _, bracket = row.name.rstrip("]").partition("[")
    said = [item for item in bracket.split(",") if item]
    if twice := [item.partition("=")[0] for item in said if item.partition("=")[0] in values]:
        raise KaxisError(f"tune = {twice[0]}: learner '{row.name}' says {twice[0]} itself")
    candidates = []
    for chosen in product(*values.values()):
        names = [f"{key}={value}" for key, value in zip(values, chosen, strict=True)]
        candidates.append(config(parse(f"{base}[{','.join([*said, *names])}]")))
    return {
        **candidates[0],
        "name": row.name,
        "tune": {k: list(v) for k, v in values.items()},
        "candidates": candidates,
    }
