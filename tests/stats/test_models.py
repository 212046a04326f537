"""Models."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.weightstats import DescrStatsW

from kaxis.errors import KaxisError
from kaxis.stats.intervals import t_interval
from kaxis.stats.models import crv3_slope, equivalence, mixed_slope, welch
from tests.stats.tables import numbers

SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]


SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
"""Student's sleep data (R: `sleep`), two drugs."""


def test_welch_against_r() -> None:
    """R: t.test(extra ~ group, data = sleep): df 17.776, p .07939, interval -3.3654832 0.2054832."""
    w = welch(SLEEP_1, SLEEP_2)
    assert (w.lower, w.upper) == pytest.approx((-3.3654832, 0.2054832), abs=1e-7)
    assert w.df == pytest.approx(17.776, abs=1e-3)
    assert w.p == pytest.approx(0.07939, abs=1e-5)
    assert math.isnan(welch([1.0], [1.0, 2.0]).p)


@given(d=numbers, margin=st.floats(0.1, 30))
def test_equivalence_against_statsmodels(d: list[float], margin: float) -> None:
    if np.ptp(d) < 0.01:
        return
    p, *_ = DescrStatsW(np.array(d)).ttost_mean(-margin, margin)
    e = equivalence(d, margin)
    assert e.p == pytest.approx(p, abs=1e-9)
    assert (e.p <= 0.05) == (-margin <= e.lower and e.upper <= margin)


def test_equivalence_refuses_a_margin_of_nothing() -> None:
    for margin in (0.0, -1.0, math.inf):
        with pytest.raises(KaxisError, match="margin"):
            equivalence([1.0, 2.0], margin)
    assert math.isnan(equivalence([0.2, 0.2, 0.2], 1).p)
    assert math.isnan(equivalence([0.2], 1).p)


@given(seed=st.integers(0, 30), n=st.integers(2, 8))
def test_crv3_equals_t_on_per_seed_slopes(seed: int, n: int) -> None:
    """Complete seeds, one design: the seed jackknife of the pooled slope is the t interval of the seeds' slopes."""
    rng = np.random.default_rng(seed)
    x = np.log([5, 10, 20, 50])
    d = rng.normal(0, 1, (n, 4)) + rng.normal(0, 2, (n, 1)) + 0.3 * x
    slopes = [np.polyfit(x, row, 1)[0] for row in d]
    slope, low, high = crv3_slope(d, x)
    assert slope == pytest.approx(np.mean(slopes))
    assert (low, high) == pytest.approx(t_interval(slopes), rel=1e-6)


def test_the_mixed_model_finds_the_same_slope() -> None:
    rng = np.random.default_rng(0)
    x = np.log([5, 10, 20, 50])
    d = rng.normal(0, 1, (10, 4)) + rng.normal(0, 2, (10, 1)) + 0.7 * x
    slope, low, high = mixed_slope(d, x)
    assert slope == pytest.approx(crv3_slope(d, x)[0], abs=1e-6)
    assert low < slope < high
    assert all(map(math.isnan, mixed_slope(np.zeros((3, 4)), x)))
