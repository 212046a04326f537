"""The order of seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kaxis.stats.arrays import flips_named, sign_flip_p
from kaxis.stats.multiplicity import max_t_p
from kaxis.stats.planning import simulated_power
from tests.helpers import Cli
from tests.stats.cubes import as_file, table


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
