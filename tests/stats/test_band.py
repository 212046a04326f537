"""The band over K."""

from __future__ import annotations

import numpy as np
import pytest

from kaxis.stats.multiplicity import simultaneous_band


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
    from kaxis.stats.multiplicity import correlation

    root = np.linalg.cholesky(correlation(d))
    x = rng.standard_normal((40_000, 4, 3)) @ root.T
    t = np.abs(x.mean(1)) / (x.std(1, ddof=1) / 2)
    assert reach[0] == pytest.approx(np.quantile(t.max(1), 0.95), rel=0.05)
