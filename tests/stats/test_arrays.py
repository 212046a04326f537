"""Estimates against independent values, and properties that any paired analysis must have."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kaxis.stats.arrays import estimate, seed_correlation, sign_flip_p
from kaxis.stats.intervals import bootstrap_interval, t_interval
from tests.helpers import numbers


def test_t_interval_against_a_textbook() -> None:
    """Student's sleep data, differences of two drugs (R: t.test(extra ~ group, paired = TRUE) gives 0.7001142
    2.4598858).
    """
    d = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    assert t_interval(d) == pytest.approx((0.7001142, 2.4598858), abs=1e-7)


@pytest.mark.parametrize(
    "d", [[1.0, 2.0, -0.5], [0.3, 0.3, 0.3, -1.0], [2.0, -2.0, 1.0, 0.5, 0.0], [1, 2, 3, 4, 5, -6]]
)
def test_sign_flip_by_enumeration(d: list[float]) -> None:
    """Count all 2^n sign patterns by hand."""
    means = [np.mean(np.multiply(d, signs)) for signs in itertools.product((-1, 1), repeat=len(d))]
    expected = np.mean(np.abs(means) >= abs(np.mean(d)) - 1e-12)
    assert sign_flip_p(d) == pytest.approx(expected)


def test_sign_flip_does_not_hang_on_the_order_of_seeds() -> None:
    """A mean near 0, where rounding decides ties unless they are given a tolerance."""
    d = [1.5, 13.5, 49.5, -13.0, -50.0, -1.219]
    assert {sign_flip_p(order) for order in itertools.permutations(d)} == {1.0}


def test_sign_flip_by_sampling_beyond_20_seeds() -> None:
    d = np.random.default_rng(1).normal(0.4, 1, 21)
    from scipy.stats import ttest_1samp

    assert sign_flip_p(d) == pytest.approx(ttest_1samp(d, 0).pvalue, abs=0.02)


def test_smallest_p_is_two_in_two_to_the_n() -> None:
    for n in range(1, 9):
        assert sign_flip_p(np.arange(1.0, n + 1)) == pytest.approx(min(1, 2 / 2**n))


def test_bootstrap_percentiles_against_full_enumeration() -> None:
    """All 4^4 resamples of four values."""
    d = [0.0, 1.0, 3.0, 7.0]
    means = [np.mean(pick) for pick in itertools.product(d, repeat=4)]
    assert bootstrap_interval(d) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.26)


def test_few_and_constant_seeds() -> None:
    one = estimate([2.0])
    assert math.isnan(one.lower)
    assert math.isnan(one.boot_upper)
    assert (one.mean, one.p, one.n) == (2.0, 1.0, 1)
    same = estimate([0.0] * 5)
    assert (same.p, same.wins) == (1.0, 0)
    assert all(map(math.isnan, (same.lower, same.upper, same.boot_lower, same.boot_upper)))  # a spread of 0 gives none
    assert math.isnan(estimate([]).mean)
    with pytest.raises(ValueError, match="NaN"):
        estimate([1.0, np.nan])
    with pytest.raises(ValueError, match="1-d"):
        estimate([[1.0]])  # type: ignore[list-item]


@given(numbers, st.floats(-10, 10), st.sampled_from([0.5, 2.0, 3.0]))
@settings(max_examples=25, deadline=None)
def test_estimates_shift_scale_flip_and_ignore_order(d: list[float], shift: float, scale: float) -> None:
    assume(np.ptp(d) > 1e-6)
    base, moved = estimate(d), estimate(np.multiply(d, scale) + shift)
    assert moved.mean == pytest.approx(base.mean * scale + shift, abs=1e-9)
    assert moved.lower == pytest.approx(base.lower * scale + shift, abs=1e-6)
    flipped = estimate(np.negative(d))
    assert flipped.p == pytest.approx(base.p)
    assert (flipped.lower, flipped.upper) == pytest.approx((-base.upper, -base.lower), abs=1e-9)
    turned = estimate(d[::-1])
    assert (turned.lower, turned.p, turned.wins) == pytest.approx((base.lower, base.p, base.wins))
    assert base.lower <= base.mean <= base.upper


def test_the_mean_of_equal_seeds_is_theirs() -> None:
    found = estimate([0.938, 0.938, 0.938])
    assert found.mean == 0.938
    assert math.isnan(found.lower)


def test_seed_correlation_finds_shared_seeds() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(200, 1))
    assert seed_correlation(np.repeat(shared, 3, axis=1)) == pytest.approx(1)
    assert abs(seed_correlation(rng.normal(size=(500, 4)))) < 0.1
    assert math.isnan(seed_correlation([[1.0, 2.0]]))
