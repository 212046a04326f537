"""What the seeds of a source vary, in words: to what their intervals speak."""

from __future__ import annotations

from collections.abc import Sequence

from kaxis.spec.catalog import CATALOG

__all__ = ["population"]


def population(source: str, K: Sequence[int] = (), origin: str = "store") -> str:
    """Over what the seeds of a source vary, so to what its intervals speak.

    Parameters
    ----------
    source : str
    K : sequence of int
        Used; at as many classes as the set has, no seed draws a subset.
    origin : {"store", "table"}
        Of a table made elsewhere nothing is known.

    Examples
    --------
    >>> population("digits", [10]).partition("; ")[0]
    'digits: seeds vary initial weights and batch order on one fixed set'
    """
    if origin != "store":
        return (
            f"{source}: the table does not say what differs between its seeds, so it is not known what these intervals "
            "hold for."
        )
    merged = "/merge:" in f"/{source}"
    if source.split("/")[0] == "synthetic":
        grouping = "grouping of classes, " if merged else ""
        return (
            f"{source}: seeds vary teacher, inputs, {grouping}initial weights and batch order; nothing here speaks "
            "of other kinds of teacher."
        )
    drawn = ["initial weights", "batch order"]
    if any(f"/{key}:" in source for key in ("per", "total", "holdout")):
        drawn.insert(0, "sample of training images")
    if merged:
        drawn.insert(0, "grouping of classes")
    elif "/classes:" not in source and any(k != _classes(source) for k in K):
        limit = _classes(source)
        where = "where K leaves any out" if limit is None else f"below K = {limit}" if limit in K else ""
        drawn.insert(0, f"class subset ({where})" if where else "class subset")
    text = f"{', '.join(drawn[:-1])} and {drawn[-1]}"
    return f"{source}: seeds vary {text} on one fixed set; nothing here speaks of other images or other sets."


def _classes(source: str) -> int | None:
    """Classes of a source in its label view, as far as they are known without looking at any data."""
    name, *parts = source.split("/")
    if name not in CATALOG:  # a user's own set, or one of an installed package
        return None
    views = CATALOG[name].views
    return next((views[p] for p in parts if p in views), views.get("fine"))
