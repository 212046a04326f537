"""Effects along K that lend each other strength."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate
from scipy.stats import cauchy, multivariate_normal

from kaxis.errors import KaxisError
from kaxis.stats.intervals import t_interval
from kaxis.stats.multiplicity import correlation
from kaxis.stats.shrinkage import shrunk, shrunken
from kaxis.stats.tables import cube_from_rows
from tests.helpers import Cli

K = np.array([5.0, 10, 20, 50])


def test_its_mean_is_that_of_the_posterior_integrated_by_another_road() -> None:
    """Over tau by scipy's quadrature; line and deviations as one normal vector with a very wide prior on the line."""
    rng = np.random.default_rng(1)
    d = 0.5 * np.log(K) + rng.normal(size=(8, 4))
    y, sd = d.mean(0), d.std(0, ddof=1)
    C = correlation(d) * np.outer(sd, sd) / 8
    scale = np.sqrt(np.diag(C)).mean()
    X = np.stack([np.ones(4), np.log(K) - np.log(K).mean()], axis=1)
    wide = 1e6 * X @ X.T

    def joint(tau: float, k: int | None) -> float:
        prior = wide + tau**2 * np.eye(4)
        density = multivariate_normal.pdf(y, np.zeros(4), prior + C) * 2 * cauchy.pdf(tau, scale=scale)
        return density * (1.0 if k is None else float((prior @ np.linalg.solve(prior + C, y))[k]))

    def over(k: int | None) -> float:
        return integrate.quad(joint, 0, np.inf, args=(k,), limit=200, epsabs=0, epsrel=1e-7)[0]

    mean, low, high = shrunken(d, K)
    assert mean == pytest.approx([over(k) / over(None) for k in range(4)], abs=0.01)
    assert (low < mean).all()
    assert (mean < high).all()


def test_what_lies_far_from_a_line_is_left_where_it_is() -> None:
    rng = np.random.default_rng(0)
    d = np.array([0.0, 40, 0, 40]) + 0.1 * rng.normal(size=(8, 4))
    mean, low, high = shrunken(d, K)
    assert mean == pytest.approx(d.mean(0), abs=0.01)
    own = np.array([t_interval(column) for column in d.T])
    assert high - low == pytest.approx(own[:, 1] - own[:, 0], rel=0.05)


def test_the_order_of_seeds_and_units_do_not_matter() -> None:
    d = np.random.default_rng(0).normal(size=(6, 4))
    a, b = shrunken(d, K), shrunken(100 * d[::-1], K)
    for x, y in zip(a, b, strict=True):
        assert 100 * x == pytest.approx(y, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("tau", "gain"), [(0.0, 0.8), (0.5, 0.95), (1.5, 1.02)])
@pytest.mark.parametrize("n", [5, 10])
def test_it_covers_about_what_it_says_and_is_shorter(n: int, tau: float, gain: float) -> None:
    """What docs/statistics.md says."""
    rng, six, covered, wide, own = np.random.default_rng(n), np.array([5.0, 10, 15, 20, 30, 50]), 0.0, 0.0, 0.0
    for _ in range(300):
        truth = 0.3 * np.log(six) + tau * rng.normal(size=6)
        d = truth + rng.normal(size=(n, 6))
        _, low, high = shrunken(d, six)
        covered += float(((low <= truth) & (truth <= high)).mean())
        wide += float((high - low).mean())
        own += float(np.mean([np.subtract(*t_interval(column)[::-1]) for column in d.T]))
    assert 0.91 <= covered / 300 <= 0.98
    assert wide / own < gain


def test_the_verb_and_what_it_refuses(cli: Cli, tmp_path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"K": int(k), "learner": w, "seed": s, "accuracy": float(0.5 + (w == "B") * rng.normal(0.01, 0.01))}
        for k in K
        for w in "AB"
        for s in range(4)
    ]
    found = shrunk(cube_from_rows(rows), learner="B", baseline="A").isel(source=0)
    assert found.own_ci.sel(K=5).values[0] < float(found.own.sel(K=5)) < found.own_ci.sel(K=5).values[1]
    with pytest.raises(KaxisError, match="four K or more"):
        shrunk(cube_from_rows([r for r in rows if r["K"] != 50]), learner="B", baseline="A")
    lines = [f"{r['K']},{r['learner']},{r['seed']},{r['accuracy']}" for r in rows]
    (tmp_path / "t.csv").write_text("\n".join(["K,learner,seed,accuracy", *lines]))
    code, out, err = cli("analyze", "shrunk", tmp_path / "t.csv", "--baseline", "A")
    assert (code, err) == (0, "")
    assert out.count("B - A") >= 4
