"""Cubes in, effects out: seed-matched differences between two learners at each K.

Every function returns an `xarray.Dataset`: an interval has a dim ``ci_bound = [lower, upper]``, attrs say kind,
probability, units and family, and ``notes`` name the cells that are missing or failed.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from kaxis.errors import KaxisError
from kaxis.stats.blocks import attributes, check_pair, difference, estimates, intervals, ratios
from kaxis.stats.models import equivalence as tost
from kaxis.stats.multiplicity import holm, max_t_p, simultaneous_band
from kaxis.stats.scales import headroom, normalise, scaled

__all__ = ["comparable_layers", "equivalence", "gap", "layers", "normalise", "paired"]

EACH = "one per source and K, not adjusted"


def paired(cube: xr.Dataset, *, learner: str, baseline: str, interval: str = "t", prob: float = 0.95) -> xr.Dataset:
    """Seed-matched effects ``learner - baseline`` on test accuracy, for each source and K.

    Parameters
    ----------
    cube : Dataset
        Dims ``source, K, learner, seed``; see `kaxis.store.cube.build_cube`.
    learner, baseline : str
    interval : {"t", "studentized", "bca", "percentile"}
    prob : float
        Of all intervals.

    Returns
    -------
    Dataset
        Over (source, K): ``effect`` (pp), ``ci``, ``bootstrap_ci`` (percentile), ``p`` (exact sign-flip),
        ``wins``, ``n_seeds``; the same effect chance-normalised (``effect_normalised``, in per cent of the headroom
        above chance: a ratio of means with Fieller's interval ``normalised_ci``, infinite where it has no end, over
        ``n_normalised`` seeds; ``smallest_headroom`` of them, a fraction) and in log odds (``effect_logit``,
        ``logit_ci``, over the ``n_logit`` seeds with both accuracies inside 0 .. 1); ``difference`` (source, K, seed),
        in pp. A seed counts where both learners are done. Over all K of a source: ``p_holm``; and where its seeds are
        complete ``p_max_t`` (shared sign flips) and ``band``, which holds all K at once.

    Raises
    ------
    KaxisError
        If a learner is not in the cube, or is compared with itself; for an interval that there is not.
    """
    check_pair(cube, learner, baseline)
    pp = 100 * difference(cube.test_accuracy, learner, baseline)
    out = estimates(pp, interval, prob)
    room = headroom(cube, (learner, baseline))
    logit = scaled(cube, "logit", (learner, baseline))[0]
    others = {
        "normalised": ratios(pp, room, prob),
        "logit": intervals(difference(logit, learner, baseline), interval, prob),
    }
    for scale, other in others.items():
        out[f"effect_{scale}"], out[f"{scale}_ci"], out[f"n_{scale}"] = other.effect, other.ci, other.n_seeds
    out["smallest_headroom"] = room.where(pp.notnull()).min("seed")
    out["difference"] = pp
    out = out.merge(_families(pp, out.p, prob))
    out.attrs |= {
        **attributes(cube, learner, baseline, kind=interval, prob=prob),
        "quantity": "",
        "units": "pp",
        "family": EACH,
    }
    return out


def gap(cube: xr.Dataset, *, learner: str, baseline: str, interval: str = "t", prob: float = 0.95) -> xr.Dataset:
    """Train-test gaps (train minus test accuracy) of both learners and their seed-matched difference.

    Returns
    -------
    Dataset
        Over (source, K): ``effect`` (difference of gaps, pp) with intervals as in `paired`; ``gap_learner`` and
        ``gap_baseline`` with ``gap_learner_ci`` and ``gap_baseline_ci``; ``train_effect`` and ``test_effect`` with
        theirs. The test effect is the train effect minus the gap effect, seed by seed: ``share`` is the part of it that
        goes with the gap, - gap effect / test effect, as a ratio of means with Fieller's interval ``share_ci``. Above 1
        the gap more than makes up for what is lost in training. Where the test effect's own interval holds 0 a share of
        nothing is not defined and the shares that agree with the seeds have no end: NaN, ``share_unbounded`` with
        infinite bounds. Both terms contain the test accuracy, so they are tied by arithmetic.
        ``effect_normalised``: the difference of gaps in per cent of the headroom above chance, as in `paired`.
        ``difference`` (source, K, seed).

    Raises
    ------
    KaxisError
        If a learner is not in the cube, or no cell has a training accuracy.
    """
    check_pair(cube, learner, baseline)
    pair = cube.sel(learner=[learner, baseline])
    if (pair.status == "done").any() and not pair.train_accuracy.notnull().any():
        raise KaxisError(f"no training accuracy of {learner} and {baseline}: a gap needs the column train_accuracy")
    gaps = 100 * (cube.train_accuracy - cube.test_accuracy)
    apart = difference(gaps, learner, baseline)
    out = estimates(apart, interval, prob)
    both = np.isfinite(apart)
    test = (100 * difference(cube.test_accuracy, learner, baseline)).where(both)
    parts = {
        "gap_learner": gaps.sel(learner=learner, drop=True).where(both),
        "gap_baseline": gaps.sel(learner=baseline, drop=True).where(both),
        "train_effect": (100 * difference(cube.train_accuracy, learner, baseline)).where(both),
        "test_effect": test,
    }
    for name, values in parts.items():
        part = intervals(values, interval, prob)
        out[name], out[f"{name}_ci"] = part.effect, part.ci
    normalised = ratios(apart, headroom(cube, (learner, baseline)), prob)
    out["effect_normalised"], out["normalised_ci"] = normalised.effect, normalised.ci
    share = ratios(-apart, test, prob)
    endless = np.isinf(share.ci).any("ci_bound")
    out["share"], out["share_ci"], out["share_unbounded"] = share.effect.where(~endless), share.ci, endless
    out["difference"] = apart
    out.attrs |= {
        **attributes(cube, learner, baseline, kind=interval, prob=prob),
        "quantity": "train-test gap, ",
        "units": "pp",
        "family": EACH,
    }
    out.attrs["notes"] = [*out.attrs["notes"], *_without_training(pair, apart.notnull())]
    return out


def _without_training(pair: xr.Dataset, both: xr.DataArray) -> list[str]:
    """Cells that are done for both learners and have no gap, by name."""
    lost = ((pair.status == "done").all("learner") & ~both).transpose("source", "K", "seed")
    places = zip(*np.nonzero(lost.values), strict=True)
    return [
        f"{lost.source.values[s]} K={lost.K.values[k]} seed {lost.seed.values[i]}: no training accuracy"
        for s, k, i in places
    ]


def layers(cube: xr.Dataset, *, learner: str, baseline: str, interval: str = "t", prob: float = 0.95) -> xr.Dataset:
    """Seed-matched effects on the test accuracy of each layer's own classifier, where both learners have one.

    Returns
    -------
    Dataset
        Over (source, K, layer): ``effect`` (pp) with intervals as in `paired`, ``layer_learner`` and ``layer_baseline``
        (means, per cent), and ``p_holm`` over the layers of one (source, K). Layers count from 1.

    Raises
    ------
    KaxisError
        Unless both learners have a classifier at every layer.
    """
    check_pair(cube, learner, baseline)
    if not comparable_layers(cube, learner, baseline):
        heads = [_heads(cube, name) for name in (learner, baseline)]
        raise KaxisError(
            f"{learner} has a classifier at {heads[0]} layers, {baseline} at {heads[1]}: layers can be compared "
            "where both have one at every layer"
        )
    accuracy = 100 * cube.layer_test_accuracy.assign_coords(layer=cube.layer + 1)
    apart = difference(accuracy, learner, baseline)
    out = estimates(apart, interval, prob)
    for role, name in (("learner", learner), ("baseline", baseline)):
        out[f"layer_{role}"] = accuracy.sel(learner=name, drop=True).where(np.isfinite(apart)).mean("seed")
    p = out.p.transpose("source", "K", "layer")
    out["p_holm"] = p.copy(data=np.apply_along_axis(holm, 2, p.values))
    out["difference"] = apart
    out.attrs |= {
        **attributes(cube, learner, baseline, kind=interval, prob=prob),
        "quantity": "",
        "units": "pp",
        "family": "layers of one source and K; p_holm adjusted, intervals not",
    }
    return out


def comparable_layers(cube: xr.Dataset, learner: str, baseline: str) -> bool:
    """Whether `layers` can compare the two."""
    return 1 < _heads(cube, learner) == _heads(cube, baseline)


def _heads(cube: xr.Dataset, learner: str) -> int:
    """Layers of a learner that have a classifier of their own; one at the last layer alone is no profile."""
    if "layer_test_accuracy" not in cube:
        return 0
    return int(cube.layer_test_accuracy.sel(learner=learner).notnull().sum("layer").max())


def equivalence(cube: xr.Dataset, *, learner: str, baseline: str, margin: float, alpha: float = 0.05) -> xr.Dataset:
    """Is the effect on test accuracy smaller than a margin either way, at each K? Two one-sided t tests (TOST).

    Parameters
    ----------
    cube : Dataset
    learner, baseline : str
    margin : float
        In pp, chosen before looking.
    alpha : float

    Returns
    -------
    Dataset
        Over (source, K): ``effect`` (pp), ``ci`` (t, of probability 1 - 2 alpha), ``p`` (TOST), ``p_holm`` over the K
        of a source, ``n_seeds``.
    """
    check_pair(cube, learner, baseline)
    pp = 100 * difference(cube.test_accuracy, learner, baseline)

    def one(d: np.ndarray) -> tuple[np.float64, ...]:
        d = d[np.isfinite(d)]
        e = tost(d, margin, alpha)  # NaN for one seed and for constant ones
        return tuple(np.float64(v) for v in (d.mean() if len(d) else np.nan, e.lower, e.upper, e.p, e.n))

    mean, low, high, p, n = xr.apply_ufunc(
        one, pp, input_core_dims=[["seed"]], output_core_dims=[[]] * 5, vectorize=True
    )
    ci = xr.concat([low, high], xr.IndexVariable("ci_bound", ["lower", "upper"]))
    p = p.transpose("source", "K")
    holms = p.copy(data=np.apply_along_axis(holm, 1, p.values))
    out = xr.Dataset({"effect": mean, "ci": ci, "p": p, "p_holm": holms, "n_seeds": n.astype(int)}).drop_attrs()
    out.attrs |= {
        **attributes(cube, learner, baseline, prob=round(1 - 2 * alpha, 12)),
        "quantity": "",
        "units": "pp",
        "margin": margin,
        "family": "K of each source, Holm",
    }
    return out


def _families(pp: xr.DataArray, p: xr.DataArray, prob: float) -> xr.Dataset:
    """Adjusted p-values and the simultaneous band over the K of each source."""
    d = pp.transpose("source", "K", "seed").values
    adjusted = np.apply_along_axis(holm, 1, p.transpose("source", "K").values)
    max_t, band = np.full(d.shape[:2], np.nan), np.full((2, *d.shape[:2]), np.nan)
    for i, table in enumerate(d):
        there = np.isfinite(table).any(1)
        seeds = np.isfinite(table[there]).all(0) & there.any()
        whole = (np.isfinite(table[there]).any(0) == seeds).all()
        if whole and seeds.sum() >= 2:
            complete = table[there][:, seeds].T
            max_t[i, there] = max_t_p(complete)
            band[:, i, there] = simultaneous_band(complete, prob)
    dims = ("source", "K")
    parts = {"p_holm": (dims, adjusted), "p_max_t": (dims, max_t), "band": (("ci_bound", *dims), band)}
    coords = {"source": pp.source, "K": pp.K, "ci_bound": ["lower", "upper"]}
    return xr.Dataset(parts, coords=coords)
