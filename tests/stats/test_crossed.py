"""Over seeds and test samples at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kaxis.errors import KaxisError
from kaxis.execute.runner import run
from kaxis.measure.images import over_images, per_class
from kaxis.sources.load import load_task
from kaxis.spec.study import Study
from kaxis.spec.sweep import Sweep
from kaxis.stats.crossed import crossed
from kaxis.stats.intervals import t_interval
from kaxis.store.cube import load_cube
from kaxis.store.records import Store
from tests.helpers import Cli


def long(d: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    s, i = np.nonzero(np.isfinite(d))
    return d[s, i], s, i


@given(st.integers(0, 2**32 - 1), st.integers(3, 8), st.integers(3, 30))
@settings(max_examples=50)
def test_of_a_whole_table_its_parts_are_those_of_the_analysis_of_variance(seed: int, S: int, N: int) -> None:
    """Mean squares of a two-way table without replication, from a textbook."""
    rng = np.random.default_rng(seed)
    d = rng.normal(size=(S, 1)) + rng.normal(size=(1, N)) + rng.normal(size=(S, N))
    rows, columns = d.mean(1, keepdims=True), d.mean(0, keepdims=True)
    ms_s = N * ((rows - d.mean()) ** 2).sum() / (S - 1)
    ms_i = S * ((columns - d.mean()) ** 2).sum() / (N - 1)
    ms_r = ((d - rows - columns + d.mean()) ** 2).sum() / ((S - 1) * (N - 1))
    found = crossed(*long(d))
    assert found.mean == pytest.approx(d.mean())
    wanted = [max(0.0, (ms_s - ms_r) / N / S), max(0.0, (ms_i - ms_r) / S / N), ms_r / (S * N)]
    assert [found.of_seeds, found.of_samples, found.of_rest] == pytest.approx(wanted)
    assert (found.seeds_lower, found.seeds_upper) == pytest.approx(t_interval(d.mean(1)))
    assert found.upper - found.lower > 0
    shuffled = rng.permutation(S * N)
    again = crossed(*(x[shuffled] for x in long(d)))
    assert again == pytest.approx(found)


def test_test_sets_of_their_own_leave_the_interval_to_the_seeds() -> None:
    rng = np.random.default_rng(0)
    d = rng.normal(size=(5, 40)) + rng.normal(size=(5, 1))
    s, i = np.divmod(np.arange(200), 40)
    found = crossed(d.ravel(), s, 1000 * s + i)
    assert (found.lower, found.upper) == pytest.approx(t_interval(d.mean(1)))
    one = crossed([1.0, 0.0], [0, 0], [0, 1])
    assert np.isnan([one.lower, one.upper]).all(), "one seed has no interval"
    same = crossed(np.ones(12), np.repeat([0, 1, 2], 4), np.tile([0, 1, 2, 3], 3))
    assert np.isnan([same.lower, same.upper]).all(), "nor has a spread of 0"


def coverage(
    S: int, N: int, of_seeds: float, of_samples: float, part: float, many: int, seed: int
) -> tuple[float, float]:
    """Of the interval over both, and of that over seeds alone, as studies are drawn."""
    rng, both, alone = np.random.default_rng(seed), 0, 0
    for _ in range(many):
        d = of_seeds * rng.normal(size=(S, 1)) + of_samples * rng.normal(size=(1, N)) + rng.normal(size=(S, N))
        if part < 1:  # a seed has the samples of its own classes alone
            has = np.stack([np.isin(np.arange(N) * 20 // N, rng.permutation(20)[: int(20 * part)]) for _ in range(S)])
            d[~has] = np.nan
        found = crossed(*long(d))
        both += found.lower <= 0 <= found.upper
        alone += found.seeds_lower <= 0 <= found.seeds_upper
    return both / many, alone / many


@pytest.mark.slow
@pytest.mark.parametrize("part", [1.0, 0.5])
@pytest.mark.parametrize(("of_seeds", "of_samples"), [(0.0, 1.0), (0.05, 1.0), (0.1, 0.3)])
@pytest.mark.parametrize(("S", "N", "many"), [(5, 500, 3000), (10, 500, 3000), (5, 10_000, 400), (10, 10_000, 400)])
def test_it_covers(S: int, N: int, many: int, of_seeds: float, of_samples: float, part: float) -> None:
    """93.5 to 96.5 % where seeds or samples matter, with three standard errors of the simulation."""
    both, alone = coverage(S, N, of_seeds, of_samples, part, many, 11)
    slack = 3 * np.sqrt(0.95 * 0.05 / many)
    assert 0.935 - slack <= both <= 0.965 + slack
    if of_samples == 1.0 and N == 500 and part == 1.0:
        assert alone < 0.85, "seeds alone say too little of other samples"


@pytest.mark.slow
def test_where_neither_matters_it_is_wide() -> None:
    both, alone = coverage(5, 500, 0, 0, 1.0, 2000, 3)
    assert 0.96 < both < 0.995
    assert 0.93 < alone < 0.97


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(tmp_path_factory.mktemp("images") / "s")
    for source in ("digits", "synthetic"):
        options = {"source": source, "K": "3 10", "seeds": "0-3", "steps": 30, "learners": ["bp_deepsup", "dtg_ff"]}
        run(Study.of(source, options), made, on="serial", device="cpu")
    return made


def test_effects_are_those_of_paired_and_samples_those_of_the_set(store: Store) -> None:
    from kaxis.stats.effects import paired

    pair = {"learner": "dtg_ff", "baseline": "bp_deepsup"}
    found, known = over_images(store, **pair), paired(load_cube(store), **pair)
    for source in ("digits", "synthetic"):
        for K in (3, 10):
            at = {"source": source, "K": K}
            assert int(found.n_seeds.sel(at)) == 4
            if (source, K) != ("digits", 3):  # there seeds have test sets of several sizes
                assert float(found.effect.sel(at)) == pytest.approx(float(known.effect.sel(at)))
                assert found.seeds_ci.sel(at).values == pytest.approx(known.ci.sel(at).values)
    at = {"source": "digits", "K": 10}
    assert int(found.n_samples.sel(at)) == len(load_task(Sweep.of({"source": "digits"}).data, 10, 0).test_rows)
    assert 0 <= float(found.disagree.sel(at)) <= float(found.disagree_chance.sel(at)) + 0.1
    assert np.isnan(float(found.disagree_alone.sel(source="synthetic", K=3))), "no two seeds share a sample"
    assert float(found.part.sel(at).sum()) == pytest.approx(1)


def test_classes_add_up_to_the_whole(store: Store) -> None:
    pair = {"learner": "dtg_ff", "baseline": "bp_deepsup"}
    whole, parts = over_images(store, **pair), per_class(store, **pair)
    assert parts.source.values.tolist() == ["digits"], "a teacher's classes mean nothing from seed to seed"
    at = {"source": "digits", "K": 10}
    own = parts.sel(at)
    weighted = (own.effect * own.n_samples).sum() / own.n_samples.sum()
    assert float(weighted) == pytest.approx(float(whole.effect.sel(at)))
    assert sorted(own["class"].values.tolist()) == list("0123456789")


@pytest.mark.parametrize("words", ["analyze images", "analyze images --per-class", "figure per-class"])
def test_a_damaged_record_is_named(words: str, store: Store, tmp_path: Path, cli: Cli) -> None:
    shutil.copytree(store.path, tmp_path / "s")
    short = next((tmp_path / "s" / "cells").glob("*.json"))
    short.write_bytes(short.read_bytes()[:100])
    out = ["--out", tmp_path] if words.startswith("figure") else []
    with pytest.warns(UserWarning, match=f"{short.name}.*skipped"):
        assert cli(*words.split(), "--store", tmp_path / "s", *out)[0] == 0


def test_the_verb_and_what_it_refuses(store: Store, tmp_path: Path, cli: Cli) -> None:
    code, out, err = cli("analyze", "images", "--store", store.path)
    assert (code, err) == (0, "")
    assert "seeds x samples" in out
    assert cli("analyze", "images", "--per-class", "--store", store.path, "--csv", tmp_path / "c.csv")[0] == 0
    assert len((tmp_path / "c.csv").read_text().splitlines()) > 13
    code, _, err = cli("figure", "per-class", "--store", store.path, "--out", tmp_path)
    assert (code, err) == (0, "")
    drawn = (tmp_path / "per_class_digits.csv").read_text().splitlines()
    assert len(drawn) > 10 + 3
    code, _, err = cli("figure", "places", "--store", store.path, "--out", tmp_path)
    assert (code, err) == (0, "")
    assert (tmp_path / "places_synthetic.svg").exists()
    with pytest.raises(KaxisError, match="'bp' is not in the store"):
        over_images(store, learner="dtg_ff", baseline="bp")


@pytest.mark.slow
def test_of_two_and_three_seeds_it_is_no_shorter_than_over_seeds_alone_and_covers() -> None:
    rng = np.random.default_rng(0)
    for S in (2, 3):
        hits = 0
        for _ in range(600):
            d = rng.normal(0, 1, (S, 1)) + rng.normal(0, 3, (1, 40)) + rng.normal(0, 3, (S, 40))
            s, i = (index.ravel() for index in np.indices(d.shape))
            found = crossed(d.ravel(), s, i)
            assert found.upper - found.lower >= found.seeds_upper - found.seeds_lower - 1e-9
            hits += found.lower <= 0 <= found.upper
        assert hits / 600 >= 0.92
