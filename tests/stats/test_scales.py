"""Shapes and scales."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from kaxis.errors import KaxisError
from kaxis.stats.contrasts import contrast, slope_checks
from kaxis.stats.effects import gap, layers, paired
from kaxis.stats.factorial import factorial
from kaxis.stats.intervals import KINDS, interval, t_interval
from kaxis.stats.models import fieller
from kaxis.stats.multiplicity import holm, max_t_p, simultaneous_band
from kaxis.stats.rankings import rankings
from kaxis.stats.rows import rows as rows_of
from kaxis.stats.sources import differential
from kaxis.stats.tables import cube_from_rows
from tests.helpers import kaxis, noisy
from tests.stats.tables import AB, legs, table, wobble, write_table


def test_mean_slope_and_curvature_are_polynomial_coefficients() -> None:
    own = {"x": lambda k, s: 1.0 + 0.5 * math.log(k) - 0.25 * math.log(k) ** 2 + wobble(s, k)}
    cube = legs(own, {"x": 5}, (5, 10, 20, 50))
    x = np.log([5, 10, 20, 50])
    for shape, power in (("mean", 0), ("slope", 1), ("curvature", 2)):
        per_seed = []
        for s in range(5):
            d = [own["x"](k, s) for k in (5, 10, 20, 50)]
            per_seed.append(np.mean(d) if power == 0 else np.polyfit(x, d, power)[0])
        c = contrast(cube, shape=shape, **AB).isel(source=0)
        assert float(c.effect) == pytest.approx(np.mean(per_seed)), shape
        assert c.ci.values == pytest.approx(t_interval(per_seed))
    with pytest.raises(KaxisError, match="three values of K"):
        contrast(cube.sel(K=[5, 10]), shape="curvature", **AB)
    with pytest.raises(KaxisError, match="did you mean 'slope'"):
        contrast(cube, shape="slop", **AB)


def test_log_odds() -> None:
    rows = [
        {"K": k, "learner": n, "seed": s, "accuracy": a}
        for k in (5, 10)
        for s in range(3)
        for n, a in (("A", 0.8), ("B", 0.5))
    ]
    c = contrast(cube_from_rows(rows), shape="mean", scale="logit", **AB)
    assert c.effect.item() == pytest.approx(math.log(4))
    assert c.attrs["units"] == "logit"
    by_K = paired(cube_from_rows(rows), **AB).isel(source=0)
    assert by_K.effect_logit.values == pytest.approx([math.log(4)] * 2)
    rows[0]["accuracy"] = 1.0
    holes = paired(cube_from_rows(rows), **AB).isel(source=0)
    assert holes.n_logit.values.tolist() == [2, 3]
    assert holes.n_seeds.values.tolist() == [3, 3]


def test_families_of_paired_effects() -> None:
    cube = legs(
        {"x": lambda k, s: 0.5 + wobble(s, k), "y": lambda k, s: wobble(s, k) if (k, s) != (5, 0) else None},
        {"x": 6, "y": 6},
    )
    r = paired(cube, **AB)
    x = r.sel(source="x")
    assert x.p_holm.values == pytest.approx(holm(x.p.values))
    table = x.difference.transpose("seed", "K").values
    assert x.p_max_t.values == pytest.approx(max_t_p(table))
    assert x.band.transpose("ci_bound", "K").values == pytest.approx(np.array(simultaneous_band(table)))
    assert (x.band.sel(ci_bound="lower") < x.ci.sel(ci_bound="lower")).all()
    assert np.isnan(r.sel(source="y").p_max_t.values).all()  # a seed lacks a K there


def test_layers_are_compared_where_both_have_them(fill: Any) -> None:
    """bp keeps its one head's accuracy first in the record: it is no profile, and is never set beside another's first
    layer.
    """
    from kaxis.store.cube import load_cube

    cube = load_cube(fill(noisy(), learners=["bp", "bp_deepsup", "dtg_ff"]))
    rng = np.random.default_rng(0)
    profile = rng.random((*cube.test_accuracy.shape, 3))
    profile[:, :, 0, :, 1:] = np.nan
    cube = cube.drop_dims("layer").assign(layer_test_accuracy=((*cube.test_accuracy.dims, "layer"), profile))
    cube = cube.assign_coords(layer=range(3))
    r = layers(cube, learner="dtg_ff", baseline="bp_deepsup")
    d = 100 * (profile[0, 1, 2, :, 2] - profile[0, 1, 1, :, 2])
    assert float(r.effect.sel(K=5, layer=3)[0]) == pytest.approx(d.mean())
    assert r.ci.sel(K=5, layer=3).values[:, 0] == pytest.approx(t_interval(d))
    assert r.p_holm.sel(source="digits", K=5).values == pytest.approx(holm(r.p.sel(source="digits", K=5).values))
    assert [x["layer"] for x in rows_of(r)] == [1, 2, 3] * 3
    with pytest.raises(KaxisError, match="bp has a classifier at 1 layers, bp_deepsup at 3"):
        layers(cube, learner="bp", baseline="bp_deepsup")
    with pytest.raises(KaxisError, match="at 0 layers"):
        layers(cube.drop_dims("layer"), learner="dtg_ff", baseline="bp_deepsup")


def test_fieller_is_the_set_of_ratios_that_a_t_test_allows() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(3, 0.6, 8)
    x = 0.7 * y + rng.normal(0, 0.4, 8)
    ratio, low, high = fieller(x, y)
    assert ratio == pytest.approx(x.mean() / y.mean())
    for r, inside in ((low + 1e-6, True), (low - 1e-6, False), (high - 1e-6, True), (high + 1e-6, False)):
        bounds = t_interval(x - r * y)
        assert (bounds[0] <= 0 <= bounds[1]) == inside
    assert fieller(x, y - y.mean() + 0.01)[1:] == (-math.inf, math.inf)  # the denominator may be 0
    assert fieller([1.0], [2.0]) == pytest.approx((0.5, math.nan, math.nan), nan_ok=True)
    assert fieller([1.9, 2.0, 2.1], [3.8, 4.0, 4.2]) == pytest.approx(
        (0.5, math.nan, math.nan), nan_ok=True
    )  # no spread
    assert all(map(math.isnan, fieller([1.0, 2.0], [0.0, 0.0])))


def test_the_share_of_the_gap_in_the_accuracy_effect(fill: Any) -> None:
    """B overfits: train +2, gap -1 in every seed but for noise that both share; two thirds of A's loss goes with the
    gap.
    """
    rows = [
        {
            "K": k,
            "learner": n,
            "seed": s,
            "accuracy": 0.6 + 0.03 * (n == "A") + w,
            "train_accuracy": 0.9 + 0.01 * (n == "A") + w,
        }
        for k in (5, 10)
        for s in range(4)
        for n in "AB"
        for w in [wobble(s, k) / 1000]
    ]
    r = gap(cube_from_rows(rows), **AB).isel(source=0)
    assert r.share.values == pytest.approx([2 / 3, 2 / 3])
    assert (r.train_effect - r.effect).values == pytest.approx(r.test_effect.values)
    same = gap(
        cube_from_rows([{**x, "accuracy": 0.6 + wobble(x["seed"], ord(x["learner"])) / 100} for x in rows]), **AB
    )
    assert np.isnan(same.share).all()  # the accuracy effect may be 0: a share of nothing
    assert same.share_unbounded.all()


def test_a_gap_needs_training_accuracy() -> None:
    with pytest.raises(KaxisError, match="needs the column train_accuracy"):
        gap(cube_from_rows(table()), **AB)


def test_rankings_by_hand() -> None:
    accuracy = {5: ((0.9, 0.8, 0.7), (0.9, 0.7, 0.8)), 10: ((0.7, 0.8, 0.9), (0.9, 0.7, 0.7))}
    rows = [
        {"K": k, "learner": n, "seed": s, "accuracy": a}
        for k, seeds in accuracy.items()
        for s, values in enumerate(seeds)
        for n, a in zip("ABC", values, strict=True)
    ]
    r = rankings(cube_from_rows(rows)).isel(source=0)
    assert r["rank"].sel(K=5).values.tolist() == [1.0, 2.5, 2.5]
    assert r["rank"].sel(K=10).values.tolist() == [2.0, 2.25, 1.75]
    assert r["first"].sel(K=10).values.tolist() == [1, 0, 1]
    assert r.change.sel(K=10).values == pytest.approx([1.0, -0.25, -0.75])
    tau = [-1.0, scipy.stats.kendalltau([1, 3, 2], [1, 2.5, 2.5]).statistic]
    assert float(r.agreement.sel(K=10)) == pytest.approx(np.mean(tau))
    holes = rankings(cube_from_rows(rows[:-1])).isel(source=0)
    assert holes.n_seeds.values.tolist() == [2, 1]
    with pytest.raises(KaxisError, match="two learners"):
        rankings(cube_from_rows([r for r in rows if r["learner"] == "A"]))


def test_every_analysis_takes_an_interval_by_name() -> None:
    cube = legs({"x": lambda k, s: wobble(s, k) ** 2, "y": lambda k, s: wobble(s, k)}, {"x": 6, "y": 6})
    d = paired(cube, **AB).difference.sel(source="x", K=5).values
    for kind in KINDS:
        r = paired(cube, **AB, interval=kind, prob=0.9).sel(source="x", K=5)
        assert r.ci.values == pytest.approx(interval(d, kind, 0.9))
        assert (r.attrs["ci_kind"], r.attrs["ci_prob"]) == (kind, 0.9)
        c = contrast(cube, **AB, interval=kind).sel(source="x")
        assert c.ci.values == pytest.approx(interval(c.per_seed.values, kind))
        across = differential(cube, of="x", against="y", K=(5, 5), interval=kind, **AB)
        assert across.ci.values == pytest.approx(interval(across.per_seed.values, kind))
    with pytest.raises(KaxisError, match="interval 'T'"):
        paired(cube, **AB, interval="T")


def test_slopes_by_other_roads_agree() -> None:
    cube = legs({"x": lambda k, s: 0.4 * math.log(k) + wobble(s, k) + wobble(s)}, {"x": 8}, (5, 10, 20, 50))
    c = contrast(cube, **AB).isel(source=0)
    roads = slope_checks(cube, **AB, source="x")
    assert roads["CRV3"] == pytest.approx((float(c.effect), *c.ci.values), rel=1e-6)
    assert roads["MixedLM"][0] == pytest.approx(float(c.effect), abs=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_seeds_go_through_every_analysis(n: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One, two and three seeds: an answer that says what it lacks, or one line; never a traceback or NaN in JSON."""
    rows = [{**r, "train_accuracy": 0.9 + 0.01 * (r["learner"] == "A")} for r in table(n)]
    file = write_table(tmp_path / "r.csv", rows)
    for verb in ("paired", "gap", "contrast", "slope", "equivalence", "rankings", "layers", "power"):
        line = ["analyze", verb, file] + (["--baseline", "A", "--learner", "B"] if verb != "rankings" else [])
        line += {"equivalence": ["--margin", "1"], "power": ["--effect", "1"]}.get(verb, [])
        for kind in KINDS if verb in ("paired", "gap", "contrast", "slope") else ["t"]:
            more = [] if kind == "t" else ["--interval", kind]
            code = kaxis(*line, *more, "--json")
            shown = capsys.readouterr()
            assert code in (0, 1, 2), (verb, kind, shown.err)
            assert "a fault of kaxis" not in shown.err
            if code == 0:
                assert json.loads(shown.out)["rows"]


def test_two_configurations_in_one_store_are_refused_by_name(fill: Any, capsys: pytest.CaptureFixture[str]) -> None:

    fill(noisy(), steps=10)
    store = fill(noisy(), steps=20)
    assert kaxis("analyze", "paired", "--store", store.path) == 2
    error = capsys.readouterr().err
    assert "steps = 10 and 20 for digits: choose with --where steps=20 (trained last)" in error
    assert error.count("\n") == 1


def test_a_tuned_learner_is_chosen_on_what_was_held_out_seed_by_seed(fill: Any) -> None:
    from kaxis.stats.tuning import tuned
    from kaxis.store.cube import load_cube

    names = ["bp_deepsup", "bp_deepsup[lr=0.01]", "dtg_ff", "dtg_ff[lr=0.01]"]
    cube = load_cube(fill(noisy(), learners=names))
    with pytest.raises(KaxisError, match="no held-out accuracy to choose by"):
        tuned(cube, {"a": names[:2]})
    rng = np.random.default_rng(0)
    cube["held_accuracy"] = cube.test_accuracy * 0 + rng.random(cube.test_accuracy.shape)
    one = tuned(cube, {"a": names[:2], "b": names[2:]})
    for K, seed in ((3, 0), (5, 2), (10, 4)):
        for label, grid in (("a", names[:2]), ("b", names[2:])):
            held = [float(cube.held_accuracy.sel(source="digits", K=K, seed=seed, learner=n)) for n in grid]
            best = grid[int(np.argmax(held))]
            at = {"source": "digits", "K": K, "seed": seed}
            assert one.chosen.sel({**at, "learner": label}).item() == best
            assert float(one.test_accuracy.sel({**at, "learner": label})) == float(
                cube.test_accuracy.sel({**at, "learner": best})
            )
    assert paired(one, learner="b", baseline="a").n_seeds.values.tolist() == [[5, 5, 5]]
    cube["status"] = cube.status.astype("U8")
    cube["status"][0, 0, 0, 0] = "failed"
    holes = tuned(cube, {"a": names[:2], "b": names[2:]})
    result = paired(holes, learner="b", baseline="a")
    assert result.n_seeds.values.tolist() == [[4, 5, 5]]
    assert result.attrs["notes"] == ["digits K=3 a seed 0: failed"]
    with pytest.raises(KaxisError, match="did you mean 'dtg_ff'"):
        tuned(cube, {"a": ["dtg_f"]})
    with pytest.raises(KaxisError, match="name a learner"):
        tuned(cube, {})
    with pytest.raises(KaxisError, match="no held-out accuracy"):
        tuned(cube_from_rows(table()), {"a": ["A", "B"]})


def test_settings_that_are_named_only_where_they_differ_still_make_two_configurations(fill: Any) -> None:
    from kaxis.store.cube import load_cube

    for more in ({"weight_decay": 0.1}, {"holdout": 0.1, "select": "best"}):
        fill(noisy(), **({"holdout": 0.1} if "holdout" in more else {}))
        store = fill(noisy(), **more)
        key = "weight_decay" if "weight_decay" in more else "select"
        with pytest.raises(KaxisError, match=f"choose with --where {key}="):
            load_cube(store, {"source": "digits/holdout:0.1"} if "holdout" in more else {"source": "digits"})
    both = [load_cube(store, {"select": how, "source": "digits/holdout:0.1"}) for how in ("last", "best")]
    assert all(one.sizes["K"] == 3 for one in both)


def test_seeds_without_log_odds_are_named_wherever_they_are_left_out() -> None:
    rows = [
        {"source": source, "K": K, "learner": name, "seed": s}
        | {"accuracy": 1.0 if (source, K, name, s) == ("x", 5, "B", 2) else 0.6 + 0.01 * s + 0.02 * (name == "B")}
        for source in ("x", "y")
        for K in (5, 10)
        for name in ("A", "B")
        for s in range(4)
    ]
    cube, note = cube_from_rows(rows), "x K=5 B seed 2: an accuracy of 0 or 1 has no log odds"
    pair = {"learner": "B", "baseline": "A", "scale": "logit"}
    with pytest.raises(KaxisError, match=r"an accuracy of 0 or 1, which has no log odds\) at K=5 seed 2"):
        contrast(cube.sel(source=["x"]), **pair)
    dropped = contrast(cube.sel(source=["x"]), **pair, drop_incomplete=True)
    assert dropped.n_seeds.values.tolist() == [3]
    apart = differential(cube, **pair, of="x", against="y", K=(5, 5))
    design = factorial(cube, factors=["gradient"], design={"A": {"gradient": 0}, "B": {"gradient": 1}}, scale="logit")
    for found in (dropped, apart, design):
        assert note in found.attrs["notes"]
    assert contrast(cube, learner="B", baseline="A").attrs["notes"] == []
