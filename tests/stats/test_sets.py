"""Over data sets."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import f_oneway
from scipy.stats import t as student

from kaxis.errors import KaxisError
from kaxis.stats.rows import rows
from kaxis.stats.sets import over_sets
from kaxis.stats.tables import cube_from_rows
from tests.helpers import Cli
from tests.stats.tables import write_table

PAIR = {"learner": "B", "baseline": "A"}


def cube(effects: dict[str, list[float]], K: int = 5):
    """A table in which set `name` has these effects (pp), one a seed."""
    rows = [
        {"source": name, "K": K, "learner": who, "seed": s, "accuracy": 0.5 + (who == "B") * d / 100}
        for name, own in effects.items()
        for s, d in enumerate(own)
        for who in "AB"
    ]
    return cube_from_rows(rows)


def drawn(mean: float, se: float) -> list[float]:
    """Four seeds with just this mean and standard error."""
    z = np.array([-1.5, -0.5, 0.5, 1.5])
    return (mean + z / z.std(ddof=1) * se * 2).tolist()


# Colditz et al. 1994: log relative risks and their variances, as in R's metafor (dat.bcg).
BCG = [
    -0.8893,
    -1.5854,
    -1.3481,
    -1.4416,
    -0.2175,
    -0.7861,
    -1.6209,
    0.0120,
    -0.4694,
    -1.3713,
    -0.3394,
    0.4459,
    -0.0173,
]
BCG_V = [0.3256, 0.1946, 0.4154, 0.0200, 0.0512, 0.0069, 0.2230, 0.0040, 0.0564, 0.0730, 0.0124, 0.5325, 0.0714]


def knapp(y: np.ndarray, v: np.ndarray, tau2: float) -> tuple[float, float, float]:
    """Mean and interval of Knapp & Hartung 2003 at a given heterogeneity, written out."""
    w = 1 / (v + tau2)
    mean = (w * y).sum() / w.sum()
    se = math.sqrt((w * (y - mean) ** 2).sum() / (len(y) - 1) / w.sum())
    half = student.ppf(0.975, len(y) - 1) * se
    return mean, mean - half, mean + half


def test_against_metafor() -> None:
    """tau^2 of Paule and Mandel .3181; at REML's .3132, test = "knha": -.7145 [-1.1082, -.3208]."""
    y, v = np.array(BCG), np.array(BCG_V)
    assert knapp(y, v, 0.3132) == pytest.approx((-0.7145, -1.1082, -0.3208), abs=5e-4)
    found = over_sets(
        cube({f"s{i}": drawn(m, math.sqrt(u)) for i, (m, u) in enumerate(zip(BCG, BCG_V, strict=True))}), K=5, **PAIR
    )
    assert float(found.tau) ** 2 == pytest.approx(0.3181, abs=1e-3)
    mean, low, high = knapp(y, v, float(found.tau) ** 2)
    assert float(found.hk_mean) == pytest.approx(mean, abs=1e-5)
    assert found.hk_ci.values == pytest.approx([low, high], abs=1e-5)
    assert float(found.Q_p) < 1e-20  # Q(df = 12) = 152.23


def test_sets_count_alike() -> None:
    own = {"a": drawn(1.0, 0.1), "b": drawn(2.0, 0.5), "c": drawn(4.5, 0.2)}
    found = over_sets(cube(own), K=5, **PAIR)
    y, t = np.array([1.0, 2.0, 4.5]), student.ppf(0.975, 2)
    assert found.effect.values == pytest.approx(y)
    assert found.se.values == pytest.approx([0.1, 0.5, 0.2])
    s = y.std(ddof=1)
    assert found.ci.values == pytest.approx([2.5 - t * s / math.sqrt(3), 2.5 + t * s / math.sqrt(3)])
    assert found.new_ci.values == pytest.approx([2.5 - t * s * math.sqrt(4 / 3), 2.5 + t * s * math.sqrt(4 / 3)])


@pytest.mark.slow
@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize("sets", [4, 6, 10])
def test_mean_and_new_set_are_covered(sets: int, seeds: int, tau: float) -> None:
    """Within two points of 95 %, for standard errors that differ threefold and are known from few seeds."""
    rng, many, mean, new = np.random.default_rng(sets * seeds), 4000, 0, 0
    for _ in range(many):
        truth = rng.normal(0, tau, sets + 1)
        spread = rng.uniform(0.5, 1.5, sets + 1) * math.sqrt(seeds)
        y = (truth[:, None] + spread[:, None] * rng.normal(size=(sets + 1, seeds))).mean(1)
        t, s, m = student.ppf(0.975, sets - 1), y[:-1].std(ddof=1), y[:-1].mean()
        mean += abs(m) <= t * s / math.sqrt(sets)
        new += abs(y[-1] - m) <= t * s * math.sqrt(1 + 1 / sets)
    assert 0.93 <= mean / many <= 0.97
    assert 0.93 <= new / many <= 0.97


def test_what_is_refused(cli: Cli, tmp_path) -> None:
    own = {"a": drawn(1.0, 0.1), "b": drawn(2.0, 0.5), "c": drawn(4.5, 0.2)}
    with pytest.raises(KaxisError, match="3 or more are needed, there is 2"):
        over_sets(cube(own), K=5, sources=["a", "b"], **PAIR)
    with pytest.raises(KaxisError, match="c/x and c/y are one set"):
        over_sets(cube({**own, "c/x": own["c"], "c/y": own["c"]}), K=5, sources=["a", "b", "c/x", "c/y"], **PAIR)
    with pytest.raises(KaxisError, match="d has 4 seeds without a spread"):
        over_sets(cube({**own, "d": [1.0] * 4}), K=5, **PAIR)
    with pytest.raises(KaxisError, match="'e' is not in the table"):
        over_sets(cube(own), K=5, sources=["a", "b", "e"], **PAIR)
    lines = [
        f"{n},5,{s},{0.5 + (w == 'B') * d / 100},{w}" for n, o in own.items() for s, d in enumerate(o) for w in "AB"
    ]
    (tmp_path / "t.csv").write_text("\n".join(["source,K,seed,accuracy,learner", *lines]))
    code, out, err = cli("analyze", "sets", tmp_path / "t.csv", "--baseline", "A", "--learner", "B", "--at-K", "5")
    assert (code, err) == (0, "")
    assert "a new set" in out
    assert "3 sets carry little" in out


def test_whether_sets_differ_is_asked_of_their_seeds() -> None:
    """Welch's analysis of variance, as scipy has it."""
    rng = np.random.default_rng(0)
    own = {f"s{i}": rng.normal(i, 1 + i, 5).tolist() for i in range(4)}
    expected = f_oneway(*own.values(), equal_var=False).pvalue
    assert float(over_sets(cube(own), K=5, **PAIR).anova_p) == pytest.approx(expected, rel=1e-6)


def test_folders_of_ones_own_are_sets_of_their_own() -> None:
    own = {f"folder:data/{name}/pca:32": drawn(m, 0.1) for m, name in enumerate(("birds", "cars", "dogs"))}
    assert int(over_sets(cube(own), K=5, **PAIR).n_sets) == 3
    twice = {**own, "folder:data/birds/merge:2/per:50": drawn(1.0, 0.1)}
    with pytest.raises(KaxisError, match="are one set"):
        over_sets(cube(twice), K=5, **PAIR)


@pytest.mark.slow
def test_sets_that_do_not_differ_are_told_apart_no_more_often_than_said() -> None:
    """Cochran's Q is, where each set's error is known from five seeds."""
    rng = np.random.default_rng(0)
    found = [over_sets(cube({str(i): rng.normal(0, 1, 5).tolist() for i in range(4)}), K=5, **PAIR) for _ in range(600)]
    assert 0.03 <= np.mean([float(f.anova_p) <= 0.05 for f in found]) <= 0.08
    assert np.mean([float(f.Q_p) <= 0.05 for f in found]) >= 0.1


def test_different_ranges_of_K_are_told(cli: Cli, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    along = {"a": (2, 5), "b": (10, 100), "c": (5, 50)}
    rows = [
        {"source": name, "K": K, "learner": who, "seed": s, "accuracy": round(0.5 + rng.normal(0, 0.02), 4)}
        for name, both in along.items()
        for K in both
        for s in range(4)
        for who in "AB"
    ]
    file = write_table(tmp_path / "t.csv", rows)
    words = ["analyze", "sets", file, "--baseline", "A", "--learner", "B"]
    assert "The sets' numbers are over different K: a 2, 5; b 10, 100; c 5, 50." in cli(*words)[1]
    assert "over different K" not in cli(*words, "--at-K", "5")[1]


def test_rows_of_sets_are_refused() -> None:
    """Only their mean has an interval."""
    result = over_sets(cube({name: drawn(1.0, 0.2) for name in "abc"}), **PAIR, K=5)
    with pytest.raises(KaxisError, match="rows: of a result with an effect and its interval at each source"):
        rows(result)
