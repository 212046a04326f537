"""What public functions of statistics do with plausible input that has no answer, or a part that has none."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import kaxis
from kaxis.errors import KaxisError
from kaxis.stats.crossed import crossed
from kaxis.stats.intervals import studentized_interval, t_interval
from kaxis.stats.models import equivalence as tost
from kaxis.stats.simulate import coverage

NOISE = np.random.default_rng(1).normal(size=(26, 60, 60))
PAIR: dict[str, Any] = {"learner": "B", "baseline": "A"}


def runs(source: str, Ks: Sequence[int], seeds: Sequence[int], learners: str = "AB") -> list[dict[str, Any]]:
    """Accuracies of .5, and of all learners but A about a point more."""

    def gain(K: int, seed: int) -> float:
        return (1 + float(NOISE[ord(source[0]) % 26, K % 60, seed])) / 100

    places = itertools.product(Ks, learners, seeds)
    return [
        {"source": source, "K": K, "learner": name, "seed": seed, "accuracy": 0.5 + (name != "A") * gain(K, seed)}
        for K, name, seed in places
    ]


def cube(*parts: list[dict[str, Any]]) -> xr.Dataset:
    return kaxis.cube_from_rows([row for part in parts for row in part])


WHOLE = cube(runs("s", (5, 10, 50), range(5)), runs("t", (5, 10, 50), range(5)))


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda c: kaxis.paired(c.sel(source="s"), **PAIR), "no dim source"),
        (lambda c: kaxis.contrast(c.sel(K=5), **PAIR), "no dim K"),
        (lambda c: kaxis.rankings(c.sel(source="s")), "no dim source"),
        (lambda c: kaxis.rankings(c, prob=95), "probability 95"),
        (lambda c: kaxis.contrast(c, low=5, high=50, **PAIR), "values of K as lists"),
        (lambda c: kaxis.differential(c, of="s", against="t", K=5, **PAIR), "two values"),
        (lambda c: kaxis.slope_checks(c, source="nope", **PAIR), "source 'nope' is not in the table"),
        (lambda c: kaxis.slope_checks(c, source="s", prob=95, **PAIR), "probability 95"),
        (lambda c: kaxis.sequential(c, spread=0.4, K=5, scale="logit", **PAIR), "K = 5 and scale"),
        (lambda c: kaxis.over_sets(c, prob=95, **PAIR), "probability 95"),
        (lambda c: kaxis.rows(kaxis.conflict(c, synthetic="s", real="t", **PAIR)), "rows: of a result with an effect"),
        (lambda c: kaxis.rows(kaxis.rankings(c)), "rows: of a result with an effect"),
        (lambda c: kaxis.verdicts(kaxis.rankings(c)), "verdicts: of paired"),
        (lambda c: kaxis.verdicts(kaxis.sequential(c, spread=0.4, **PAIR)), "verdicts: of paired"),
        (lambda c: kaxis.verdicts(kaxis.equivalence(c, margin=1, **PAIR)), "verdicts: of paired"),
        (lambda c: kaxis.equivalence(c, margin=1, alpha=0.6, **PAIR), "alpha 0.6"),
        (lambda c: kaxis.factorial(c, factors=["f"], design={"A": {}, "B": {"f": 1}}), "A has f = None: 0 or 1"),
        (lambda _: kaxis.subject(net="mlp"), "name a learner"),
        (lambda _: kaxis.audit(net="mlp", learners=["bp"], device="gpu"), "device gpu"),
        (lambda _: kaxis.estimate([1, 2, math.nan]), "NaN or infinity"),
        (lambda _: coverage("t", 5, question="foo"), "question 'foo'"),  # type: ignore[arg-type]
        (lambda _: coverage("percentile", 5, prob=95), "probability 95"),
        (lambda _: tost([1.0, 2.0], 1, alpha=5), "alpha 5"),
    ],
)
def test_one_line_says_what_is_wrong(ask: Callable[[xr.Dataset], object], said: str) -> None:
    with pytest.raises(KaxisError, match=said.replace("(", r"\(")):
        ask(WHOLE)


def test_a_set_that_is_asked_for_by_name_is_not_left_out_in_silence(tmp_path: Path) -> None:
    four = cube(*(runs(s, (5, 10, 50), range(5)) for s in "abc"), runs("d", (5,), range(5)))
    for more in ({}, {"K": 50}):
        assert kaxis.over_sets(four, **PAIR, **more).source.values.tolist() == ["a", "b", "c"]
        assert any(why.startswith("d: ") for why in kaxis.over_sets(four, **PAIR, **more).attrs["refused"])
        with pytest.raises(KaxisError, match="sets: d: "):
            kaxis.over_sets(four, sources=list("abcd"), **PAIR, **more)


def test_a_third_learner_has_no_part_in_a_comparison() -> None:
    """Its further K and seeds are no holes of the other two."""
    grid = runs("s", (5, 10, 50), range(5))
    alone = kaxis.contrast(cube(grid), **PAIR)
    for extra in (runs("s", (100,), range(5), "C"), runs("s", (5, 10, 50), range(8), "C")):
        beside = kaxis.contrast(cube(grid, extra), **PAIR)
        assert beside.effect.values == alone.effect.values
    hole = [row for row in grid if (row["K"], row["learner"], row["seed"]) != (10, "A", 2)]
    assert "s K=10 A seed 2: missing" in kaxis.paired(cube(hole), **PAIR).attrs["notes"]


def test_seeds_of_other_K_are_not_asked_for() -> None:
    more = cube(runs("s", (5, 50), range(5)), runs("s", (10,), range(8)))
    c = kaxis.contrast(more, low=[5], high=[50], **PAIR)
    assert int(c.n_seeds[0]) == 5


def with_curves(steps: dict[str, Sequence[int]], seeds: dict[str, Sequence[int]]) -> xr.Dataset:
    whole = cube(*(runs(source, (5, 10, 50), own) for source, own in seeds.items()))
    at = sorted({step for own in steps.values() for step in own})
    curve = whole.test_accuracy.expand_dims(step=at).transpose(..., "step").copy()
    for source, own in steps.items():
        curve.loc[{"source": source, "step": [s for s in at if s not in own]}] = np.nan
    return whole.assign(test_accuracy_curve=curve)


@pytest.mark.parametrize("other", [range(10), range(2, 9), range(20, 25)])
def test_slopes_along_training_of_sources_with_other_seeds_and_looks(other: Sequence[int]) -> None:
    both = with_curves({"s": (10, 20), "t": (20, 30)}, {"s": range(5), "t": other})
    found = kaxis.slope_steps(both, **PAIR)
    assert found.effect.dims == ("source", "step")
    for source, step, absent in (("s", 20, 30), ("t", 30, 10)):
        alone = kaxis.contrast(both.sel(source=[source]), **PAIR, drop_incomplete=True).isel(source=0)
        at = found.sel(source=source, step=step)
        assert float(at.effect) == pytest.approx(float(alone.effect))
        assert (int(at.n_seeds), int(found.n_seeds.sel(source=source, step=absent))) == (int(alone.n_seeds), 0)


def test_a_seed_at_the_mean_leaves_the_studentized_interval() -> None:
    """Resamples of that seed alone deviate by nothing; two or three seeds have an interval without an end."""
    low, high = studentized_interval([1, 2, 3, 4, 5])
    near = studentized_interval([1, 2, 3.0001, 4, 5])
    assert (low, high) == pytest.approx(near, abs=1e-3)
    few = cube(runs("s", (5, 10, 50), range(3)))
    said = kaxis.verdicts(kaxis.contrast(few, interval="studentized", **PAIR))[0]
    assert "spread of 0" not in said


def test_train_minus_gap_is_test_of_the_same_seeds() -> None:
    rows = [row | {"train_accuracy": 0.9} for row in runs("s", (5, 10), range(5))]
    broken = [
        row | {"accuracy": "failed", "train_accuracy": 0.1} if (row["learner"], row["seed"]) == ("B", 4) else row
        for row in rows
    ]
    g = kaxis.gap(kaxis.cube_from_rows(broken), **PAIR)
    assert (g.n_seeds == 4).all()
    xr.testing.assert_allclose(g.train_effect - g.effect, g.test_effect)


@given(st.integers(1, 4), st.integers(1, 4), st.data())
@settings(max_examples=150, deadline=None)
def test_small_tables_of_seeds_and_samples_have_an_interval_or_none(S: int, M: int, data: st.DataObject) -> None:
    """Holes anywhere; of one sample a seed the interval is the samples' where seeds share them."""
    cells = [(s, i) for s in range(S) for i in range(M)]
    kept = data.draw(st.lists(st.sampled_from(cells), min_size=1, unique=True))
    values = data.draw(st.lists(st.integers(-1, 1), min_size=len(kept), max_size=len(kept)))
    found = crossed(values, [s for s, _ in kept], [i for _, i in kept])
    assert found.mean == pytest.approx(np.mean(values))
    assert math.isnan(found.lower) or found.lower <= found.mean <= found.upper
    if len(kept) > 1 and len({i for _, i in kept}) == len(kept) == len({s for s, _ in kept}):
        assert (found.lower, found.upper) == pytest.approx(t_interval(values), nan_ok=True)
