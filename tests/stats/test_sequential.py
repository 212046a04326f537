"""Seeds one after the other: never wrong more often than it says, however often one looks."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom

from kaxis.errors import KaxisError
from kaxis.spec.study import Plan, Study
from kaxis.stats.sequential import GRID, decision, evidence, sequence, sequential
from kaxis.stats.tables import cube_from_rows
from kaxis.store.records import Store
from tests.helpers import Cli, records

numbers = st.lists(st.floats(-5, 5).map(lambda x: round(x, 3)), min_size=1, max_size=12)


@given(numbers, st.floats(0.1, 10))
def test_evidence_is_the_product_of_its_definition(d: list[float], spread: float) -> None:
    """A mean over the grid and both signs, written out."""
    for n in range(1, len(d) + 1):
        terms = [
            math.prod(math.exp(s * g * x / spread) / math.cosh(g * x / spread) for x in d[:n])
            for g in GRID
            for s in (1, -1)
        ]
        assert evidence(d, spread)[n - 1] == pytest.approx(sum(terms) / len(terms), rel=1e-9)


@given(st.lists(st.floats(0.1, 3), min_size=1, max_size=9))
def test_a_fair_coin_for_the_signs_makes_it_one_on_average(size: list[float]) -> None:
    """The property that all else stands on, over all 2^n sign patterns."""
    signs = 1 - 2 * ((np.arange(2 ** len(size))[:, None] >> np.arange(len(size))) & 1)
    last = [evidence(s * np.array(size), 1.0)[-1] for s in signs]
    assert np.mean(last) == pytest.approx(1, rel=1e-9)


@given(st.lists(st.floats(-3, 3).map(lambda x: round(x, 3)), min_size=6, max_size=20), st.floats(-3, 3))
def test_the_interval_holds_what_the_evidence_does_not_rule_out(d: list[float], at: float) -> None:
    ends = sequence(d, 1.0)
    assert (np.diff(ends[5:, 0]) >= 0).all(), "what was ruled out stays out"
    assert (np.diff(ends[5:, 1]) <= 0).all()
    for n, (low, high) in enumerate(ends, start=1):
        if max(evidence(np.array(d[:n]) - at, 1.0)) < 20 - 1e-6:
            assert low - 1e-9 <= at <= high + 1e-9


def test_six_seeds_are_needed_and_can_be_enough() -> None:
    assert np.isinf(sequence([9.0] * 5, 1.0)).all()
    assert decision([9.0] * 6, 1.0) == ("difference", 6)
    assert decision([-9.0] * 6, 1.0) == ("difference", 6)
    assert decision([0.1, -0.1] * 10, 0.5, margin=1.0)[0] == "small"
    assert decision([0.1, -0.1] * 10, 0.5)[0] == "open"


def draws(shape: str, rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float64]:
    return {
        "normal": lambda: rng.normal(size=size),
        "t3": lambda: rng.standard_t(3, size),
        "laplace": lambda: rng.laplace(size=size),
        "uniform": lambda: rng.uniform(-1, 1, size),
        "discrete": lambda: rng.integers(-3, 4, size) * 1.0,
        "spreads of their own": lambda: rng.normal(size=size) * rng.uniform(0.2, 3, size),
    }[shape]()


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("shape", ["normal", "t3", "laplace", "uniform", "discrete", "spreads of their own"])
def test_looking_after_every_seed_errs_in_at_most_five_per_cent(shape: str, spread: float) -> None:
    """P(ever E >= 20) up to 60 seeds: also that any interval of the sequence lacks the truth."""
    many = 4000
    x = draws(shape, np.random.default_rng(7), (many, 60))
    wrong = sum(evidence(row, spread).max() >= 20 for row in x)
    assert wrong <= binom.ppf(0.999, many, 0.05)


@pytest.mark.slow
def test_blocks_along_K_that_hang_together_err_no_more() -> None:
    """Effects at four K that share a seed, and one slope a seed of them."""
    rng, K, many, wrong = np.random.default_rng(3), np.log([5, 10, 20, 50]), 3000, 0
    weights = (K - K.mean()) / ((K - K.mean()) ** 2).sum()
    for _ in range(many):
        level, tilt = rng.normal(size=(40, 1)), rng.normal(size=(40, 1))
        d = level + 0.5 * tilt * (K - K.mean()) + 0.5 * rng.standard_t(4, (40, 4))
        wrong += evidence(d @ weights, 1.0).max() >= 20
    assert wrong <= binom.ppf(0.999, many, 0.05)


@pytest.mark.slow
def test_the_sequence_holds_the_truth_after_every_seed() -> None:
    rng, many, held = np.random.default_rng(5), 400, 0
    for _ in range(many):
        ends = sequence(rng.normal(0.7, 1, 30), 1.0)
        held += bool(((ends[:, 0] <= 0.7) & (ends[:, 1] >= 0.7)).all())
    assert held >= binom.ppf(0.001, many, 0.95)


@pytest.mark.slow
def test_how_many_seeds_it_takes() -> None:
    """What docs/statistics.md says, beside repeated t tests, which err."""
    from scipy.stats import ttest_1samp

    rng = np.random.default_rng(1)
    for effect, median in ((1.0, 11), (1.5, 7), (2.0, 6)):
        d = rng.normal(effect, 1, (1000, 60))
        needed = [next((n for n, e in enumerate(evidence(row, 1.0), 1) if e >= 20), 99) for row in d]
        assert abs(np.median(needed) - median) <= 1
    null = rng.normal(0, 1, (1000, 30))
    looked = np.mean([any(ttest_1samp(row[:n], 0).pvalue < 0.05 for n in range(5, 31)) for row in null])
    assert looked > 0.15


def table(effects: dict[int, float]) -> list[dict[str, object]]:
    """A table with a slope of its own for each seed."""
    return [
        {
            "source": "s",
            "K": K,
            "learner": name,
            "seed": seed,
            "accuracy": 0.5 + 0.01 * slope * np.log(K) * (name == "B"),
        }
        for seed, slope in effects.items()
        for K in (5, 20)
        for name in "AB"
    ]


def test_numbers_are_the_slopes_in_the_order_of_seeds() -> None:
    slopes = {4: 1.1, 0: 0.8, 1: 1.2, 9: 1.0, 2: 0.9, 3: 1.0, 5: 1.05, 7: 0.95}
    cube = cube_from_rows(table(slopes))
    found = sequential(cube, learner="B", baseline="A", spread=0.2).isel(source=0)
    assert found.number.values == pytest.approx([slopes[s] for s in sorted(slopes)])
    assert found.e.values == pytest.approx(evidence([slopes[s] for s in sorted(slopes)], 0.2))
    assert (str(found.decided.item()), int(found.decided_n)) == ("difference", 6)
    piloted = sequential(cube, learner="B", baseline="A", pilot=3).isel(source=0)
    assert float(piloted.spread) == pytest.approx(np.std([0.8, 1.2, 0.9], ddof=1))
    assert int(piloted.n_seeds) == 5
    assert np.isnan(piloted.e.values[:3]).all(), "pilots are not counted"
    at_one = sequential(cube, learner="B", baseline="A", spread=0.2, K=20).isel(source=0)
    assert at_one.number.values == pytest.approx([slopes[s] * np.log(20) for s in sorted(slopes)])
    assert at_one.attrs["refused"] == []
    for wrong in ({}, {"spread": 0.0}, {"pilot": 1}, {"spread": 1.0, "pilot": 3}, {"spread": 1.0, "K": 6}):
        with pytest.raises(KaxisError):
            sequential(cube, learner="B", baseline="A", **wrong)  # type: ignore[arg-type]


def test_a_source_that_cannot_answer_is_named_and_the_others_go_on(tmp_path: Path, cli: Cli) -> None:
    rows = [{**row, "source": "many"} for row in table(dict.fromkeys(range(7), 1.0) | {1: 1.1, 2: 0.9})]
    rows += [{**row, "source": "few"} for row in table({0: 1.0, 1: 1.2})]
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    for more in ([], ["--at-K", "20"]):
        code, out, err = cli("analyze", "sequential", tmp_path / "t.csv", "--baseline", "A", *more)
        assert (code, err) == (0, "")
        assert "Refused: B - A: few: 2 of 3 pilot seeds are there" in out
        assert "many, B - A: open after 4 counted seeds" in out


def test_the_plan_says_what_is_written(tmp_path: Path) -> None:
    plan = Plan.of({"learner": "dtg_ff", "baseline": "bp", "effect": 1, "spread": 0.5, "max_seeds": 20, "block": 4})
    study = Study.of("digits", {"source": "digits", "plan": {"learner": "dtg_ff", "baseline": "bp", "effect": 1.0}})
    assert Study.restored("digits", study.as_dict()).plan == study.plan
    assert plan.max_seeds == 20
    for key, value in (("effect", -1), ("spread", "x"), ("max_seeds", 2.5), ("block", 0), ("effect", True)):
        with pytest.raises(KaxisError, match=f"plan: {key}"):
            Plan.of({key: value})


RUN = ["run", "digits", "--K", "3", "5", "--steps", "20", "--on", "serial", "--learners", "bp_deepsup", "dtg_ff"]
CLEAR = [*RUN, "--seeds", "0-5", "--until-clear", "--max-seeds", "14", "--block", "4", "--effect", "2"]


def test_a_dry_run_says_what_the_budget_could_cost(tmp_path: Path, cli: Cli) -> None:
    code, said, err = cli(*CLEAR, "--store", tmp_path / "s", "--dry-run")
    assert (code, err) == (0, "")
    here, planned, budget = said.splitlines()[-3:]
    assert here.startswith("24 cells, 24 to do")
    assert planned.startswith("Planned: dtg_ff - bp_deepsup, slope on ln K")
    assert "within 2 either way" in planned
    assert budget.startswith("If it is not clear before: 56 cells, 56 to do")
    assert not (tmp_path / "s" / "cells").exists()


def test_a_run_until_clear_looks_at_whole_blocks_of_its_own_seeds(tmp_path: Path, cli: Cli) -> None:
    """Seeds that are there already are looked at no sooner than their block."""
    code, said, err = cli(*CLEAR, "--store", tmp_path / "one")
    assert (code, "budget of 14 seeds" in err or "seeds, digits" in said) == (0, True)
    assert cli(*RUN, "--seeds", "0-13", "--store", tmp_path / "two")[0] == 0
    again, two, _ = cli(*CLEAR, "--store", tmp_path / "two")
    lines = [[line for line in text.splitlines() if " seeds, " in line] for text in (said, two)]
    assert (again, lines[0]) == (0, lines[1])
    (shown,) = {len(v) for v in ({r["config"]["seed"] for r in records(tmp_path / "one").values()},)}
    assert f"{shown} seeds, digits" in lines[0][-1]
    plans = [study.plan for study, _ in Store(tmp_path / "one").studies()]
    assert {plan.effect for plan in plans if plan} == {2.0}
    assert "quote kaxis analyze sequential" in cli("analyze", "contrast", "--store", tmp_path / "one")[1]


def test_what_does_not_go_together_is_refused(tmp_path: Path, cli: Cli) -> None:
    for more, said in (
        (["--max-seeds", "14"], "--max-seeds goes with --until-clear"),
        (["--until-clear", "--max-seeds", "8"], "--max-seeds 8: 9 or more; fewer cannot decide, since 3"),
        (["--until-clear", "--max-seeds", "5", "--spread", "1"], "--max-seeds 5: 6 or more; fewer cannot decide"),
        (["--until-clear", "--max-seeds", "9", "--seeds", "0-11"], "--max-seeds 9: 12 or more; 12 seeds are asked for"),
        (["--until-clear", "--effect", "-1"], "plan: effect = -1.0"),
        (["--until-clear", "--shard", "1/2"], "leave out --shard"),
    ):
        seeds = [] if "--seeds" in more else ["--seeds", "0-5"]
        code, _, err = cli(*RUN, *seeds, *more, "--store", tmp_path / "s")
        assert (code, said in err) == (2, True), err
    code, _, err = cli(
        "run", "digits", "--K", "3", "--learners", "bp_deepsup", "dtg_ff", "--until-clear", "--store", tmp_path / "s"
    )
    assert (code, "needs two values of K or more, digits has 1" in err) == (2, True)
    other = ["run", "digits", "--K", "3", "5", "--learners", "bp", "--until-clear", "--store", tmp_path / "s"]
    assert cli(*other)[2].startswith("kaxis: --until-clear: the plan is dtg_ff - bp_deepsup; dtg_ff is not trained")
    assert not (tmp_path / "s" / "cells").exists()


@pytest.mark.slow
def test_a_killed_run_comes_to_the_same_decision_with_the_same_seeds(tmp_path: Path, cli: Cli) -> None:
    line = [w if w != "20" else "200" for w in CLEAR]
    assert cli(*line, "--json", "--store", tmp_path / "whole")[0] == 0
    for wait in (4.0, 7.0, 10.0):
        process = subprocess.Popen(
            [sys.executable, "-m", "kaxis", *line, "--store", str(tmp_path / "cut")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(wait)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    code, said, _ = cli(*line, "--json", "--store", tmp_path / "cut")
    whole = cli(*line, "--json", "--store", tmp_path / "whole")[1]
    told = [[r for r in map(json.loads, text.splitlines()) if "decided" in r] for text in (said, whole)]
    for rows in told:
        for row in rows:
            row.pop("time")
    assert (code, told[0]) == (0, told[1])
    assert records(tmp_path / "cut").keys() == records(tmp_path / "whole").keys()
