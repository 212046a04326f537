"""The rungs of the Forward-Forward ladder, by name: learners of the package that are code."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

__all__ = ["LADDER", "rung"]


def rung(**kind: Any) -> Callable[..., Any]:
    """How one is built."""

    def build(start: Any, **settings: Any) -> Any:
        ladder = importlib.import_module("kaxis.nets.ladder")  # by name: torch, and a room below
        return ladder.Ladder(start, **kind, **settings)

    return build


_PAPERS = {"learned": True, "mean": True}
LADDER: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "ff": ({}, {"threshold": 0.15}),
    "ff_bn": ({"everywhere": True}, {"threshold": 0.15}),
    "ff_mean": ({"mean": True}, {"threshold": 0.15}),
    "ff_margin": (_PAPERS, {}),
    "ff_hybrid": ({**_PAPERS, "classifier": "plain"}, {"weight": 1.0}),
    "ff_hybrid_ln": ({**_PAPERS, "classifier": "layernorm"}, {"weight": 1.0}),
    "ff_hybrid_bn": ({**_PAPERS, "classifier": "batchnorm"}, {"weight": 1.0}),
}
"""The Forward-Forward MLPs (`kaxis.nets.ladder`): what makes each, and what may be set in brackets. Each differs from
the one that it is compared with in one thing: ff_bn and ff_mean from ff, ff_margin from ff_mean, ff_hybrid from
ff_margin, the last two from ff_hybrid."""
