"""Ratios, replications, seeds that are not shared."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaxis.reference import published
from kaxis.stats.effects import equivalence, gap
from kaxis.stats.intervals import interval
from kaxis.stats.models import fieller
from tests.helpers import Cli
from tests.stats.cubes import AB, as_file, table


def test_a_share_without_an_end_is_called_unbounded(tmp_path: Path, cli: Cli) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (3, 6))
    cube = table(lambda s, K, i: noise[[5, 10, 50].index(K), i], n=6)
    cube["train_accuracy"] = cube.train_accuracy + 0.02 * (cube.learner == "B") * (1 + cube.seed / 9)
    code, out, _ = cli("analyze", "gap", as_file(cube, tmp_path / "t.csv"), "--baseline", "A")
    assert code == 0
    assert "unbounded" in out
    assert gap(cube, **AB).share_unbounded.any()


@given(st.lists(st.integers(1, 9), min_size=3, max_size=8), st.integers(1, 4), st.floats(0.01, 100))
def test_the_same_ratio_in_every_seed_has_no_interval_however_it_is_rounded(
    values: list[int], times: int, unit: float
) -> None:
    below = unit * (np.array(values) / 640 + 1.0)
    above = times * below + unit * 3e-15 * np.arange(len(values))
    ratio, low, high = fieller(above, below)
    assert (ratio == pytest.approx(times), math.isnan(low), math.isnan(high)) == (True, True, True)


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
