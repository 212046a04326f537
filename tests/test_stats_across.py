"""Intervals, families, comparisons across sources, planning, tidy tables, verdicts."""

from __future__ import annotations

import csv
import itertools
import json
import math
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from kaxis.errors import KaxisError
from kaxis.stats import planning, simulate
from kaxis.stats.across import conflict, differential
from kaxis.stats.arrays import estimate
from kaxis.stats.contrasts import contrast, slope_checks
from kaxis.stats.effects import gap, layers, paired
from kaxis.stats.families import holm, max_t_p, simultaneous_band
from kaxis.stats.intervals import KINDS, bca_interval, interval, studentized_interval, t_interval
from kaxis.stats.models import crv3_slope, equivalence, fieller, mixed_slope, welch
from kaxis.stats.rankings import rankings
from kaxis.stats.rows import rows as rows_of
from kaxis.stats.tidy import cube_from_rows, read_csv
from kaxis.stats.verdict import conflict_verdict, population, verdict

from .test_cli import kaxis

SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
"""Student's sleep data (R: `sleep`), two drugs."""

numbers = st.lists(st.floats(-20, 20).map(lambda v: round(v, 2)), min_size=4, max_size=7)


# ---- intervals ------------------------------------------------------------------------------------------


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


# ---- families -------------------------------------------------------------------------------------------


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


# ---- models ---------------------------------------------------------------------------------------------


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


# ---- across sources -------------------------------------------------------------------------------------


def legs(
    effects: dict[str, Callable[[int, int], float | None]], seeds: dict[str, int], K: tuple[int, ...] = (5, 10, 50)
) -> Any:
    """A cube in which learner B is at .5 and A's effect (pp) is a function of (K, seed)."""
    rows = []
    for source, effect in effects.items():
        for k in K:
            for seed in range(seeds[source]):
                value = effect(k, seed)
                if value is not None:
                    rows += [
                        {"source": source, "K": k, "learner": "A", "seed": seed, "accuracy": 0.5 + value / 100},
                        {"source": source, "K": k, "learner": "B", "seed": seed, "accuracy": 0.5},
                    ]
    return cube_from_rows(rows)


AB = {"learner": "A", "baseline": "B"}


def wobble(seed: int, K: int = 0) -> float:
    return float(np.random.default_rng([seed, K]).normal(0, 0.3))


def test_a_reversed_sign_is_found_and_a_plain_difference_is_not_called_one() -> None:
    rising = {
        "syn": lambda k, s: 1 * math.log(k) + wobble(s, k),
        "real": lambda k, s: -2 * math.log(k) + wobble(s + 9, k),
    }
    r = conflict(legs(rising, {"syn": 6, "real": 5}), synthetic="syn", real="real", **AB)
    assert bool(r.reversal)
    assert float(r.difference) == pytest.approx(-3, abs=0.5)
    slopes = [np.polyfit(np.log([5, 10, 50]), [rising["syn"](k, s) for k in (5, 10, 50)], 1)[0] for s in range(6)]
    assert float(r.slope[0]) == pytest.approx(np.mean(slopes))
    assert r.slope_ci.values[0] == pytest.approx(t_interval(slopes))
    by_hand = welch([rising["real"](10, s) for s in range(5)], [rising["syn"](10, s) for s in range(6)])
    assert float(r.effect_p.sel(K=10)) == pytest.approx(by_hand.p)
    own = [np.polyfit(np.log([5, 10, 50]), [rising["real"](k, s) for k in (5, 10, 50)], 1)[0] for s in range(5)]
    assert r.paired_ci.values == pytest.approx(t_interval(np.array(own) - slopes[:5]))
    assert float(r.seed_correlation) == pytest.approx(np.corrcoef(own, slopes[:5])[0, 1])
    both = {"syn": lambda k, s: 3 * math.log(k) + wobble(s, k), "real": lambda k, s: 1 * math.log(k) + wobble(s + 9, k)}
    assert not bool(conflict(legs(both, {"syn": 6, "real": 5}), synthetic="syn", real="real", **AB).reversal)


def test_conflict_takes_the_K_in_common_and_refuses_what_it_cannot_compare() -> None:
    only = {
        "syn": lambda k, s: wobble(s, k) if k != 50 else None,
        "real": lambda k, s: wobble(s + 9, k) if k != 5 else None,
    }
    cube = legs(only, {"syn": 4, "real": 4}, (5, 10, 20, 50))
    assert conflict(cube, synthetic="syn", real="real", **AB).K.values.tolist() == [10, 20]
    with pytest.raises(KaxisError, match="1 values of K in common"):
        conflict(cube.sel(K=[5, 20, 50]), synthetic="syn", real="real", **AB)
    with pytest.raises(KaxisError, match="did you mean 'real'"):
        conflict(cube, synthetic="syn", real="reel", **AB)
    with pytest.raises(KaxisError, match="compare two sources"):
        conflict(cube, synthetic="syn", real="syn", **AB)
    holes = {"syn": lambda k, s: wobble(s, k) if (k, s) != (10, 1) else None, "real": lambda k, s: wobble(s + 9, k)}
    cube = legs(holes, {"syn": 4, "real": 4})
    cube["asked"][:] = True
    with pytest.raises(KaxisError, match=r"syn: incomplete seeds.*K=10 seed 1"):
        conflict(cube, synthetic="syn", real="real", **AB)
    assert conflict(cube, synthetic="syn", real="real", drop_incomplete=True, **AB).n_seeds.values.tolist() == [3, 4]


@pytest.mark.slow
def test_the_conflict_test_keeps_its_level_under_unequal_spreads() -> None:
    """n = 5 v 8, spreads 1 v 3 and 3 v 1, no difference: it rejects in 4 to 6 % (binomial test against that range)."""
    for spreads in ((1.0, 1.0), (1.0, 3.0), (3.0, 1.0)):
        rng = np.random.default_rng(0)
        rejected = sum(
            welch(rng.normal(0, spreads[0], 5), rng.normal(0, spreads[1], 8)).p <= 0.05 for _ in range(10_000)
        )
        low, high = scipy.stats.binomtest(rejected, 10_000).proportion_ci(0.99)
        assert high >= 0.04, (spreads, rejected)
        assert low <= 0.06, (spreads, rejected)


def test_differential_is_paired_within_the_seed() -> None:
    own = {"x/coarse": lambda k, s: 2 * s + 1.0, "x": lambda k, s: 2.0 * s}
    cube = legs(own, {"x/coarse": 4, "x": 5}, (20,))
    r = differential(cube, of="x/coarse", against="x", **AB)
    assert float(r.effect) == pytest.approx(1.0)
    assert int(r.n_seeds) == 4
    assert int(r.wins) == 4
    several = legs(own, {"x/coarse": 4, "x": 5}, (20, 50))
    with pytest.raises(KaxisError, match=r"x/coarse has K = 20, 50: name one"):
        differential(several, of="x/coarse", against="x", **AB)
    assert int(differential(several, of="x/coarse", against="x", K=(20, 50), **AB).K_against) == 50
    steep = {"x/coarse": lambda k, s: (2 + s) * math.log(k), "x": lambda k, s: s * math.log(k) + 1}
    slopes = differential(legs(steep, {"x/coarse": 4, "x": 5}), of="x/coarse", against="x", slope=True, **AB)
    assert slopes.per_seed.dropna("seed").values == pytest.approx([2.0] * 4)
    assert slopes.attrs["units"] == "pp per unit of ln K"
    apart = legs(steep, {"x/coarse": 4, "x": 5}, (5, 10, 20, 50))
    for source, K in (("x/coarse", [20, 50]), ("x", [5, 10])):
        for k in K:
            apart["asked"].loc[{"source": source, "K": k}] = False
            apart["test_accuracy"].loc[{"source": source, "K": k}] = np.nan
    with pytest.raises(KaxisError, match="0 values of K in common"):
        differential(apart, of="x/coarse", against="x", slope=True, **AB)
    with pytest.raises(KaxisError, match="K and slope"):
        differential(apart, of="x/coarse", against="x", slope=True, K=(5, 5), **AB)
    with pytest.raises(KaxisError, match="has no K = 3"):
        differential(several, of="x/coarse", against="x", K=(3, 50), **AB)


# ---- planning -------------------------------------------------------------------------------------------


def test_power_against_statsmodels() -> None:
    from statsmodels.stats.power import TTestPower

    for effect, n in ((0.5, 10), (1.0, 6), (0.2, 40)):
        assert planning.power(effect, 1.0, n) == pytest.approx(TTestPower().power(effect, n, 0.05), abs=1e-6)
    assert planning.seeds_needed(0.5, 1.0) == 34  # G*Power's manual: two-sided paired t, dz = .5
    assert planning.power(planning.smallest_effect(2.0, 8), 2.0, 8) == pytest.approx(0.8)
    for effect, spread in ((0.3, 1.0), (2.0, 1.5)):
        n = planning.seeds_needed(effect, spread)
        assert planning.power(effect, spread, n) >= 0.8 > planning.power(effect, spread, n - 1)
    with pytest.raises(KaxisError, match="no number of seeds"):
        planning.seeds_needed(0.0, 1.0)
    for target in (0.05, 0.01, 1.0):
        with pytest.raises(KaxisError, match="above the test's level"):
            planning.smallest_effect(1.0, 8, target)
    assert math.isnan(planning.simulated_power([0.1, 0.3, 0.2], 0.1, 40)["exact"])
    with pytest.raises(KaxisError, match="more than 10,000"):
        planning.seeds_needed(1e-4, 1.0)


def test_the_exact_test_needs_six_seeds() -> None:
    for family in range(1, 10):
        n = planning.exact_minimum(family=family)
        assert family * 2 / 2**n < 0.05 <= family * 2 / 2 ** (n - 1)


def test_simulated_power_is_near_the_formula_for_normal_numbers() -> None:
    d = scipy.stats.norm.ppf((np.arange(40) + 0.5) / 40)
    assert planning.simulated_power(d, 1.0, 10)["t"] == pytest.approx(planning.power(1.0, d.std(ddof=1), 10), abs=0.05)
    assert planning.simulated_power(d, 1.0, 5)["exact"] == 0.0


def test_shapes_have_mean_0_and_spread_1() -> None:
    for shape in simulate.SHAPES:
        x = simulate.sample(shape, (400_000,), np.random.default_rng(0))
        assert x.mean() == pytest.approx(0, abs=0.01)
        assert x.std() == pytest.approx(1, abs=0.02)
    with pytest.raises(KaxisError, match="did you mean 'normal'"):
        simulate.sample("norml", (1,), np.random.default_rng(0))


@pytest.mark.slow
@pytest.mark.parametrize("question", ["effect", "contrast", "slope", "gap"])
@pytest.mark.parametrize("n", [5, 8, 10])
@pytest.mark.parametrize(("icc", "shrink"), [(0.0, 1.0), (0.4, 1.0), (0.8, 1.0), (0.5, 0.3)])
def test_the_default_interval_covers_what_it_says(question: Any, n: int, icc: float, shrink: float) -> None:
    """Within 1.5 points of 95 for normal seeds, by a binomial test at the .1 % level against either bound."""
    c = simulate.coverage("t", n, icc=icc, shrink=shrink, question=question, draws=4_000)
    hits = round(c["covers"] * c["draws"])
    assert scipy.stats.binomtest(hits, 4_000, 0.935, alternative="less").pvalue > 0.001
    assert scipy.stats.binomtest(hits, 4_000, 0.965, alternative="greater").pvalue > 0.001


@pytest.mark.slow
def test_the_published_procedure_does_not_cover_what_it_says() -> None:
    """Over (seed, K) observations: far too narrow for a mean along K when seeds have levels of their own, or a contrast
    when they have slopes; too wide for a contrast when seeds share a level, which cancels there."""
    for question, icc, tilt, low, high in (
        ("mean", 0.5, 0.0, 0.5, 0.8),
        ("contrast", 0.0, 0.5, 0.5, 0.8),
        ("contrast", 0.5, 0.0, 0.96, 1.0),
    ):
        c = simulate.coverage("as-published", 5, question=question, icc=icc, tilt=tilt, draws=800)
        assert low < c["covers"] < high, (question, c)
        assert simulate.coverage("t", 5, question=question, icc=icc, tilt=tilt, draws=2_000)["high"] > 0.94


@pytest.mark.slow
def test_bootstraps_cover_less_and_skewed_seeds_less_still() -> None:
    """What docs/statistics.md says: percentile and BCa near 84 % at n = 5; for skewed seeds the studentized one holds
    best.
    """
    normal = {kind: simulate.coverage(kind, 5, draws=1_500)["covers"] for kind in KINDS}
    assert normal["percentile"] < 0.88
    assert normal["bca"] < 0.88
    skewed = {k: simulate.coverage(k, 8, shape="exponential", question="effect", draws=1_500)["covers"] for k in KINDS}
    assert skewed["studentized"] > skewed["t"] > max(skewed["percentile"], skewed["bca"])


# ---- shapes and scales ----------------------------------------------------------------------------------


def test_mean_slope_and_curvature_are_polynomial_coefficients() -> None:
    own = {"x": lambda k, s: 1.0 + 0.5 * math.log(k) - 0.25 * math.log(k) ** 2 + wobble(s, k)}
    cube = legs(own, {"x": 5}, (5, 10, 20, 50))
    x = np.log([5, 10, 20, 50])
    for shape, power in (("mean", 0), ("slope", 1), ("curvature", 2)):
        per_seed = []
        for s in range(5):
            d = [own["x"](k, s) for k in (5, 10, 20, 50)]
            per_seed.append(np.mean(d) if power == 0 else np.polyfit(x, d, power)[0])
        c = contrast(cube, shape=shape, **AB).isel(source=0)
        assert float(c.effect) == pytest.approx(np.mean(per_seed)), shape
        assert c.ci.values == pytest.approx(t_interval(per_seed))
    with pytest.raises(KaxisError, match="three values of K"):
        contrast(cube.sel(K=[5, 10]), shape="curvature", **AB)
    with pytest.raises(KaxisError, match="did you mean 'slope'"):
        contrast(cube, shape="slop", **AB)


def test_log_odds() -> None:
    rows = [
        {"K": k, "learner": n, "seed": s, "accuracy": a}
        for k in (5, 10)
        for s in range(3)
        for n, a in (("A", 0.8), ("B", 0.5))
    ]
    c = contrast(cube_from_rows(rows), shape="mean", scale="logit", **AB)
    assert c.effect.item() == pytest.approx(math.log(4))
    assert c.attrs["units"] == "logit"
    by_K = paired(cube_from_rows(rows), **AB).isel(source=0)
    assert by_K.effect_logit.values == pytest.approx([math.log(4)] * 2)
    rows[0]["accuracy"] = 1.0
    holes = paired(cube_from_rows(rows), **AB).isel(source=0)
    assert holes.n_logit.values.tolist() == [2, 3]
    assert holes.n_seeds.values.tolist() == [3, 3]


def test_families_of_paired_effects() -> None:
    cube = legs(
        {"x": lambda k, s: 0.5 + wobble(s, k), "y": lambda k, s: wobble(s, k) if (k, s) != (5, 0) else None},
        {"x": 6, "y": 6},
    )
    r = paired(cube, **AB)
    x = r.sel(source="x")
    assert x.p_holm.values == pytest.approx(holm(x.p.values))
    table = x.difference.transpose("seed", "K").values
    assert x.p_max_t.values == pytest.approx(max_t_p(table))
    assert x.band.transpose("ci_bound", "K").values == pytest.approx(np.array(simultaneous_band(table)))
    assert (x.band.sel(ci_bound="lower") < x.ci.sel(ci_bound="lower")).all()
    assert np.isnan(r.sel(source="y").p_max_t.values).all()  # a seed lacks a K there


def test_layers_are_compared_where_both_have_them(fill: Any) -> None:
    """bp keeps its one head's accuracy first in the record: it is no profile, and is never set beside another's first
    layer.
    """
    from kaxis.store.cube import load_cube

    from .conftest import noisy

    cube = load_cube(fill(noisy(), learners=["bp", "bp_deepsup", "dtg_ff"]))
    rng = np.random.default_rng(0)
    profile = rng.random((*cube.test_accuracy.shape, 3))
    profile[:, :, 0, :, 1:] = np.nan
    cube = cube.drop_dims("layer").assign(layer_test_accuracy=((*cube.test_accuracy.dims, "layer"), profile))
    cube = cube.assign_coords(layer=range(3))
    r = layers(cube, learner="dtg_ff", baseline="bp_deepsup")
    d = 100 * (profile[0, 1, 2, :, 2] - profile[0, 1, 1, :, 2])
    assert float(r.effect.sel(K=5, layer=3)[0]) == pytest.approx(d.mean())
    assert r.ci.sel(K=5, layer=3).values[:, 0] == pytest.approx(t_interval(d))
    assert r.p_holm.sel(source="digits", K=5).values == pytest.approx(holm(r.p.sel(source="digits", K=5).values))
    assert [x["layer"] for x in rows_of(r)] == [1, 2, 3] * 3
    with pytest.raises(KaxisError, match="bp has a classifier at 1 layers, bp_deepsup at 3"):
        layers(cube, learner="bp", baseline="bp_deepsup")
    with pytest.raises(KaxisError, match="at 0 layers"):
        layers(cube.drop_dims("layer"), learner="dtg_ff", baseline="bp_deepsup")


def test_fieller_is_the_set_of_ratios_that_a_t_test_allows() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(3, 0.6, 8)
    x = 0.7 * y + rng.normal(0, 0.4, 8)
    ratio, low, high = fieller(x, y)
    assert ratio == pytest.approx(x.mean() / y.mean())
    for r, inside in ((low + 1e-6, True), (low - 1e-6, False), (high - 1e-6, True), (high + 1e-6, False)):
        bounds = t_interval(x - r * y)
        assert (bounds[0] <= 0 <= bounds[1]) == inside
    assert fieller(x, y - y.mean() + 0.01)[1:] == (-math.inf, math.inf)  # the denominator may be 0
    assert fieller([1.0], [2.0]) == pytest.approx((0.5, math.nan, math.nan), nan_ok=True)
    assert fieller([1.9, 2.0, 2.1], [3.8, 4.0, 4.2]) == pytest.approx(
        (0.5, math.nan, math.nan), nan_ok=True
    )  # no spread
    assert all(map(math.isnan, fieller([1.0, 2.0], [0.0, 0.0])))


def test_the_share_of_the_gap_in_the_accuracy_effect(fill: Any) -> None:
    """B overfits: train +2, gap -1 in every seed but for noise that both share; two thirds of A's loss goes with the
    gap.
    """
    rows = [
        {
            "K": k,
            "learner": n,
            "seed": s,
            "accuracy": 0.6 + 0.03 * (n == "A") + w,
            "train_accuracy": 0.9 + 0.01 * (n == "A") + w,
        }
        for k in (5, 10)
        for s in range(4)
        for n in "AB"
        for w in [wobble(s, k) / 1000]
    ]
    r = gap(cube_from_rows(rows), **AB).isel(source=0)
    assert r.share.values == pytest.approx([2 / 3, 2 / 3])
    assert (r.train_effect - r.effect).values == pytest.approx(r.test_effect.values)
    same = gap(
        cube_from_rows([{**x, "accuracy": 0.6 + wobble(x["seed"], ord(x["learner"])) / 100} for x in rows]), **AB
    )
    assert np.isnan(same.share).all()  # the accuracy effect may be 0: a share of nothing
    assert same.share_unbounded.all()


def test_a_gap_needs_training_accuracy() -> None:
    with pytest.raises(KaxisError, match="needs the column train_accuracy"):
        gap(cube_from_rows(table()), **AB)


def test_rankings_by_hand() -> None:
    accuracy = {5: ((0.9, 0.8, 0.7), (0.9, 0.7, 0.8)), 10: ((0.7, 0.8, 0.9), (0.9, 0.7, 0.7))}
    rows = [
        {"K": k, "learner": n, "seed": s, "accuracy": a}
        for k, seeds in accuracy.items()
        for s, values in enumerate(seeds)
        for n, a in zip("ABC", values, strict=True)
    ]
    r = rankings(cube_from_rows(rows)).isel(source=0)
    assert r["rank"].sel(K=5).values.tolist() == [1.0, 2.5, 2.5]
    assert r["rank"].sel(K=10).values.tolist() == [2.0, 2.25, 1.75]
    assert r["first"].sel(K=10).values.tolist() == [1, 0, 1]
    assert r.change.sel(K=10).values == pytest.approx([1.0, -0.25, -0.75])
    tau = [-1.0, scipy.stats.kendalltau([1, 3, 2], [1, 2.5, 2.5]).statistic]
    assert float(r.agreement.sel(K=10)) == pytest.approx(np.mean(tau))
    holes = rankings(cube_from_rows(rows[:-1])).isel(source=0)
    assert holes.n_seeds.values.tolist() == [2, 1]
    with pytest.raises(KaxisError, match="two learners"):
        rankings(cube_from_rows([r for r in rows if r["learner"] == "A"]))


def test_every_analysis_takes_an_interval_by_name() -> None:
    cube = legs({"x": lambda k, s: wobble(s, k) ** 2, "y": lambda k, s: wobble(s, k)}, {"x": 6, "y": 6})
    d = paired(cube, **AB).difference.sel(source="x", K=5).values
    for kind in KINDS:
        r = paired(cube, **AB, interval=kind, prob=0.9).sel(source="x", K=5)
        assert r.ci.values == pytest.approx(interval(d, kind, 0.9))
        assert (r.attrs["ci_kind"], r.attrs["ci_prob"]) == (kind, 0.9)
        c = contrast(cube, **AB, interval=kind).sel(source="x")
        assert c.ci.values == pytest.approx(interval(c.per_seed.values, kind))
        across = differential(cube, of="x", against="y", K=(5, 5), interval=kind, **AB)
        assert across.ci.values == pytest.approx(interval(across.per_seed.values, kind))
    with pytest.raises(KaxisError, match="interval 'T'"):
        paired(cube, **AB, interval="T")


def test_slopes_by_other_roads_agree() -> None:
    cube = legs({"x": lambda k, s: 0.4 * math.log(k) + wobble(s, k) + wobble(s)}, {"x": 8}, (5, 10, 20, 50))
    c = contrast(cube, **AB).isel(source=0)
    roads = slope_checks(cube, **AB, source="x")
    assert roads["CRV3"] == pytest.approx((float(c.effect), *c.ci.values), rel=1e-6)
    assert roads["MixedLM"][0] == pytest.approx(float(c.effect), abs=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_seeds_go_through_every_analysis(n: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One, two and three seeds: an answer that says what it lacks, or one line; never a traceback or NaN in JSON."""
    rows = [{**r, "train_accuracy": 0.9 + 0.01 * (r["learner"] == "A")} for r in table(n)]
    file = write_table(tmp_path / "r.csv", rows)
    for verb in ("paired", "gap", "contrast", "slope", "equivalence", "rankings", "layers", "power"):
        line = ["analyze", verb, file] + (["--baseline", "A", "--learner", "B"] if verb != "rankings" else [])
        line += {"equivalence": ["--margin", "1"], "power": ["--effect", "1"]}.get(verb, [])
        for kind in KINDS if verb in ("paired", "gap", "contrast", "slope") else ["t"]:
            more = [] if kind == "t" else ["--interval", kind]
            code = kaxis(*line, *more, "--json")
            shown = capsys.readouterr()
            assert code in (0, 1, 2), (verb, kind, shown.err)
            assert "a fault of kaxis" not in shown.err
            if code == 0:
                assert json.loads(shown.out)["rows"]


def test_two_configurations_in_one_store_are_refused_by_name(fill: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from .conftest import noisy

    fill(noisy(), steps=10)
    store = fill(noisy(), steps=20)
    assert kaxis("analyze", "paired", "--store", store.path) == 2
    error = capsys.readouterr().err
    assert "steps = 10 and 20 for digits: choose with --where steps=10" in error
    assert error.count("\n") == 1


def test_a_tuned_learner_is_chosen_on_what_was_held_out_seed_by_seed(fill: Any) -> None:
    from kaxis.stats.tuning import tuned
    from kaxis.store.cube import load_cube

    from .conftest import noisy

    names = ["bp_deepsup", "bp_deepsup[lr=0.01]", "dtg_ff", "dtg_ff[lr=0.01]"]
    cube = load_cube(fill(noisy(), learners=names))
    with pytest.raises(KaxisError, match="no held-out accuracy to choose by"):
        tuned(cube, {"a": names[:2]})
    rng = np.random.default_rng(0)
    cube["held_accuracy"] = cube.test_accuracy * 0 + rng.random(cube.test_accuracy.shape)
    one = tuned(cube, {"a": names[:2], "b": names[2:]})
    for K, seed in ((3, 0), (5, 2), (10, 4)):
        for label, grid in (("a", names[:2]), ("b", names[2:])):
            held = [float(cube.held_accuracy.sel(source="digits", K=K, seed=seed, learner=n)) for n in grid]
            best = grid[int(np.argmax(held))]
            at = {"source": "digits", "K": K, "seed": seed}
            assert one.chosen.sel({**at, "learner": label}).item() == best
            assert float(one.test_accuracy.sel({**at, "learner": label})) == float(
                cube.test_accuracy.sel({**at, "learner": best})
            )
    assert paired(one, learner="b", baseline="a").n_seeds.values.tolist() == [[5, 5, 5]]
    cube["status"] = cube.status.astype("U8")
    cube["status"][0, 0, 0, 0] = "failed"
    holes = tuned(cube, {"a": names[:2], "b": names[2:]})
    result = paired(holes, learner="b", baseline="a")
    assert result.n_seeds.values.tolist() == [[4, 5, 5]]
    assert result.attrs["notes"] == ["digits K=3 a seed 0: failed"]
    with pytest.raises(KaxisError, match="did you mean 'dtg_ff'"):
        tuned(cube, {"a": ["dtg_f"]})
    with pytest.raises(KaxisError, match="name a learner"):
        tuned(cube, {})
    with pytest.raises(KaxisError, match="no held-out accuracy"):
        tuned(cube_from_rows(table()), {"a": ["A", "B"]})


def test_settings_that_are_named_only_where_they_differ_still_make_two_configurations(fill: Any) -> None:
    from kaxis.store.cube import load_cube

    from .conftest import noisy

    for more in ({"weight_decay": 0.1}, {"holdout": 0.1, "select": "best"}):
        fill(noisy(), **({"holdout": 0.1} if "holdout" in more else {}))
        store = fill(noisy(), **more)
        key = "weight_decay" if "weight_decay" in more else "select"
        with pytest.raises(KaxisError, match=f"choose with --where {key}="):
            load_cube(store, {"source": "digits/holdout:0.1"} if "holdout" in more else {"source": "digits"})
    both = [load_cube(store, {"select": how, "source": "digits/holdout:0.1"}) for how in ("last", "best")]
    assert all(one.sizes["K"] == 3 for one in both)


# ---- tidy tables ----------------------------------------------------------------------------------------


def write_table(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def table(n: int = 5, effect: float = 2.0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {
            "K": k,
            "learner": name,
            "seed": s,
            "accuracy": round(0.6 + effect / 100 * (name == "A") + rng.normal(0, 0.002), 5),
        }
        for k in (5, 10, 50)
        for name in ("A", "B")
        for s in range(n)
    ]


def test_a_table_made_elsewhere_goes_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = table()
    file = write_table(tmp_path / "results.csv", rows)
    assert kaxis("analyze", "paired", file, "--baseline", "A", "--learner", "B", "--json") == 0
    shown = json.loads(capsys.readouterr().out)["rows"]
    assert [(r["source"], r["K"], r["n_seeds"]) for r in shown] == [("results", k, 5) for k in (5, 10, 50)]
    a, b = ([r["accuracy"] for r in rows if r["K"] == 5 and r["learner"] == n] for n in "AB")
    assert shown[0]["effect"] == pytest.approx(100 * (np.mean(b) - np.mean(a)))
    for verb in ("contrast", "slope"):
        assert kaxis("analyze", verb, file, "--baseline", "A", "--learner", "B") == 0
    assert kaxis("analyze", "equivalence", file, "--margin", "5", "--baseline", "A") == 0
    assert "Shown to lie within 5 pp of 0: results K = 5" in capsys.readouterr().out
    assert kaxis("analyze", "power", file, "--effect", "1", "--baseline", "A") == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"accuracy": 62.5}, "row 3: accuracy = 62.5: a fraction between 0 and 1, not per cent"),
        ({"accuracy": "high"}, "accuracy = high"),
        ({"seed": 1.5}, "seed = 1.5: a whole number"),
        ({"K": 0}, "K = 0"),
        ({"seed": 0}, "seed 0 is there twice"),
    ],
)
def test_bad_tables_are_one_line(
    change: dict[str, Any], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = table()
    rows[2] = {**rows[2], **change}
    file = write_table(tmp_path / "r.csv", rows)
    assert kaxis("analyze", "paired", file, "--baseline", "A") == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_tables_without_a_column_or_with_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_table(tmp_path / "r.csv", [{"K": 5, "learner": "A", "accuracy": 0.5}])
    assert kaxis("analyze", "paired", file) == 2
    assert "has no column 'seed'" in capsys.readouterr().err
    assert kaxis("analyze", "paired", tmp_path / "none.csv") == 2
    assert "No such file" in capsys.readouterr().err
    good = write_table(tmp_path / "g.csv", table())
    assert kaxis("analyze", "paired", good, "--store", tmp_path) == 2
    assert "stands alone" in capsys.readouterr().err


def test_a_failed_run_of_a_table_is_named(tmp_path: Path) -> None:
    rows = table()
    rows[0]["accuracy"] = ""
    cube = read_csv(write_table(tmp_path / "r.csv", rows))
    result = paired(cube, learner="B", baseline="A")
    assert result.n_seeds.sel(K=5).item() == 4
    assert result.attrs["notes"] == ["r K=5 A seed 0: failed"]


@settings(deadline=None, max_examples=25)
@given(shift=st.floats(-0.2, 0.2), order=st.permutations(range(5)), extra=st.booleans(), swap=st.booleans())
def test_what_must_not_matter_does_not(shift: float, order: list[int], extra: bool, swap: bool) -> None:
    """Shifting both learners, renaming seeds, adding a K or a learner; swapping learners flips signs."""
    rows = table()
    changed = [{**r, "seed": order[r["seed"]], "accuracy": min(1.0, max(0.0, r["accuracy"] + shift))} for r in rows]
    if extra:
        changed += [
            {"K": 99, "learner": "A", "seed": 0, "accuracy": 0.1},
            {"K": 5, "learner": "C", "seed": 7, "accuracy": 0.3},
        ]
    names = ("A", "B") if swap else ("B", "A")
    one = paired(cube_from_rows(rows), learner="B", baseline="A").sel(K=[5, 10, 50])
    other = paired(cube_from_rows(changed), learner=names[0], baseline=names[1]).sel(K=[5, 10, 50])
    sign = -1 if swap else 1
    np.testing.assert_allclose(one.effect.values, sign * other.effect.values, atol=1e-9)
    np.testing.assert_allclose(one.ci.values, (sign * other.ci.values)[::sign], atol=1e-9)
    np.testing.assert_allclose(one.p.values, other.p.values)


# ---- verdicts -------------------------------------------------------------------------------------------


def row(low: float, high: float, n: int = 8, p: float = 0.01, **more: float) -> dict[str, Any]:
    return {"effect": (low + high) / 2, "ci_lower": low, "ci_upper": high, "n_seeds": n, "p": p, **more}


@pytest.mark.parametrize(
    ("given_row", "says", "never"),
    [
        (row(0.4, 1.6), "is above 0: +0.40 to +1.60 pp", "but"),
        (row(-1.6, -0.4), "is below 0", "above"),
        (row(-0.5, 1.0), "the sign is open", "above 0"),
        (row(math.nan, math.nan, n=1), "in one seed, which gives no interval", "above"),
        (row(math.nan, math.nan, n=2), "in 2 seeds, for which the t interval is not defined", "one seed"),
        (row(-math.inf, math.inf, n=2), "is not defined", "open"),
        (row(math.nan, math.nan, n=0), "nothing to say", "above"),
        (row(2.0, 2.0), "in every one of 8 seeds", "above"),
        (row(0.0, 0.0), "no difference in every one", "above"),
        (row(0.4, 1.6, n=5, p=0.0625), "no exact test can confirm it (its smallest p is 0.0625)", "does not confirm"),
        (row(0.4, 1.6, p=0.08), "but the exact sign-flip test does not confirm it (p = 0.08)", "open"),
        (
            row(0.4, 1.6, normalised_lower=-1.0, normalised_upper=3.0),
            "as a share of the headroom its sign is open",
            "other",
        ),
        (row(0.4, 1.6, normalised_lower=-3.0, normalised_upper=-1.0), "it has the other sign", "open"),
    ],
)
def test_every_branch_of_the_verdict(given_row: dict[str, Any], says: str, never: str) -> None:
    words = verdict(given_row, quantity="A - B", units="pp")
    assert says in words
    assert never not in words
    assert words.endswith(".")


@pytest.mark.parametrize(
    ("synthetic", "real", "apart", "says"),
    [
        ((0.2, 0.8), (-2.0, -1.0), (-2.5, -1.2), "the sign is reversed"),
        ((-0.2, 0.8), (-2.0, -1.0), (-2.5, -1.2), "not shown, since the slope of syn may be 0"),
        ((1.2, 1.8), (0.2, 0.6), (-1.5, -0.8), "differ in size, not in direction"),
        ((0.2, 0.8), (0.1, 0.9), (-0.5, 0.4), "no proof that they agree"),
        ((math.nan, math.nan), (0.1, 0.9), (math.nan, math.nan), "nothing can be compared"),
    ],
)
def test_every_branch_of_the_conflict_verdict(
    synthetic: tuple[float, float], real: tuple[float, float], apart: tuple[float, float], says: str
) -> None:
    values = dict(
        zip(("synthetic_lower", "synthetic_upper", "real_lower", "real_upper"), (*synthetic, *real), strict=True)
    )
    names = {"synthetic": "syn", "real": "real", "units": "pp"}
    assert says in conflict_verdict({**values, **names, "ci_lower": apart[0], "ci_upper": apart[1]})


def test_populations_say_what_seeds_vary() -> None:
    assert "teacher" in population("synthetic/teacher_width:128")
    assert "class subset" in population("cifar100", [5, 10])
    assert "class subset (below K = 100)" in population("cifar100", [50, 100])
    for source, K in (("cifar100/pca:32", 100), ("cifar100/coarse", 20), ("digits", 10)):
        assert "class subset" not in population(source, [K])
    assert "grouping of classes" in population("cifar100/merge:20", [20])
    assert "class subset" in population("folder:photos", [4])
    assert "class subset" not in population("cifar10/classes:cat+dog", [2])
    for sampled in ("cifar100/pca:32/per:100", "cifar100/total:2500", "digits/holdout:0.1"):
        assert "sample of training images" in population(sampled, [100])
    assert "grouping of classes" in population("synthetic/merge:10/teacher_classes:50", [10])
    assert "the table does not say" in population("synthetic", [5], "table")


# ---- the command line -----------------------------------------------------------------------------------


def test_conflict_and_differential_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {
            "source": s,
            "K": k,
            "learner": n,
            "seed": i,
            "accuracy": 0.5 + (n == "A") * (sign * math.log(k) + wobble(i, k)) / 100,
        }
        for s, sign in (("syn", 1), ("real", -1))
        for k in (5, 10, 50)
        for n in "AB"
        for i in range(6)
    ]
    file = write_table(tmp_path / "r.csv", rows)
    line = ["analyze", "conflict", file, "--synthetic", "syn", "--real", "real", "--baseline", "B", "--learner", "A"]
    assert kaxis(*line) == 0
    assert "the sign is reversed" in capsys.readouterr().out
    assert kaxis(*line, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["attrs"]["reversal"] is True
    assert [r["what"] for r in shown["rows"]][:3] == ["slope on ln K", "slope on ln K", "difference of slopes"]
    line = ["analyze", "differential", file, "--of", "real", "--against", "syn", "--baseline", "B", "--learner", "A"]
    assert kaxis(*line, "--K", "10") == 0
    assert "real minus syn" in capsys.readouterr().out
    assert kaxis(*line) == 2
    assert "name one with --K" in capsys.readouterr().err


def test_coverage_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert kaxis("analyze", "coverage", "--n", "5", "--draws", "100", "--intervals", "t", "--json") == 0
    (shown,) = json.loads(capsys.readouterr().out)["rows"]
    assert 0.85 < shown["covers"] <= 1
    assert kaxis("analyze", "coverage", "--intervals", "tt") == 2


def test_analyses_import_no_torch_and_are_quick(tmp_path: Path) -> None:
    rows = [
        {"K": k, "learner": n, "seed": s, "accuracy": 0.5 + 0.01 * wobble(s, k + 97 * (n == "A"))}
        for k in range(2, 52)
        for n in "AB"
        for s in range(10)
    ]
    file = write_table(tmp_path / "r.csv", rows)
    code = (
        "import sys\nfrom kaxis.cli import _exit_code\n"
        f"assert _exit_code(['analyze', 'paired', {str(file)!r}, '--baseline', 'B'], False) == 0\n"
        "assert 'torch' not in sys.modules, 'torch'"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < 10  # a guard against a blow-up, no speed test: it takes 1.5 s


def test_estimates_are_those_of_the_array_layer() -> None:
    cube = cube_from_rows(table())
    result = paired(cube, learner="A", baseline="B").sel(source="table", K=10)
    d = result.difference.values
    e = estimate(d)
    assert float(result.effect) == pytest.approx(e.mean)
    assert result.ci.values == pytest.approx((e.lower, e.upper))


def test_reproduction_sets_published_numbers_beside_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from kaxis.spec.sweep import Sweep
    from kaxis.store.records import Store

    from .conftest import fake_result

    store = Store(tmp_path / "s")
    store.prepare()
    both: dict[str, Any] = {"source": "synthetic", "K": 5, "seeds": "0-3", "learners": ["bp", "dtg_ff"]}
    for options, level in ((both, 0.84), ({**both, "steps": 10}, 0.2), ({**both, "lr": 0.5}, 0.3)):
        for cell in Sweep.of(options).cells():
            test = level + (0.004 + 0.0005 * (cell.seed - 1.5)) * (cell.learner == "dtg_ff") + 0.001 * cell.seed
            store.write(cell, fake_result(test + 0.15, test))
    for cell in Sweep.of(
        {"source": "cifar10", "net": "vgg8", "seeds": 42, "learners": "dtg_ff", "width": 0.25}
    ).cells():
        store.write(cell, fake_result(0.9, 0.8))
    assert kaxis("analyze", "reproduction", "--store", tmp_path / "s", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    bp = [r for r in rows if (r["quantity"], r["learner"]) == ("test accuracy", "bp")]
    assert sorted(round(r["effect"], 2) for r in bp) == [20.15, 30.15, 84.15]  # three configurations, never mixed
    assert {r["differs"] for r in bp} == {"", "steps 10 (published 8000)"}
    (effect,) = [
        r for r in rows if r["quantity"] == "effect" and r["baseline"] == "bp" and r["effect"] and r["differs"]
    ]
    assert effect["effect"] == pytest.approx(0.4)
    assert (effect["published"], effect["inside"]) == (0.4, True)
    (image,) = [r for r in rows if r["source"] == "cifar10"]
    assert (image["published"], image["effect"], image["inside"]) == (91.79, 80.0, None)
    assert image["differs"] == "width 0.25 (published 1.0)"
    assert kaxis("analyze", "reproduction", "--store", tmp_path / "s") == 0
    assert "intervals hold the published number" in capsys.readouterr().out
    assert kaxis("analyze", "reproduction", "--store", tmp_path / "none") == 2
