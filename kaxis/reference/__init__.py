"""The published numbers, as data: for overlays and for tables that set ours beside them."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["published"]


@cache
def published() -> dict[str, Any]:
    """The tables of arXiv 2606.06539 that this package compares with.

    Returns
    -------
    dict
        ``synthetic``: a list of rows ``K``, ``learner``, ``test`` and ``gap`` (per cent and pp, means of 5 seeds);
        ``real``: rows ``source``, ``K``, ``learner``, ``baseline``, ``effect`` (pp), ``note``; ``accuracy``: rows
        ``source``, ``K``, ``learner``, ``net``, ``test``; ``seeds``: of each of these tables.

    Examples
    --------
    >>> row = published()["synthetic"][0]
    >>> row["K"], row["learner"], row["test"]
    (5, 'bp', 83.8)
    """
    return tomllib.loads(files("kaxis.reference").joinpath("published.toml").read_text("utf-8"))
