"""Estimators."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaxis.measure.diagnose import BINS, known_case
from kaxis.stats.information import fano_bound, gaussian_mixture, histogram, ksg, label_entropy, probe_error


def test_the_known_case_carries_what_it_says() -> None:
    """Two equally likely normals, d apart: I = 1 - E[log2(1 + exp(-d z))], z normal around d / 2, by Gauss-Hermite
    quadrature.
    """
    x, y, exact = gaussian_mixture(0.4, 2, 200_000, seed=1)
    d = x[y == 1].mean() - x[y == 0].mean()
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    z = nodes + d / 2
    by_hand = 1 - float((weights * np.log2(1 + np.exp(-d * z))).sum() / weights.sum())
    assert exact == pytest.approx(0.4, abs=1e-6)
    assert by_hand == pytest.approx(0.4, abs=0.01)
    with pytest.raises(ValueError, match="between 0 and log2 K"):
        gaussian_mixture(1.5, 2, 100)


def test_the_known_case_of_many_classes_is_known_too() -> None:
    assert gaussian_mixture(0.25, 200, 10)[2] == pytest.approx(0.25, abs=1e-6)


LARGE = [pytest.param(bits, 10, marks=pytest.mark.slow) for bits in (0.25, 1.5)]


@pytest.mark.parametrize(("bits", "K"), [(0.5, 2), *LARGE])
def test_estimators_are_near_the_known_case(bits: float, K: int) -> None:
    x, y, exact = gaussian_mixture(bits, K, 10_000)
    assert ksg(x, y) == pytest.approx(exact, abs=0.05)
    assert histogram(x, y, bins=50) == pytest.approx(exact, abs=0.05)
    found = [histogram(x, y, bins=b) for b in BINS]
    assert found == sorted(found)  # the bias that grows with the bins, as documented
    bound = fano_bound(probe_error(x[:, None], y, K), K, label_entropy(y))
    assert 0 < bound <= exact


def test_histograms_are_the_plug_in_of_a_table() -> None:
    from sklearn.metrics import mutual_info_score

    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 500)
    x = rng.integers(0, 10, 500) + 0.5 + y
    edges = np.linspace(x.min(), x.max(), 21)
    cut = np.clip(np.digitize(x, edges) - 1, 0, 19)
    assert histogram(x, y, bins=20) == pytest.approx(mutual_info_score(cut, y) / np.log(2))


@given(error=st.floats(0, 1), K=st.integers(2, 200))
def test_fanos_bound_lies_between_0_and_log2_k(error: float, K: int) -> None:
    bound = fano_bound(error, K, np.log2(K))
    assert 0 <= bound <= np.log2(K) + 1e-12
    assert fano_bound(0.0, K, np.log2(K)) == pytest.approx(np.log2(K))
    assert fano_bound(1 - 1 / K, K, np.log2(K)) == pytest.approx(0, abs=1e-9)


@settings(max_examples=10, deadline=None)
@given(K=st.integers(2, 12), spread=st.floats(0, 4), seed=st.integers(0, 100))
def test_a_probes_bound_never_exceeds_log2_k(K: int, spread: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = np.arange(400) % K
    x = spread * rng.standard_normal((K, 5))[y] + rng.standard_normal((400, 5))
    assert fano_bound(probe_error(x, y, K, epochs=5), K, label_entropy(y)) <= np.log2(K) + 1e-9


def test_a_probe_reads_what_is_linear_and_is_at_chance_on_noise() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 2000)
    assert probe_error(np.eye(3)[y] + 0.01 * rng.standard_normal((2000, 3)), y, 3) == 0
    assert probe_error(rng.standard_normal((2000, 3)), y, 3) == pytest.approx(2 / 3, abs=0.08)


def test_what_estimators_say_of_a_known_case() -> None:
    said = known_case(10, 10_000, 0.25)
    assert set(said) == {"exact", "ksg", "probe", *(f"histogram_{b}" for b in BINS)}
    assert said["ksg"] == pytest.approx(said["exact"], abs=0.05)
