"""Each learner at its best: settings chosen on held-out training samples, seed by seed, so that choosing is part of
the learner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from kaxis.errors import KaxisError
from kaxis.stats.blocks import check_there

__all__ = ["tuned"]


def tuned(cube: xr.Dataset, grids: Mapping[str, Sequence[str]]) -> xr.Dataset:
    """A cube of tuned learners: at each (source, K, seed) the one of a grid's learners that did best on the held-out
    samples.

    The choice never sees the test set, and is made anew in every seed: the result is one number per seed of "train with
    each setting, keep the best on what was held out".

    Parameters
    ----------
    cube : Dataset
        Trained with ``holdout``.
    grids : mapping of str to sequence of str
        Name of a tuned learner to the learners it chooses from, e.g. ``{"dtg_ff": ["dtg_ff", "dtg_ff[lr=0.003]"]}``.

    Returns
    -------
    Dataset
        With the tuned learners alone, as every analysis takes it; ``chosen`` (source, K, learner, seed) names the
        choice. A cell is done where all of its grid are.

    Raises
    ------
    KaxisError
        For a learner that is not there, or one without held-out accuracy.
    """
    if not grids or not all(grids.values()):
        raise KaxisError("tuned: name a learner with the learners that it chooses from")
    made = []
    for name, grid in grids.items():
        for n in grid:
            check_there(cube, n)
        own = cube.sel(learner=list(grid))
        done = own.status == "done"
        held = own.held_accuracy.where(done).notnull() if "held_accuracy" in own else xr.zeros_like(done)
        if lost := [n for n in grid if (done & own.asked).sel(learner=n).any() and not held.sel(learner=n).any()]:
            raise KaxisError(f"{name}: no held-out accuracy to choose by, of {lost[0]}; run with --holdout 0.1")
        whole = (done & own.held_accuracy.notnull()).all("learner")
        best = own.held_accuracy.fillna(-np.inf).argmax("learner")
        one = own[["test_accuracy", "train_accuracy", "chance", "finished"]].isel(learner=best).drop_vars("learner")
        asked = own.asked.any("learner")
        status = xr.where(whole, "done", xr.where((own.status == "failed").any("learner"), "failed", "missing"))
        one = one.assign(status=status, asked=asked, reason=xr.full_like(status, ""))
        one["chosen"] = xr.where(whole, xr.DataArray(np.array(list(grid))[best.values], dims=best.dims), "")
        for variable in ("test_accuracy", "train_accuracy"):
            one[variable] = one[variable].where(whole)
        made.append(one.expand_dims(learner=[name]))
    out = xr.concat(made, "learner").transpose("source", "K", "learner", "seed")
    out.attrs |= cube.attrs
    return out
