"""One number per seed and source, of whatever question along K."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from kaxis.errors import KaxisError
from kaxis.stats.blocks import attributes, check_pair, difference
from kaxis.stats.contrasts import contrast

__all__ = ["numbers"]


def numbers(
    cube: xr.Dataset, learner: str, baseline: str, K: int | None, shape: dict[str, Any]
) -> tuple[xr.DataArray, dict[str, Any]]:
    """The effect at one K in pp, or a contrast along K (`shape`: what `contrast` takes); over (source, seed), NaN where
    a seed has none. With what they are: ``contrast``, ``units``.

    Raises
    ------
    KaxisError
        For learners or a K that are not there, a K with a shape, or where no source has such numbers.
    """
    check_pair(cube, learner, baseline)
    if K is not None and shape:
        raise KaxisError(f"K = {K} and {', '.join(shape)}: an effect at one K has no {next(iter(shape))}")
    if K is None:
        result = contrast(cube, learner=learner, baseline=baseline, drop_incomplete=True, **shape)
        used = dict(zip(map(str, result.source.values), map(str, result.used_K.values), strict=True))
        return result.per_seed, {**result.attrs, "used_K": used}
    if K not in cube.K.values:
        raise KaxisError(f"K = {K} is not there; there is {', '.join(map(str, cube.K.values))}")
    apart = 100 * difference(cube.test_accuracy.where(cube.status == "done"), learner, baseline).sel(K=K, drop=True)
    there = apart.notnull().any("seed")
    lost = [f"{s}: no seed has both {learner} and {baseline} at K = {K}" for s in apart.source.values[~there.values]]
    apart = apart.isel(source=np.flatnonzero(there.values))
    if not apart.sizes["source"]:
        raise KaxisError(f"K = {K}: no seed has both {learner} and {baseline} done")
    about = attributes(cube, learner, baseline, kind="", prob=0.95) | {"contrast": f"effect at K = {K}", "units": "pp"}
    about["refused"] = lost
    return apart.transpose("source", "seed"), about
