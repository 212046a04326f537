"""Factorial contrasts against plain regression, and what they must add up to."""

from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaxis import plots
from kaxis.errors import KaxisError
from kaxis.spec.learners import parse
from kaxis.spec.study import Study
from kaxis.stats.arrays import estimate
from kaxis.stats.factorial import FACTORS, factorial, find_design
from kaxis.stats.multiplicity import holm
from kaxis.stats.tables import cube_from_rows
from tests.helpers import ROOT, kaxis, noisy

K = (5, 10, 50)


def name(code: tuple[int, ...]) -> str:
    switches = ",".join(f"{f}={FACTORS[f][c]}" for f, c in zip(FACTORS, code, strict=True))
    return parse(f"dtg_ff[{switches}]").name


CODES = list(itertools.product((0, 1), repeat=4))


def table(n: int = 4, noise: float = 0.01, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "K": k,
            "learner": name(code),
            "seed": s,
            "accuracy": 0.5 + 0.02 * code[0] - 0.01 * code[3] * math.log(k) + noise * rng.uniform(),
        }
        for k in K
        for code in CODES
        for s in range(n)
    ]


def test_effects_are_regression_coefficients() -> None:
    """Twice the coefficient of least squares on codes -1, +1 with all interactions."""
    rows = table()
    r = factorial(cube_from_rows(rows)).isel(source=0)
    y = np.array([[row["accuracy"] for row in rows if row["K"] == 10 and row["seed"] == s] for s in range(4)])
    signs = 2 * np.array(CODES) - 1
    for size in (1, 2, 3, 4):
        for chosen in itertools.combinations(range(4), size):
            columns = [signs[:, c].prod(1) for m in range(5) for c in map(list, itertools.combinations(range(4), m))]
            place = [c for m in range(5) for c in itertools.combinations(range(4), m)].index(chosen)
            coefficients = 100 * 2 * np.linalg.lstsq(np.array(columns).T, y.T, rcond=None)[0][place]
            term = " x ".join(list(FACTORS)[i] for i in chosen)
            e = estimate(coefficients)
            at = r.sel(K=10, term=term)
            assert float(at.effect) == pytest.approx(e.mean), term
            assert at.ci.values == pytest.approx((e.lower, e.upper)), term
            assert float(at.p) == pytest.approx(e.p), term


def test_what_is_carried_adds_up_and_is_the_average_over_orders() -> None:
    rows = table()
    r = factorial(cube_from_rows(rows)).isel(source=0)
    d = r.difference
    parts = d.sel(term=[f"carried by {f}" for f in FACTORS]).sum("term")
    np.testing.assert_allclose(parts.values, d.sel(term="corners").values, atol=1e-10)
    y = {
        code: 100 * next(x["accuracy"] for x in rows if (x["K"], x["seed"], x["learner"]) == (5, 1, name(code)))
        for code in CODES
    }
    for i, factor in enumerate(FACTORS):
        gains = []
        for order in itertools.permutations(range(4)):
            before = tuple(int(order.index(j) < order.index(i)) for j in range(4))
            after = tuple(1 if j == i else b for j, b in enumerate(before))
            gains.append(y[after] - y[before])
        assert float(d.sel(K=5, seed=1, term=f"carried by {factor}")) == pytest.approx(np.mean(gains))


def test_slopes_and_their_family() -> None:
    r = factorial(cube_from_rows(table(6))).isel(source=0)
    for term in ("readout", "gradient", "corners"):
        per_seed = [np.polyfit(np.log(K), r.difference.sel(term=term, seed=s).values, 1)[0] for s in range(6)]
        e = estimate(per_seed)
        assert float(r.slope.sel(term=term)) == pytest.approx(e.mean)
        assert r.slope_ci.sel(term=term).values == pytest.approx((e.lower, e.upper))
    main = r.sel(term=list(FACTORS))
    assert main.slope_p_holm.values == pytest.approx(holm(main.slope_p.values))
    assert main.p_holm.sel(K=5).values == pytest.approx(holm(main.p.sel(K=5).values))
    assert float(r.slope.sel(term="readout")) == pytest.approx(-1, abs=0.3)
    assert float(r.effect.sel(term="gradient", K=5)) == pytest.approx(2, abs=0.4)


@settings(deadline=None, max_examples=20)
@given(shift=st.floats(-0.3, 0.3), order=st.permutations(range(4)), extra=st.booleans())
def test_what_must_not_matter_does_not(shift: float, order: list[int], extra: bool) -> None:
    rows = table()
    changed: list[dict[str, Any]] = [{**x, "accuracy": x["accuracy"] + shift, "seed": order[x["seed"]]} for x in rows]
    if extra:
        changed += [{"K": k, "learner": n, "seed": 0, "accuracy": 0.4} for k in K for n in ("bp_deepsup", "ff")]
    one, other = factorial(cube_from_rows(rows)), factorial(cube_from_rows(changed))
    np.testing.assert_allclose(one.effect.values, other.effect.values, atol=1e-8)
    np.testing.assert_allclose(one.slope_ci.values, other.slope_ci.values, atol=1e-8)


def test_seeds_that_lack_a_run_are_left_out() -> None:
    rows = [x for x in table() if not (x["K"] == 10 and x["seed"] == 2 and x["learner"] == "dtg_ff")]
    r = factorial(cube_from_rows(rows)).isel(source=0)
    assert r.n_seeds.sel(term="gradient").values.tolist() == [4, 3, 4]
    assert int(r.slope_n.sel(term="gradient")) == 3
    gone = [
        x for x in table() if x["K"] != 10 or x["learner"] != "dtg_ff"
    ]  # asked for, but never whole: no slope over fewer K
    cube = cube_from_rows(gone)
    r = factorial(cube).isel(source=0)
    assert int(r.slope_n.max()) == 0
    assert "table K=10 dtg_ff seed 0: missing" in factorial(cube).attrs["notes"]


def test_code_is_no_level_of_a_switch() -> None:
    """A learner that is code has switches that mean nothing; its defaults are BP-DeepSup's."""
    rows = [
        {"K": 5, "learner": n, "seed": 0, "accuracy": a}
        for n, a in (("bp_deepsup", 0.5), ("local_ce", 0.6), ("ff", 0.9))
    ]
    assert find_design(cube_from_rows(rows), ["gradient"]) == {(0,): "bp_deepsup", (1,): "local_ce"}


def test_designs_of_other_learners_and_smaller_ones() -> None:
    rows = [x | {"learner": "".join(map(str, code))} for x in table() for code in CODES if x["learner"] == name(code)]
    design = {"".join(map(str, c)): dict(zip(FACTORS, c, strict=True)) for c in CODES}
    given_ = factorial(cube_from_rows(rows), design=design)
    np.testing.assert_allclose(given_.effect.values, factorial(cube_from_rows(table())).effect.values, atol=1e-10)
    with pytest.raises(KaxisError, match="do not name each of the 16 combinations once"):
        factorial(cube_from_rows(rows), design={k: v for k, v in design.items() if k != "0000"})
    some = [x for x in table() if parse(x["learner"]).power == "1" and parse(x["learner"]).temperature == "1"]
    two = factorial(cube_from_rows(some), factors=("gradient", "readout"))
    assert [str(t) for t in two.term.values][-1] == "gradient x readout"
    assert two.attrs["learner"] == "dtg_ff[power=1,temperature=1]"
    with pytest.raises(
        KaxisError, match="4 full designs of gradient x readout are there, which differ in power, temperature"
    ):
        factorial(cube_from_rows(table()), factors=("gradient", "readout"))


def test_what_is_no_design_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cube = cube_from_rows(table())
    with pytest.raises(KaxisError, match=r"factor 'gradeint' is not .*did you mean 'gradient'"):
        find_design(cube, ["gradeint"])
    with pytest.raises(KaxisError, match="each once"):
        find_design(cube, ["gradient", "gradient"])
    some = cube.sel(learner=[n for n in cube.learner.values if n != name((1, 0, 1, 0))])
    with pytest.raises(
        KaxisError, match=r"15 are there, one with gradient=local, power=1, temperature=learned, readout=learned lacks"
    ):
        factorial(some)


def test_the_study_is_a_full_design_and_goes_through_the_command_line(
    fill: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:

    study = Study.load(ROOT / "studies" / "factorial.toml")
    names = list(dict.fromkeys(c.learner for c in study.cells()))
    assert {name(c) for c in CODES} <= set(names)
    store = fill(noisy(0.01), learners=names)
    assert kaxis("analyze", "factorial", "--store", store.path, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert len(shown["rows"]) == 20 * 4
    assert kaxis("analyze", "factorial", "--store", store.path) == 0
    assert "carried by gradient" in capsys.readouterr().out
    assert kaxis("analyze", "factorial", "--store", store.path, "--factors", "depth") == 2
    assert "factor 'depth' is not" in capsys.readouterr().err
    assert kaxis("figure", "factorial", "--store", store.path, "--out", tmp_path / "f") == 0


def test_the_figure_draws_every_factor_and_their_sum() -> None:
    r = factorial(cube_from_rows(table()))
    figure, rows = plots.factorial(r)
    (ax,) = figure.axes
    assert [c.get_label() for c in ax.containers] == ["all of them", *FACTORS]
    for container, term in zip(ax.containers, ["corners", *(f"carried by {f}" for f in FACTORS)], strict=True):
        assert np.asarray(container.lines[0].get_ydata()) == pytest.approx(
            r.effect.isel(source=0).sel(term=term).values
        )
    assert len(rows) == 5 * 3


def said(rows: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    file = tmp_path / "t.csv"
    with file.open("w") as out:
        out.write("K,learner,seed,accuracy\n")
        out.writelines(f'{r["K"]},"{r["learner"]}",{r["seed"]},{r["accuracy"]}\n' for r in rows)
    assert kaxis("analyze", "factorial", file) == 0
    return " ".join(capsys.readouterr().out.split())


def test_words_say_what_the_exact_test_confirms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(table(n=8, noise=0.001), tmp_path, capsys)
    assert (
        "confirmed by the exact test after Holm over 4: readout (-1.00 [" in out
    )  # the factor with a slope, and no other
    assert "at K = 50 the corners differ by -1.9" in out  # 2 - ln 50, in pp
    assert re.search(r"carried by readout -3\.9\d \[.*\], gradient \+[12]", out)  # the larger first


def test_words_without_enough_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(table(n=4, noise=0.001), tmp_path, capsys)
    assert "after Holm over 4: none" in out  # four seeds: no p below .125
    out = said(table(n=1), tmp_path, capsys)
    assert "the corners differ" not in out  # one seed has no interval


def test_words_at_one_k(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = said([r for r in table(n=8) if r["K"] == 10], tmp_path, capsys)
    assert "on the slope" not in out
    assert "at K = 10 the corners differ" in out
