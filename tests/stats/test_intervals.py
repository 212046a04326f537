"""Intervals."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from kaxis.errors import KaxisError
from kaxis.stats.intervals import KINDS, bca_interval, interval, studentized_interval
from tests.stats.tables import numbers


def test_studentized_interval_by_hand() -> None:
    """All 4^4 resamples, quantiles as the smallest value with at least that share at or below it."""
    d = np.array([0.0, 1.0, 2.5, 7.0])
    se = d.std(ddof=1) / 2
    t = []
    for pick in itertools.product(d, repeat=4):
        x = np.array(pick)
        spread = x.std(ddof=1) / 2
        shift = x.mean() - d.mean()
        t.append(shift / spread if spread > 0 else math.copysign(math.inf, shift))
    t.sort()
    low, high = t[math.ceil(0.1 * 256) - 1], t[math.ceil(0.9 * 256) - 1]
    assert studentized_interval(d, 0.8) == pytest.approx((d.mean() - high * se, d.mean() - low * se))


def test_bca_against_its_formula() -> None:
    """Efron 1987: bias from the share of resampled means below the mean, acceleration from the jackknife."""
    d = np.array([0.2, 0.4, 0.1, 1.9, 0.3, 0.6, 3.0])
    means = np.random.default_rng(5).choice(d, (200_000, 7)).mean(1)
    below = np.mean(means < d.mean()) + 0.5 * np.mean(means == d.mean())
    z0 = scipy.stats.norm.ppf(below)
    jack = np.array([np.delete(d, i).mean() for i in range(7)])
    u = jack.mean() - jack
    a = (u**3).sum() / (6 * (u**2).sum() ** 1.5)
    z = z0 + scipy.stats.norm.ppf([0.025, 0.975])
    expected = np.quantile(means, scipy.stats.norm.cdf(z0 + z / (1 - a * z)))
    assert bca_interval(d) == pytest.approx(expected, abs=0.05)


@given(d=numbers, shift=st.integers(-5, 5), scale=st.sampled_from([0.5, 2.0, 4.0]))
def test_intervals_move_and_stretch_with_the_numbers(d: list[float], shift: int, scale: float) -> None:
    for kind in ("t", "studentized"):  # scipy's BCa lets rounding decide ties
        low, high = interval(d, kind)
        moved = interval(np.array(d) * scale + shift, kind)
        if math.isfinite(low) and math.isfinite(high):
            assert moved == pytest.approx((low * scale + shift, high * scale + shift), rel=1e-6, abs=1e-6)
        assert interval(d[::-1], kind) == pytest.approx((low, high), nan_ok=True)
        flipped = interval(-np.array(d), kind)
        if kind == "t":
            assert flipped == pytest.approx((-high, -low), nan_ok=True)


def test_interval_refusals() -> None:
    with pytest.raises(KaxisError, match="did you mean 'studentized'"):
        interval([1.0, 2.0], "studentised")
    with pytest.raises(KaxisError, match="between 0 and 1"):
        interval([1.0, 2.0], "t", 95)
    for kind in KINDS:
        assert all(map(math.isnan, interval([1.0], kind)))
        assert all(map(math.isnan, interval([2.0, 2.0, 2.0], kind)))  # a spread of 0 gives no interval
