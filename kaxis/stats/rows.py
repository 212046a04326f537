"""From a result to plain rows: what tables, JSON and CSV show."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from kaxis.errors import KaxisError

__all__ = ["rows"]

PLACES = ("source", "K", "layer", "class")


def rows(result: xr.Dataset) -> list[dict[str, Any]]:
    """One row for each source (and K, layer, class) that has any seeds, its variables as plain numbers.

    Parameters
    ----------
    result : Dataset
        From `paired`, `gap`, `layers`, `contrast`, `equivalence`, `shrunk`, `over_images` or `per_class`.

    Returns
    -------
    list of dict
        ``source``, ``K`` (None for a contrast), ``layer``, ``class`` (where there are), ``learner``, ``baseline``,
        ``effect``, ``ci_lower``, ``ci_upper``, and every other variable by its name; an interval ``x_ci`` as
        ``x_lower``, ``x_upper``. Each seed's own numbers stay in the Dataset.

    Raises
    ------
    KaxisError
        For a result that has no effect with an interval at each source.
    """
    places = set(result.effect.dims) if "effect" in result else set()
    if "source" not in places or not places <= set(PLACES) or not _has_intervals(result):
        raise KaxisError(
            "rows: of a result with an effect and its interval at each source; this one has none, or further dims"
        )
    dims = [d for d in PLACES if d in result.effect.dims]
    shape = tuple(result.sizes[d] for d in dims)
    columns: dict[str, np.ndarray] = {}
    for name, variable in result.data_vars.items():
        if set(variable.dims) <= {*dims}:
            columns[str(name)] = np.broadcast_to(variable.broadcast_like(result.effect).transpose(*dims).values, shape)
        elif set(variable.dims) == {*dims, "ci_bound"}:
            values = variable.transpose("ci_bound", *dims).values
            stem = str(name) if name == "ci" else str(name).removesuffix("_ci")
            columns |= {f"{stem}_{bound}": values[i] for i, bound in enumerate(("lower", "upper"))}
    out = []
    for at in np.ndindex(*shape):
        if not columns["n_seeds"][at]:
            continue
        place = {d: _plain(result[d].values[i]) for d, i in zip(dims, at, strict=True)}
        row = {"source": place["source"], "K": None, **place}
        row |= {"learner": result.attrs["learner"], "baseline": result.attrs["baseline"]}
        values_at = {name: _plain(values[at]) for name, values in columns.items()}
        out.append(row | {k: values_at[k] for k in ("effect", "ci_lower", "ci_upper")} | values_at)
    return out


def _has_intervals(result: xr.Dataset) -> bool:
    """Whether each effect has an interval: of `over_sets` only their mean has one."""
    return {"n_seeds", "ci"} <= set(result) and set(result.ci.dims) == {*result.effect.dims, "ci_bound"}


def _plain(value: Any) -> Any:
    """A numpy scalar as what Python has for it."""
    return value.item() if isinstance(value, np.generic) else value
