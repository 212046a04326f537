"""Across sources."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from kaxis.errors import KaxisError
from kaxis.stats.intervals import t_interval
from kaxis.stats.models import welch
from kaxis.stats.sources import conflict, differential
from tests.stats.tables import AB, legs, wobble


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
