"""Over cubes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from kaxis.errors import KaxisError
from kaxis.stats import contrasts, effects
from kaxis.stats.arrays import as_published
from kaxis.stats.intervals import bootstrap_interval, t_interval
from kaxis.store.cube import build_cube, load_cube
from kaxis.store.records import Store
from tests.helpers import noisy

Fill = Callable[..., Store]


def test_paired_is_the_mean_of_seed_matched_differences(fill: Fill) -> None:
    cube = load_cube(fill(noisy()))
    out = effects.paired(cube, learner="dtg_ff", baseline="bp_deepsup")
    a, b = (cube.test_accuracy.sel(source="digits", K=10, learner=name).values for name in ("dtg_ff", "bp_deepsup"))
    assert float(out.effect.sel(source="digits", K=10)) == pytest.approx(100 * np.mean(a - b))
    assert out.ci.sel(source="digits", K=10).values == pytest.approx(t_interval(100 * (a - b)))
    assert (out.attrs["ci_kind"], out.attrs["ci_prob"], out.attrs["units"]) == ("t", 0.95, "pp")
    assert out.ci.ci_bound.values.tolist() == ["lower", "upper"]
    assert float(out.effect_normalised.sel(K=10)[0]) == pytest.approx(100 * np.mean(a - b) / 0.8)
    reverse = effects.paired(cube, learner="bp_deepsup", baseline="dtg_ff")
    xr.testing.assert_allclose(reverse.effect, -out.effect)
    xr.testing.assert_allclose(reverse.p, out.p)


def test_an_irrelevant_learner_or_K_changes_nothing(fill: Fill) -> None:
    small = effects.paired(load_cube(fill(noisy())), learner="dtg_ff", baseline="bp_deepsup")
    more = fill(noisy(), K="3 5 7 10", learners=["bp", "bp_deepsup", "dtg_ff"])
    large = effects.paired(load_cube(more), learner="dtg_ff", baseline="bp_deepsup")
    xr.testing.assert_identical(small.effect, large.effect.sel(K=[3, 5, 10]))
    xr.testing.assert_identical(small.bootstrap_ci, large.bootstrap_ci.sel(K=[3, 5, 10]))


def test_paired_uses_the_seeds_that_both_have_and_names_the_rest(fill: Fill) -> None:
    def accuracy(cell):  # type: ignore[no-untyped-def]
        return None if (cell.K, cell.seed, cell.learner) == (5, 2, "dtg_ff") else noisy()(cell)

    out = effects.paired(load_cube(fill(accuracy)), learner="dtg_ff", baseline="bp_deepsup")
    assert out.n_seeds.values.tolist() == [[5, 4, 5]]
    assert out.attrs["notes"] == ["digits K=5 dtg_ff seed 2: missing"]
    assert np.isfinite(out.p).all()


def test_a_source_with_fewer_seeds_is_not_incomplete(fill: Fill) -> None:
    fill(noisy(), seeds="0-1", K="3 5")
    cube = load_cube(fill(noisy(), source="synthetic"))
    out = effects.paired(cube, learner="dtg_ff", baseline="bp_deepsup")
    assert out.attrs["notes"] == []
    assert out.n_seeds.sel(source="digits").values.tolist() == [2, 2, 0]


def test_slope_is_that_of_least_squares_per_seed(fill: Fill) -> None:
    cube = load_cube(fill(noisy(0.03)))
    out = contrasts.contrast(cube, learner="dtg_ff", baseline="bp_deepsup")
    d = 100 * (cube.test_accuracy.sel(learner="dtg_ff") - cube.test_accuracy.sel(learner="bp_deepsup"))
    slopes = [np.polyfit(np.log([3, 5, 10]), d.sel(source="digits", seed=s).values, 1)[0] for s in range(5)]
    assert out.per_seed.values[0] == pytest.approx(slopes)
    assert float(out.effect[0]) == pytest.approx(np.mean(slopes))
    assert out.ci.values[0] == pytest.approx(t_interval(slopes))
    assert out.attrs["units"] == "pp per unit of ln K"


def test_low_high_contrast_by_hand(fill: Fill) -> None:
    cube = load_cube(fill(noisy()))
    out = contrasts.contrast(cube, learner="dtg_ff", baseline="bp_deepsup", low=[3, 5], high=[10])
    d = 100 * (cube.test_accuracy.sel(learner="dtg_ff") - cube.test_accuracy.sel(learner="bp_deepsup")).sel(
        source="digits"
    )
    assert out.per_seed.values[0] == pytest.approx((d.sel(K=10) - (d.sel(K=3) + d.sel(K=5)) / 2).values)
    published = contrasts.contrast(cube, learner="dtg_ff", baseline="bp_deepsup", low=[3, 5], high=[10], published=True)
    assert float(published.effect[0]) == pytest.approx(float(out.effect[0]))
    assert "as published" in published.attrs["ci_kind"]
    assert np.isnan(published.p).all()


def test_as_published_reproduces_the_papers_contrast_from_its_means() -> None:
    """Low {5, 10, 15} and high {20, 30, 50} of the published means: +1.03 pp."""
    from kaxis.reference import published

    test = {(r["K"], r["learner"]): r["test"] for r in published()["synthetic"]}
    d = {k: test[k, "dtg_ff"] - test[k, "bp_deepsup"] for k in (5, 10, 15, 20, 30, 50)}
    effect, low, high = as_published([d[5], d[10], d[15]], [d[20], d[30], d[50]])
    assert effect == pytest.approx(1.03, abs=0.01)
    assert low < effect < high


def test_contrast_refuses_incomplete_seeds_by_name_or_drops_them_when_asked(fill: Fill) -> None:
    cube = load_cube(fill(lambda c: "failed" if (c.K, c.seed, c.learner) == (5, 2, "dtg_ff") else noisy()(c)))
    with pytest.raises(KaxisError, match=r"digits: incomplete seeds.* at K=5 seed 2"):
        contrasts.contrast(cube, learner="dtg_ff", baseline="bp_deepsup")
    out = contrasts.contrast(cube, learner="dtg_ff", baseline="bp_deepsup", drop_incomplete=True)
    assert int(out.n_seeds[0]) == 4


def test_a_source_that_cannot_answer_is_named_and_does_not_silence_the_others(fill: Fill) -> None:
    fill(lambda c: "failed" if (c.K, c.seed) == (5, 2) else noisy()(c))
    cube = load_cube(fill(noisy(), source="synthetic"))
    out = contrasts.contrast(cube, learner="dtg_ff", baseline="bp_deepsup")
    assert out.source.values.tolist() == ["synthetic"]
    assert out.attrs["refused"] == [
        "digits: incomplete seeds, not done for both learners (or without headroom) at K=5 seed 2; "
        "use --drop-incomplete to do without"
    ]


def test_contrast_refuses_what_it_cannot_answer(fill: Fill) -> None:
    cube = load_cube(fill(noisy()))
    ask = {"learner": "dtg_ff", "baseline": "bp_deepsup"}
    with pytest.raises(KaxisError, match="both"):
        contrasts.contrast(cube, **ask, low=[3])
    with pytest.raises(KaxisError, match="has no K = 50"):
        contrasts.contrast(cube, **ask, low=[3], high=[50])
    with pytest.raises(KaxisError, match="name them"):
        contrasts.contrast(cube, **ask, published=True)
    with pytest.raises(KaxisError, match="two values of K"):
        contrasts.contrast(cube.sel(K=[3]), **ask)
    with pytest.raises(KaxisError, match="did you mean 'dtg_ff'"):
        effects.paired(cube, learner="dtg_f", baseline="bp_deepsup")
    with pytest.raises(KaxisError, match="are both"):
        effects.paired(cube, learner="dtg_ff", baseline="dtg_ff")


@pytest.mark.parametrize(("low", "high"), [([5], [5]), ([3, 5], [5, 10]), ([3, 3], [10])])
def test_a_K_on_both_sides_or_twice_is_refused(fill: Fill, low: list[int], high: list[int]) -> None:
    with pytest.raises(KaxisError, match="appears twice"):
        contrasts.contrast(load_cube(fill(noisy())), learner="dtg_ff", baseline="bp_deepsup", low=low, high=high)


def test_normalised_scale_in_every_analysis_by_hand(fill: Fill) -> None:
    """Chance differs from seed to seed: a ratio of means, in the interval by Fieller, along K by the delta method's
    numbers per seed.
    """
    cube = load_cube(fill(noisy()))
    chance = xr.DataArray([0.1, 0.3, 0.2, 0.5, 0.4], {"seed": range(5)}, "seed")
    cube["chance"] = cube.chance * 0 + chance
    ask = {"learner": "dtg_ff", "baseline": "bp_deepsup"}
    room = 1 - chance.values
    d = 100 * (cube.test_accuracy.sel(learner="dtg_ff") - cube.test_accuracy.sel(learner="bp_deepsup")).values[0]
    share = d.mean(1) / room.mean()
    out = effects.paired(cube, **ask)
    assert out.effect_normalised.values[0] == pytest.approx(share)
    assert out.smallest_headroom.values[0] == pytest.approx([0.5] * 3)
    for k in range(3):
        low, high = out.normalised_ci.values[:, 0, k]
        for r, inside in ((low + 1e-6, True), (low - 1e-6, False), (high - 1e-6, True), (high + 1e-6, False)):
            bounds = t_interval(d[k] - r * room)
            assert (bounds[0] <= 0 <= bounds[1]) == inside
    numbers = share[:, None] + (d - share[:, None] * room) / room.mean()
    slopes = [np.polyfit(np.log([3, 5, 10]), numbers[:, s], 1)[0] for s in range(5)]
    along = contrasts.contrast(cube, **ask, scale="normalised")
    assert along.per_seed.values[0] == pytest.approx(slopes)
    assert float(along.effect[0]) == pytest.approx(np.polyfit(np.log([3, 5, 10]), share, 1)[0])
    cube["train_accuracy"] = cube.train_accuracy + 0.01 * (cube.learner == "dtg_ff")
    gaps = 100 * (cube.train_accuracy - cube.test_accuracy)
    g = (gaps.sel(learner="dtg_ff") - gaps.sel(learner="bp_deepsup")).values[0]
    assert effects.gap(cube, **ask).effect_normalised.values[0] == pytest.approx(g.mean(1) / room.mean())


def test_two_seeds_with_almost_no_headroom_do_not_rule_the_share(fill: Fill) -> None:
    """-1 pp in every seed: a mean of ratios would be ruled by the two seeds whose headroom is 1 %."""
    cube = load_cube(fill(lambda c: 0.99 - 0.01 * (c.learner == "dtg_ff") + 1e-4 * c.seed * (c.learner == "dtg_ff")))
    cube["chance"] = xr.where(cube.seed < 2, 0.99, 0.2) + 0 * cube.chance
    out = effects.paired(cube, learner="dtg_ff", baseline="bp_deepsup")
    assert (out.effect_normalised > -3).all()  # a mean of ratios is -41
    assert (out.smallest_headroom < 0.05).all()


def test_a_seed_without_headroom_is_counted_out_and_said_so(fill: Fill) -> None:
    cube = load_cube(fill(noisy()))
    cube["chance"] = xr.where(cube.seed == 2, 1.0, cube.chance)
    out = effects.paired(cube, learner="dtg_ff", baseline="bp_deepsup")
    assert (out.n_seeds == 5).all()
    assert (out.n_normalised == 4).all()
    with pytest.raises(KaxisError, match="without headroom"):
        contrasts.contrast(cube, learner="dtg_ff", baseline="bp_deepsup", scale="normalised")


def test_gap_effect_is_train_effect_minus_test_effect(fill: Fill) -> None:
    cube = load_cube(fill(noisy()))
    cube["train_accuracy"] = cube.train_accuracy + 0.02 * (cube.learner == "bp_deepsup")
    out = effects.gap(cube, learner="dtg_ff", baseline="bp_deepsup")
    xr.testing.assert_allclose(out.effect, out.train_effect - out.test_effect)
    xr.testing.assert_allclose(out.effect, out.gap_learner - out.gap_baseline)
    assert float(out.effect.mean()) == pytest.approx(-2, abs=1e-6)


def test_normalised_scale_uses_the_stored_chance() -> None:
    accuracy, chance = xr.DataArray([0.6, 0.9]), xr.DataArray([0.5, 0.5])
    assert effects.normalise(accuracy, chance).values == pytest.approx([0.2, 0.8])


def test_identical_learners_differ_by_nothing(fill: Fill) -> None:
    cube = load_cube(fill(lambda c: 0.7, learners=["bp_deepsup", "bp_deepsup[lr=0.001]"]))
    out = effects.paired(cube, learner="bp_deepsup[lr=0.001]", baseline="bp_deepsup")
    assert (out.effect == 0).all()
    assert (out.p == 1).all()
    assert out.ci.isnull().all()


def test_statistics_do_not_import_torch() -> None:
    import subprocess
    import sys

    code = "import kaxis.stats.effects, kaxis.store.cube, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_t_interval_covers_and_bootstrap_does_not() -> None:
    """Nominal 95 % at n = 5 normal seeds: t within 1.5 points, the percentile bootstrap as the table says."""
    from kaxis.stats.intervals import BOOTSTRAP_COVERAGE

    rng = np.random.default_rng(0)
    draws = rng.normal(size=(2000, 5))
    hits = [(t_interval(d), bootstrap_interval(d)) for d in draws]
    t = np.mean([low <= 0 <= high for (low, high), _ in hits])
    b = np.mean([low <= 0 <= high for _, (low, high) in hits])
    assert t == pytest.approx(0.95, abs=0.015)
    assert b == pytest.approx(BOOTSTRAP_COVERAGE[5], abs=0.025)


def test_build_cube_takes_records_from_anywhere(fill: Fill) -> None:
    store = fill(noisy())
    xr.testing.assert_identical(build_cube(list(store.records())), load_cube(store).drop_attrs(deep=False))
    assert not build_cube(list(store.records())).attrs
