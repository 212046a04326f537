"""Conclusions that the numbers carry, and no others: zero spread, order of seeds, bands that cover, conflicts, ratios,
replications, training length.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from kaxis.errors import KaxisError
from kaxis.reference import published
from kaxis.spec.cell import Cell
from kaxis.stats.across import AGAINST, conflict
from kaxis.stats.arrays import estimate, flips_named, sign_flip_p
from kaxis.stats.contrasts import contrast, slope_steps
from kaxis.stats.effects import equivalence, gap, paired
from kaxis.stats.families import max_t_p, simultaneous_band
from kaxis.stats.intervals import KINDS, interval
from kaxis.stats.models import crv3_slope, welch
from kaxis.stats.planning import power, seeds_needed, simulated_power, smallest_effect
from kaxis.stats.tidy import cube_from_rows
from kaxis.stats.verdict import verdicts
from kaxis.store.cube import load_cube
from kaxis.store.records import Store

from .conftest import noisy

Fill = Callable[..., Store]
Cli = Callable[..., tuple[int, str, str]]
AB = {"learner": "B", "baseline": "A"}


def table(
    effect: Callable[[str, int, int], float], sources: tuple[str, ...] = ("s",), n: int = 4, **more: Any
) -> xr.Dataset:
    """Accuracies whose paired effect is a function of (source, K, seed), in pp."""
    rows = [
        {
            "source": s,
            "K": K,
            "learner": name,
            "seed": i,
            "accuracy": 0.5 + 0.003 * i + (effect(s, K, i) / 100 if name == "B" else 0),
        }
        for s in sources
        for K in (5, 10, 50)
        for name in "AB"
        for i in range(n)
    ]
    return cube_from_rows([{**r, "train_accuracy": min(1.0, r["accuracy"] + 0.2), **more} for r in rows])


def as_file(cube: xr.Dataset, file: Path) -> Path:
    names = ["source", "K", "learner", "seed", "accuracy", "train_accuracy"]
    frame = cube[["test_accuracy", "train_accuracy"]].rename(test_accuracy="accuracy").to_dataframe().reset_index()
    frame[names].to_csv(file, index=False)
    return file


# ---- a spread of 0 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("values", [[1.0, 1.0], [0.0] * 5, [0.1 + 0.2, 0.3, 0.3], [-2.0] * 12])
def test_a_spread_of_nothing_gives_no_interval(kind: str, values: list[float]) -> None:
    assert all(map(math.isnan, interval(values, kind)))


def test_a_spread_of_nothing_concludes_nothing() -> None:
    assert math.isnan(power(1.0, 0.0, 5))
    assert math.isnan(smallest_effect(0.0, 5))
    with pytest.raises(KaxisError, match="a spread of 0"):
        seeds_needed(1.0, 0.0)
    for a, b in (([1.0, 1.0], [2.0, 2.0]), ([1.0, 1.0], [2.0, 2.5])):
        assert math.isnan(welch(a, b).lower)
        assert math.isnan(welch(a, b).p)
    assert math.isnan(crv3_slope(np.ones((4, 3)) * [1, 2, 3], [1, 2, 3])[1])
    low, high = simultaneous_band(np.column_stack([np.ones(5), np.arange(5.0)]))
    assert np.isnan([low[0], high[0]]).all()
    assert low[1] < 2 < high[1]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("equivalence --margin 2", "Shown to lie within 2 pp of 0: none"),
        ("power --effect 1", "nothing to plan with"),
        ("gap", "a spread of 0 gives no interval"),
        ("paired", "a spread of 0 gives no interval"),
        ("slope", "a spread of 0 gives no interval"),
        ("conflict --synthetic s --real r --learner B", "a spread of 0 gives no interval, nothing can be compared"),
        ("differential --of s --against r --K 5 --learner B", "a spread of 0 gives no interval"),
    ],
)
def test_no_analysis_concludes_from_a_spread_of_nothing(line: str, says: str, tmp_path: Path, cli: Cli) -> None:
    cube = table(lambda s, K, i: (1.0 + 2 * (s == "r")) * np.log(K), ("s", "r"))
    file = as_file(cube, tmp_path / "t.csv")
    words = line.split()
    code, out, _ = cli("analyze", words[0], file, *words[1:], "--baseline", "A")
    assert code == 0
    assert says in out
    code, out, _ = cli("analyze", words[0], file, *words[1:], "--baseline", "A", "--json")
    for row in json.loads(out)["rows"]:
        assert row.get("ci_lower") is None
        assert row.get("ci_upper") is None
        if words[0] in ("equivalence", "conflict"):
            assert row["p"] is None or row["what"] == "slope on ln K"


# ---- the order of seeds ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [5, 20, 21, 24, 60])
def test_the_sign_flip_test_does_not_know_the_names_of_seeds(n: int) -> None:
    rng = np.random.default_rng(n)
    d = rng.normal(0.35, 1, n)
    assert len({sign_flip_p(rng.permutation(d)) for _ in range(6)}) == 1
    assert sign_flip_p(-d) == pytest.approx(sign_flip_p(d), abs=0.003 if n > 20 else 1e-12)
    assert ("exact" in flips_named(n)) == (n <= 20)


@pytest.mark.parametrize("n", [8, 12, 13, 14, 30])
def test_max_t_does_not_know_the_names_of_seeds(n: int) -> None:
    rng = np.random.default_rng(n)
    d = rng.normal(0.3, 1, (n, 3))
    assert len({tuple(max_t_p(rng.permutation(d)).round(12)) for _ in range(6)}) == 1


def test_simulated_power_does_not_know_the_names_of_seeds() -> None:
    rng = np.random.default_rng(0)
    d = rng.normal(0, 1, 12)
    assert len({simulated_power(rng.permutation(d), 1.0, 8)["t"] for _ in range(4)}) == 1


def test_random_flips_are_near_the_exact_test() -> None:
    from kaxis.stats import arrays

    rng = np.random.default_rng(1)
    for _ in range(5):
        d = rng.normal(0.3, 1, 16)
        sums = np.abs(arrays.flipped_sums(d[:, None], 99_999)[:, 0])
        assert np.mean(sums >= abs(d.sum()) - 1e-9) == pytest.approx(sign_flip_p(d), abs=0.006)


def test_beyond_20_seeds_the_test_is_not_called_exact(tmp_path: Path, cli: Cli) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (3, 24))
    cube = table(lambda s, K, i: 1.0 + noise[[5, 10, 50].index(K), i], n=24)
    code, out, _ = cli("analyze", "paired", as_file(cube, tmp_path / "t.csv"), "--baseline", "A")
    assert code == 0
    assert "by 99,999 random flips, not exact" in out
    assert "the sign-flip test (99,999 random flips) confirms" in out


# ---- the band over K ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 8, 10])
@pytest.mark.parametrize("K", [4, 6])
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_the_band_holds_all_K_as_often_as_it_says(n: int, K: int, rho: float) -> None:
    """Unequal spreads; 1,000 simulated studies: standard error .007."""
    rng = np.random.default_rng([n, K, int(10 * rho)])
    root = np.linalg.cholesky(np.full((K, K), rho) + (1 - rho) * np.eye(K)) * np.linspace(1, 4, K)[:, None]
    hits = 0
    for _ in range(1_000):
        low, high = simultaneous_band(rng.standard_normal((n, K)) @ root.T, draws=2_000)
        hits += bool(((low <= 0) & (high >= 0)).all())
    assert 0.93 <= hits / 1_000 <= 0.985


def test_the_bands_quantile_is_that_of_whole_seeds() -> None:
    """Bartlett's factor stands for n x K normals: the same quantile by drawing the seeds themselves."""
    rng = np.random.default_rng(0)
    d = rng.normal(0, 1, (4, 3))
    d -= d.mean(0)
    low, high = simultaneous_band(d)
    reach = (high - low) / 2 / (d.std(0, ddof=1) / 2)
    assert reach == pytest.approx(reach[0])
    from kaxis.stats.families import _correlation

    root = np.linalg.cholesky(_correlation(d))
    x = rng.standard_normal((40_000, 4, 3)) @ root.T
    t = np.abs(x.mean(1)) / (x.std(1, ddof=1) / 2)
    assert reach[0] == pytest.approx(np.quantile(t.max(1), 0.95), rel=0.05)


# ---- conflict -------------------------------------------------------------------------------------------


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


# ---- ratios, replications, seeds that are not shared ----------------------------------------------------


def test_a_share_without_an_end_is_called_unbounded(tmp_path: Path, cli: Cli) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (3, 6))
    cube = table(lambda s, K, i: noise[[5, 10, 50].index(K), i], n=6)
    cube["train_accuracy"] = cube.train_accuracy + 0.02 * (cube.learner == "B") * (1 + cube.seed / 9)
    code, out, _ = cli("analyze", "gap", as_file(cube, tmp_path / "t.csv"), "--baseline", "A")
    assert code == 0
    assert "unbounded" in out
    assert gap(cube, **AB).share_unbounded.any()


@pytest.mark.parametrize("headroom", [0.01, 0.049, 0.2])
def test_little_headroom_is_warned_of(headroom: float, tmp_path: Path, cli: Cli) -> None:
    rows = [
        {
            "K": 5,
            "learner": n,
            "seed": i,
            "accuracy": 0.995 + 0.001 * i * (n == "B"),
            "chance": 1 - headroom if i == 0 else 0.5,
        }
        for n in "AB"
        for i in range(4)
    ]
    import csv

    with (tmp_path / "t.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    out = cli("analyze", "paired", tmp_path / "t.csv", "--baseline", "A")[1]
    assert ("% of headroom rests on little" in out) == (headroom < 0.05)


def test_a_replication_is_inside_the_prediction_interval_in_95_of_100() -> None:
    """And inside the t interval of the true mean in far fewer: 10 seeds against a mean of 5."""
    rng = np.random.default_rng(0)
    inside, held = 0, 0
    for _ in range(4_000):
        d, theirs = rng.standard_normal(10), rng.standard_normal(5).mean()
        low, high = interval(d)
        inside += abs(theirs - d.mean()) <= (high - d.mean()) * math.sqrt(1 + 10 / 5)
        held += low <= theirs <= high
    assert inside / 4_000 == pytest.approx(0.95, abs=0.012)
    assert held / 4_000 == pytest.approx(0.776, abs=0.025)
    assert set(published()["seeds"]) == {"synthetic", "real", "accuracy"}


@pytest.mark.parametrize("line", ["paired", "contrast --drop-incomplete", "slope --drop-incomplete", "contrast"])
def test_learners_without_a_seed_in_common_are_told_so(line: str, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "t.csv").write_text("K,learner,seed,accuracy\n5,A,0,.5\n10,A,0,.5\n5,B,1,.5\n10,B,1,.5\n")
    words = line.split()
    code, out, err = cli("analyze", words[0], tmp_path / "t.csv", *words[1:], "--baseline", "A")
    assert code in (1, 2)
    assert "B and A share no seed: B has 1, A has 0" in out + err


def test_equivalence_says_which_places_have_no_spread(tmp_path: Path, cli: Cli) -> None:
    cube = table(lambda s, K, i: 0.5 if K == 5 else 0.5 + 0.05 * i)
    assert np.isnan(equivalence(cube, **AB, margin=2.0).p.sel(K=5)).all()
    out = cli("analyze", "equivalence", as_file(cube, tmp_path / "t.csv"), "--margin", "2", "--baseline", "A")[1]
    assert "s K = 5: a spread of 0 gives no interval" in out
    assert "Shown to lie within 2 pp of 0: s K = 10, s K = 50" in out


# ---- training length ------------------------------------------------------------------------------------


def test_the_slope_after_each_number_of_steps_is_the_contrast_there(fill: Fill) -> None:
    cube = load_cube(fill(noisy()))
    rng = np.random.default_rng(0)
    cube["test_accuracy_curve"] = cube.test_accuracy_curve + rng.normal(0, 0.01, cube.test_accuracy_curve.shape)
    out = slope_steps(cube, learner="dtg_ff", baseline="bp_deepsup")
    assert out.step.values.tolist() == [10]  # the start is no training
    at = cube.assign(test_accuracy=cube.test_accuracy_curve.sel(step=10, drop=True))
    expected = contrast(at, learner="dtg_ff", baseline="bp_deepsup")
    for name in ("effect", "ci", "p", "n_seeds", "per_seed"):
        assert out[name].sel(step=10).values == pytest.approx(expected[name].values)
    with pytest.raises(KaxisError, match="no learning curves"):
        slope_steps(load_cube(fill(noisy()), curves=False), learner="dtg_ff", baseline="bp_deepsup")


def test_sources_looked_at_after_other_steps_stand_side_by_side(fill: Fill, tmp_path: Path, cli: Cli) -> None:
    store = fill(noisy())
    fill(noisy(), source="synthetic")
    cube = load_cube(store)
    cube["test_accuracy_curve"] = cube.test_accuracy_curve.where((cube.source == "digits") | (cube.step == 0))
    with pytest.raises(KaxisError):
        slope_steps(cube.sel(source=["synthetic"]), learner="dtg_ff", baseline="bp_deepsup")
    out = slope_steps(cube, learner="dtg_ff", baseline="bp_deepsup")
    assert out.source.values.tolist() == ["digits"]
    code, said, _ = cli("figure", "slope-steps", "--store", store.path, "--out", tmp_path / "f")
    assert code == 0
    assert "slope_steps.csv" in said
    assert "paired" not in said


def test_temperatures_need_no_layer_accuracies(fill: Fill) -> None:
    """As where the best look counts, for which layers are not looked at."""
    store = fill(noisy())
    for record in list(store.records()):
        metrics = {**record["metrics"], "layer_test_accuracy": [], "temperature": [0.5, 1.0]}
        store.write(Cell(record["config"]), {**record, "metrics": metrics})
    cube = load_cube(store)
    assert cube.sizes["layer"] == 2
    assert cube.layer_test_accuracy.isnull().all()


def test_cubes_without_curves_say_the_same(fill: Fill) -> None:
    store = fill(noisy())
    whole, lean = load_cube(store), load_cube(store, curves=False)
    assert "step" not in lean.dims
    pair = {"learner": "dtg_ff", "baseline": "bp_deepsup"}
    assert paired(whole, **pair).identical(paired(lean, **pair))
