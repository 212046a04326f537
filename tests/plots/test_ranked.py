"""Many learners along K: ordered, named where they end, no name over another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaxis import plots
from kaxis.errors import KaxisError
from kaxis.plots.parts import spread
from kaxis.stats import effects
from kaxis.store.cube import load_cube
from tests.helpers import noisy
from tests.plots.test_figures import Fill


def test_learners_are_named_in_the_order_of_their_effects(fill: Fill) -> None:
    cube = load_cube(fill(noisy()))
    one = effects.paired(cube, learner="dtg_ff", baseline="bp_deepsup")
    own = {f"x{part}": one.assign(effect=part * one.effect, ci=part * one.ci) for part in (0.5, 2.0, 1.0)}
    figure, rows = plots.ranked(own, "digits")
    (ax,) = figure.axes
    last = {n: float(e.effect.sel(source="digits", K=10)) for n, e in own.items()}
    order = sorted(last, key=lambda n: -last[n])
    assert [t.get_text() for t in ax.texts] == [f"{n} {last[n]:+.1f}" for n in order]
    heights = [t.xyann[1] for t in ax.texts]
    assert heights == sorted(heights, reverse=True)
    for name, row in ((r["learner"], r) for r in rows):
        at = own[name].sel(source="digits", K=row["K"])
        assert (row["effect"], row["ci_lower"]) == pytest.approx((float(at.effect), float(at.ci[0])))
    assert len(rows) == 9


def test_a_floor_cuts_the_drawing_and_not_the_numbers(fill: Fill) -> None:
    cube = load_cube(fill(noisy(effect_per_lnK=-0.2)))
    own = {"dtg_ff": effects.paired(cube, learner="dtg_ff", baseline="bp_deepsup")}
    figure, rows = plots.ranked(own, "digits", floor=-30.0)
    lowest = min(np.asarray(line.get_ydata()).min() for line in figure.axes[0].lines)
    assert lowest == -30.0
    assert min(r["effect"] for r in rows) < -40


def test_without_a_pair_there_is_nothing_to_draw() -> None:
    with pytest.raises(KaxisError, match="no learner has a seed beside the baseline"):
        plots.ranked({}, "digits")


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=20), st.floats(0.1, 5))
def test_labels_keep_apart(values: list[float], apart: float) -> None:
    values = sorted(values, reverse=True)
    moved = np.array(spread(values, apart))
    assert (-np.diff(moved) >= apart - 1e-6).all()
    assert abs(moved.mean() - np.mean(values)) < 1e-6 + apart * len(values)
