"""Families."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from kaxis.stats.intervals import t_interval
from kaxis.stats.multiplicity import holm, max_t_p, simultaneous_band


def test_holm_against_r() -> None:
    """R: p.adjust(c(.01, .02, .03, .04, .05), "holm")."""
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]).tolist() == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([0.01, math.nan, 0.04]).tolist() == pytest.approx([0.02, math.nan, 0.04], nan_ok=True)


@settings(max_examples=30, deadline=None)
@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_against_statsmodels(p: list[float]) -> None:
    assert holm(p).tolist() == pytest.approx(multipletests(p, method="holm")[1].tolist())


def test_max_t_by_enumeration_and_its_bounds() -> None:
    d = np.random.default_rng(0).normal(0.8, 1, (6, 3))

    def t(x: np.ndarray) -> np.ndarray:
        return np.abs(x.mean(0) / (x.std(0, ddof=1) / math.sqrt(6)))

    largest = [t(d * np.array(s)[:, None]).max() for s in itertools.product((1, -1), repeat=6)]
    expected = [np.mean([m >= v - 1e-12 for m in largest]) for v in t(d)]
    p = max_t_p(d)
    assert p.tolist() == pytest.approx(expected)
    alone = np.array([max_t_p(d[:, [k]])[0] for k in range(3)])
    assert (p >= alone - 1e-12).all()
    same = np.repeat(d[:, :1], 3, axis=1)
    assert max_t_p(same) == pytest.approx(np.full(3, alone[0]))  # one question asked thrice costs nothing
    assert min(max_t_p(np.arange(1.0, 6)[:, None])) == pytest.approx(2 / 32)
    assert max_t_p(np.zeros((4, 2))).tolist() == [1.0, 1.0]
    assert max_t_p(np.full((4, 2), 3.0)).tolist() == [2 / 16, 2 / 16]


def test_a_simultaneous_band_is_wider_than_each_interval_and_narrower_than_bonferroni() -> None:
    d = np.random.default_rng(1).normal(0, 1, (8, 5)) + np.random.default_rng(2).normal(0, 1, (8, 1))
    low, high = simultaneous_band(d)
    for k in range(5):
        each, all_of_them = t_interval(d[:, k]), t_interval(d[:, k], 1 - 0.05 / 5)
        assert low[k] < each[0]
        assert high[k] > each[1]
        assert high[k] - low[k] < 1.03 * (all_of_them[1] - all_of_them[0])
    for bad in (np.ones(3), np.array([[1.0, np.nan], [1, 2]])):
        with pytest.raises(ValueError, match="complete table"):
            simultaneous_band(bad)


@pytest.mark.slow
def test_the_band_covers_all_K_at_once() -> None:
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(600):
        d = rng.normal(0, 1, (8, 4)) + rng.normal(0, 1, (8, 1))
        low, high = simultaneous_band(d)
        inside += bool((low <= 0).all() and (high >= 0).all())
    assert scipy.stats.binomtest(inside, 600, 0.95).pvalue > 0.001
