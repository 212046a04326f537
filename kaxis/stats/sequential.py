"""Seeds one after the other: a test and an interval that hold however often one looks.

The assumption is that of the sign-flip test: given those before, a seed's number is as likely above the truth as below
it by as much. Then E[exp(lambda d) / cosh(lambda d)] = 1 for every lambda, so that their product over seeds is a test
martingale, and so is the mean of several; the chance that it ever reaches 1 / alpha is at most alpha (Ville 1939).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from kaxis.errors import KaxisError, each
from kaxis.stats.intervals import constant, finite
from kaxis.stats.per_seed import numbers

__all__ = ["GRID", "PILOTS", "decision", "evidence", "fewest", "sequence", "sequential"]

GRID = (0.25, 0.5, 1.0, 2.0, 4.0)
"""+-lambda, in units of 1 / spread, over which the e-process is the mean (ours)."""

PILOTS = 3
"""Seeds that give the spread where nobody says it; they are not counted."""

POINTS = 256
"""Places between the smallest and the largest number where the interval's end is looked for first."""

FAR = 1e4
"""Spreads beyond the numbers: an end that is further is none."""


def evidence(d: ArrayLike, spread: float) -> NDArray[np.float64]:
    """The e-process against a true number of 0, after each seed.

    Parameters
    ----------
    d : array, shape (seeds,)
        One number per seed, in the order in which they came.
    spread : float
        Standard deviation of a seed's number, fixed before these were seen; another value costs power, not validity.

    Returns
    -------
    array, shape (seeds,)
        At most ``2 ** (n - 1)`` after n seeds, so that six are needed to reach 20.

    Examples
    --------
    >>> evidence([1.0, 1.2, 0.8, 1.1, 0.9, 1.0], 1.0).round(1)
    array([ 1. ,  1.6,  2.6,  4.8,  8.7, 16.3])
    """
    return np.exp(_log_evidence(finite(d), np.zeros(1), spread)[0])


def _log_evidence(d: NDArray[np.float64], at: NDArray[np.float64], spread: float) -> NDArray[np.float64]:
    """Log e-process against each true number, shape (places, seeds)."""
    x = np.asarray(GRID)[:, None, None] * (d - at[:, None]) / spread
    sums = np.cumsum(x, axis=-1)
    steps = np.cumsum(np.logaddexp(x, -x) - math.log(2), axis=-1)  # log cosh
    both = np.logaddexp(sums, -sums) - math.log(2) - steps  # the mean over + and -
    return np.logaddexp.reduce(both, axis=0) - math.log(len(GRID))


def sequence(d: ArrayLike, spread: float, prob: float = 0.95) -> NDArray[np.float64]:
    """The confidence sequence: an interval after each seed; all of them hold the truth at once with probability `prob`.

    What the e-process has not ruled out by then or before; infinite where nothing can be (at 95 % before six seeds).

    Returns
    -------
    array, shape (seeds, 2)
        Lower and upper ends, the lower never falling, the upper never rising.
    """
    values, limit = finite(d), -math.log(1 - prob)
    ends = np.array([_ends(values[: n + 1], spread, limit) for n in range(len(values))]).reshape(-1, 2)
    return np.stack([np.maximum.accumulate(ends[:, 0]), np.minimum.accumulate(ends[:, 1])], axis=1)


def _ends(d: NDArray[np.float64], spread: float, limit: float) -> tuple[float, float]:
    return -_upper(-d, spread, limit), _upper(d, spread, limit)


def _upper(d: NDArray[np.float64], spread: float, limit: float) -> float:
    """The largest number that is not ruled out; beyond the largest of `d` the evidence only grows."""

    def out(at: NDArray[np.float64]) -> NDArray[np.bool_]:
        return _log_evidence(d, at, spread)[:, -1] >= limit

    top = float(d.max())
    places = np.unique([*np.linspace(d.mean(), top, POINTS), top + FAR * spread])
    inside = ~out(places)
    if inside[-1]:
        return math.inf
    last = int(np.flatnonzero(inside).max())  # the mean itself is never ruled out
    low, high = places[last], places[last + 1]
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if out(np.array([middle]))[0] else (middle, high)
    return float(high)


def fewest(prob: float = 0.95) -> int:
    """Counted seeds without which nothing can be decided: whose largest evidence, 2^(n - 1), is enough.

    Examples
    --------
    >>> fewest()
    6
    """
    return math.ceil(1 - math.log2(1 - prob))


def decision(d: ArrayLike, spread: float, margin: float | None = None, prob: float = 0.95) -> tuple[str, int]:
    """What is decided, and after how many seeds: a ``difference``, or that it is ``small`` (inside +-`margin`), or
    ``open``.
    """
    for n, (low, high) in enumerate(sequence(d, spread, prob), start=1):
        if low > 0 or high < 0:
            return "difference", n
        if margin is not None and -margin < low and high < margin:
            return "small", n
    return "open", len(finite(d))


def sequential(
    cube: xr.Dataset,
    *,
    learner: str,
    baseline: str,
    spread: float | None = None,
    pilot: int = 0,
    margin: float | None = None,
    K: int | None = None,
    prob: float = 0.95,
    **shape: Any,
) -> xr.Dataset:
    """Seeds one after the other, in the order of their numbers: evidence and interval after each.

    Parameters
    ----------
    cube : Dataset
    learner, baseline : str
    spread : float, optional
        Of a seed's number (pp, or pp per unit of ln K), fixed before the seeds were seen.
    pilot : int
        Where there is no `spread`: so many first seeds give it by their standard deviation, and are not counted.
    margin : float, optional
        What would be too small to matter; then a difference can be shown to be small.
    K : int, optional
        The effect at one K, instead of the contrast along K.
    prob : float
        With which all intervals of a source hold the truth at once.
    **shape
        `low`, `high` or `shape` of `kaxis.contrast`; its slope without.

    Returns
    -------
    Dataset
        Over (source, seed): ``number``, ``e`` (e-process), ``e_max`` (largest so far), ``ci``, NaN for pilots and seeds
        without a number. Over (source,): ``spread``, ``decided`` (difference, small, open), ``decided_n``, ``n_seeds``,
        ``next_n``: with how many seeds in all it would be decided if the next were all like the mean so far (0: not
        within 1,000). ``attrs["refused"]`` says why other sources are left out.

    Raises
    ------
    KaxisError
        Without a spread or two pilots, for a spread of 0, and where no source has such numbers.
    """
    if (spread is None) == (pilot == 0):
        raise KaxisError("sequential: give the spread of a seed's number, or how many pilot seeds show it")
    if spread is not None and not 0 < spread < math.inf:
        raise KaxisError(f"spread {spread:g}: above 0")
    if spread is None and pilot < 2:
        raise KaxisError(f"pilot {pilot}: two seeds or more, of which the spread is taken")
    if margin is not None and not 0 < margin < math.inf:
        raise KaxisError(f"margin {margin:g}: a finite number above 0")
    if not 0 < prob < 1:
        raise KaxisError(f"prob {prob:g}: between 0 and 1")
    table, about = numbers(cube, learner, baseline, K, shape)
    parts, refused = each(
        map(str, table.source.values), lambda source: _one(table.sel(source=source), spread, pilot, margin, prob)
    )
    out = xr.concat(parts, "source", coords="minimal")
    out.attrs = about | {
        "ci_kind": "confidence sequence (sign symmetry)",
        "ci_prob": prob,
        "margin": margin,
        "pilot": pilot,
        "refused": [*about.get("refused", []), *refused.values()],
    }
    out.attrs["family"] = "all numbers of seeds of one source at once; sources each by itself"
    return out


def _one(d: xr.DataArray, spread: float | None, pilot: int, margin: float | None, prob: float) -> xr.Dataset:
    there = d.dropna("seed").sortby("seed")
    first, counted = there.values[:pilot], there.isel(seed=slice(pilot, None))
    if spread is None:
        if len(first) < pilot:
            raise KaxisError(f"{d.source.item()}: {len(first)} of {pilot} pilot seeds are there")
        if constant(first):
            raise KaxisError(f"{d.source.item()}: its {pilot} pilot seeds have no spread; give the spread")
        spread = float(first.std(ddof=1))
    x = counted.values
    e = evidence(x, spread)
    ends = sequence(x, spread, prob)
    over = {"seed": counted.seed}
    made = xr.Dataset(
        {
            "number": ("seed", x),
            "e": ("seed", e),
            "e_max": ("seed", np.maximum.accumulate(e)),
            "ci": (("seed", "ci_bound"), ends),
        },
        coords={**over, "ci_bound": ["lower", "upper"]},
    ).reindex(seed=d.seed)
    decided, n = decision(x, spread, margin, prob)
    ahead = 0
    if decided == "open" and len(x):
        more = np.concatenate([x, np.full(1000 - len(x), x.mean())]) if len(x) < 1000 else x
        crossed = np.flatnonzero(evidence(more, spread) >= 1 / (1 - prob))
        ahead = int(crossed[0]) + 1 if len(crossed) else 0
    return made.assign(spread=spread, decided=decided, decided_n=n, n_seeds=len(x), next_n=ahead and ahead + pilot)
