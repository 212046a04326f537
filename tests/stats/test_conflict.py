"""Conflict."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from kaxis.errors import KaxisError
from kaxis.stats.arrays import estimate
from kaxis.stats.models import welch
from kaxis.stats.sources import AGAINST, conflict
from kaxis.stats.tables import cube_from_rows
from kaxis.stats.verdict import verdicts
from tests.helpers import Cli
from tests.stats.cubes import AB, table
from tests.stats.tables import write_table


def legs(synthetic: float, real: float, r: float = 0.0, n: int = 8, spread: float = 0.1) -> xr.Dataset:
    """Effects along ln K with these slopes, whose seeds' slopes correlate by r."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((2, n))
    z -= z.mean(1, keepdims=True)
    z[1] -= z[0] * (z[0] @ z[1]) / (z[0] @ z[0])
    z /= z.std(1, keepdims=True)
    noise = {"s": z[0], "r": r * z[0] + math.sqrt(1 - r**2) * z[1]}
    slope = {"s": synthetic, "r": real}
    return table(lambda s, K, i: (slope[s] + spread * noise[s][i]) * np.log(K), ("s", "r"), n=n)


@pytest.mark.parametrize(
    ("synthetic", "real", "says"),
    [
        (-4.0, -1.0, "the slope of r is above that of s: .*both fall with K, r less steep"),
        (-1.0, -4.0, "the slope of r is below that of s: .*both fall with K, r steeper"),
        (1.0, 4.0, "the slope of r is above that of s: .*both rise with K, r steeper"),
        (4.0, 1.0, "the slope of r is below that of s: .*both rise with K, r less steep"),
        (1.0, -1.0, "the sign is reversed; the exact sign-flip test confirms either slope"),
        (1.0, 0.0, "a reversed sign is not shown, since the slope of r may be 0"),
        (1.0, 1.0, "no difference of slopes is shown; .*That is no proof that they agree"),
    ],
)
def test_a_conflict_is_told_with_kind_probability_and_n(synthetic: float, real: float, says: str) -> None:
    import re

    words = verdicts(conflict(legs(synthetic, real), **AB, synthetic="s", real="r"))[0]
    assert re.search(says, words)
    assert "(95 % Welch t interval, n = 8 and 8)" in words


def test_with_few_seeds_no_exact_test_confirms_a_reversal() -> None:
    words = verdicts(conflict(legs(1.0, -1.0, n=4), **AB, synthetic="s", real="r"))[0]
    assert "with 4 seeds no exact test can confirm a slope (its smallest p is 0.125)" in words


@pytest.mark.parametrize(("r", "kind"), [(-0.7, "paired t"), (-0.35, "paired t"), (-0.25, "Welch t"), (0.6, "Welch t")])
def test_seeds_that_run_against_each_other_are_paired(r: float, kind: str) -> None:
    out = conflict(legs(1.0, 1.2, r), **AB, synthetic="s", real="r")
    assert float(out.seed_correlation) == pytest.approx(r, abs=1e-6)
    assert (float(out.seed_correlation) <= AGAINST) == (kind == "paired t")
    assert out.attrs["ci_kind"] == kind
    assert out.ci.values == pytest.approx((out.paired_ci if kind == "paired t" else out.welch_ci).values)
    assert int(out.n_pairs) == (8 if kind == "paired t" else 0)
    assert kind in verdicts(out)[0]


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 10])
@pytest.mark.parametrize("rho", [-0.7, -0.5, -0.3, 0.0])
def test_the_interval_of_a_conflict_covers(n: int, rho: float) -> None:
    rng = np.random.default_rng(0)
    hits, studies = 0, 4_000
    for _ in range(studies):
        a = rng.standard_normal(n)
        b = rho * a + math.sqrt(1 - rho**2) * rng.standard_normal(n)
        w, e = welch(b, a), estimate(b - a)
        low, high = (e.lower, e.upper) if np.corrcoef(a, b)[0, 1] <= AGAINST else (w.lower, w.upper)
        hits += low <= 0 <= high
    assert 0.93 <= hits / studies <= 0.975


def few_in_common(n: int = 10, common: int = 3) -> list[dict[str, Any]]:
    """Independent legs, of which a few seeds have the same numbers and happen to run against each other."""
    slope = {
        "s": [0.5, 0.6, 0.4, 0.7, 0.5, 0.3, 0.6, 1.50, 1.52, 1.54],
        "r": [1.13, 1.12, 1.10, *[2.4, 2.5, 2.6, 2.3] * 2],
    }
    return [
        {"source": s, "K": K, "learner": name, "seed": i + (n - common) * (s == "r")}
        | {"accuracy": 0.5 + (slope[s][i] * math.log(K) / 100 if name == "B" else 0)}
        for s in "sr"
        for K in (5, 10, 50)
        for name in "AB"
        for i in range(n)
    ]


def test_a_few_seeds_in_common_do_not_decide() -> None:
    """Their pairs would say below, all seeds say above."""
    out = conflict(cube_from_rows(few_in_common()), **AB, synthetic="s", real="r")
    assert float(out.seed_correlation) <= AGAINST
    assert float(out.paired_ci[1]) < 0 < float(out.ci[0])
    assert (int(out.n_pairs), out.attrs["ci_kind"]) == (0, "Welch t")
    assert out.ci.values == pytest.approx(out.welch_ci.values)
    assert float(out.difference) == pytest.approx(float(out.slope[1] - out.slope[0]))


def test_a_few_seeds_in_common_that_run_against_each_other_are_told(cli: Cli, tmp_path: Path) -> None:
    file = write_table(tmp_path / "t.csv", few_in_common())
    words = ["analyze", "conflict", file, "--synthetic", "s", "--real", "r", "--baseline", "A", "--learner", "B"]
    assert "train those that one lacks" in cli(*words)[1]


def test_effects_at_each_K_go_by_the_rule_of_the_slopes() -> None:
    out = conflict(legs(1.0, 1.2, -0.7), **AB, synthetic="s", real="r")
    assert out.effect_n_pairs.values.tolist() == [8, 8, 8]  # noise along ln K: as anticorrelated at each
    cube = legs(1.0, 1.2, -0.7)
    d = 100 * (cube.test_accuracy.sel(learner="B") - cube.test_accuracy.sel(learner="A"))
    for K in (5, 10, 50):
        e = estimate((d.sel(source="r", K=K) - d.sel(source="s", K=K)).values)
        assert out.effect_ci.sel(K=K).values == pytest.approx([e.lower, e.upper])
        assert float(out.effect_p.sel(K=K)) == e.p
    assert conflict(legs(1.0, 1.2, 0.6), **AB, synthetic="s", real="r").effect_n_pairs.values.tolist() == [0, 0, 0]


def test_what_no_exact_test_confirms_is_said_of_pairs_too() -> None:
    words = verdicts(conflict(legs(1.0, 3.0, -0.7, n=5), **AB, synthetic="s", real="r"))[0]
    assert "n = 5 pairs); with 5 seeds no exact test can confirm it (its smallest p is 0.0625)" in words


def test_two_legs_of_one_set_share_images_and_are_no_conflict() -> None:
    cube = legs(1.0, 3.0).assign_coords(source=["birds/coarse", "birds/total:500"])
    with pytest.raises(KaxisError, match=r"legs of one set, birds, .*differential --slope --of birds/total:500"):
        conflict(cube, **AB, synthetic="birds/coarse", real="birds/total:500")
    both = legs(1.0, 3.0).assign_coords(source=["synthetic", "synthetic/balance:uniform"])
    assert conflict(both, **AB, synthetic="synthetic", real="synthetic/balance:uniform").sizes["K"] == 3
