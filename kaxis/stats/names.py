"""One name for what is one learner under several: at a learning rate of its own on each source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from kaxis.errors import KaxisError
from kaxis.stats.blocks import check_there

__all__ = ["called"]


def called(cube: xr.Dataset, names: Mapping[str, Sequence[str]]) -> xr.Dataset:
    """A cube in which several learners, each of other sources, stand under one name, so that sources can be compared.

    Parameters
    ----------
    cube : Dataset
    names : mapping of str to sequence of str
        The name and its learners. One that has this name already stays where the others are not.

    Returns
    -------
    Dataset
        The cube with these learners under the name.

    Raises
    ------
    KaxisError
        If a learner is not there, or two of one name were run on one source.

    Examples
    --------
    >>> from kaxis.stats.tables import cube_from_rows
    >>> rows = [("digits", "A", 0.5), ("cifar10", "A[lr=0.1]", 0.25)]
    >>> cube = cube_from_rows([dict(source=s, K=5, learner=n, seed=0, accuracy=a) for s, n, a in rows])
    >>> float(called(cube, {"A": ["A[lr=0.1]"]}).test_accuracy.sel(learner="A", source="cifar10").squeeze())
    0.25
    """
    for name, learners in names.items():
        for one in learners:
            check_there(cube, one)
        there = [str(n) for n in cube.learner.values]
        own = list(dict.fromkeys([*([name] if name in there else []), *learners]))
        asked = cube.asked.sel(learner=own).any(("K", "seed")).transpose("source", "learner").values
        for source, who in zip(map(str, cube.source.values), asked, strict=True):
            if who.sum() > 1:
                two = " and ".join(np.array(own)[who])
                raise KaxisError(f"call {name}: {source} has {two}; one of a source can have the name")
        # Of each source the learner that it has.
        at = xr.DataArray(asked.argmax(1), dims="source")
        place = xr.DataArray(np.arange(cube.sizes["source"]), dims="source")
        one_name = cube.sel(learner=own).isel(source=place, learner=at).drop_vars("learner")
        rest = cube.drop_sel(learner=own)
        joined = xr.concat(
            [rest, one_name.expand_dims(learner=[name])],
            "learner",
            data_vars="minimal",
            coords="minimal",
            compat="override",
            combine_attrs="override",
        )
        order = [n if n not in own else name for n in there]
        cube = joined.sel(learner=list(dict.fromkeys(order))).transpose(*cube.dims)
    return cube
