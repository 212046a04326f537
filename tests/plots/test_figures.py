"""Figures: every seed is drawn, looks are fixed by name, the same numbers give the same bytes."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaxis import plots
from kaxis.errors import KaxisError
from kaxis.plots.style import LEARNERS, SERIES, learner_look, learner_looks
from kaxis.spec.learners import TABLE
from kaxis.stats import effects, planning, simulate
from kaxis.stats.contrasts import contrast
from kaxis.store.cube import load_cube
from kaxis.store.records import Store
from tests.helpers import noisy
from tests.stats.tables import AB, legs

Fill = Callable[..., Store]


def test_k_conflict_draws_every_seed_every_source_and_the_paper(fill: Fill) -> None:
    fill(noisy())
    cube = load_cube(fill(noisy(), source="synthetic"))
    result = effects.paired(cube, learner="dtg_ff", baseline="bp_deepsup")
    figure, rows = plots.k_conflict(result, paper=True)
    (ax,) = figure.axes
    assert ax.get_xscale() == "log"
    hollow = [line for line in ax.lines if line.get_markerfacecolor() == "none"]
    drawn = np.sort(np.concatenate([np.asarray(line.get_ydata()) for line in hollow]))
    assert drawn == pytest.approx(np.sort(result.difference.values.ravel()))
    means = [c for c in ax.containers if len(c.lines[0].get_xdata()) == 3]
    for container, source in zip(means, ("synthetic", "digits"), strict=True):
        one = result.sel(source=source)
        assert np.asarray(container.lines[0].get_ydata()) == pytest.approx(one.effect.values)
        (bars,) = container.lines[2]
        ends = np.array([[low[1], high[1]] for low, high in bars.get_segments()])
        assert ends == pytest.approx(one.ci.transpose("K", "ci_bound").values)
    labels = [text.get_text() for text in ax.texts]
    assert {"synthetic", "digits"} <= set(labels)
    assert "n = 5" in ax.get_title(loc="left")
    assert any(label.startswith("published, synthetic") for label in labels)
    overlay = {r["K"]: r["effect"] for r in rows if r["source"] == "published synthetic"}
    assert overlay == {5: -0.2, 10: 0.8, 15: 0.5, 20: 0.6, 30: 1.6, 50: 2.0}
    assert any(np.allclose(line.get_ydata(), 0) for line in ax.lines), "zero line"


def test_paired_joins_each_seed_to_itself(fill: Fill) -> None:
    cube = load_cube(fill(noisy()))
    result = effects.paired(cube, learner="dtg_ff", baseline="bp_deepsup")
    figure, rows = plots.paired(cube, result, "digits")
    top, bottom = figure.axes
    slopes = [c for c in top.lines if len(np.asarray(c.get_xdata())) == 2 and c.get_linestyle() == "-"]
    assert len(slopes) == 3 * 5
    risen = sorted(float(np.diff(np.asarray(c.get_ydata()))[0]) for c in slopes)
    assert risen == pytest.approx(sorted(result.difference.values.ravel()))
    assert [t.get_text() for t in bottom.get_xticklabels()] == ["3", "5", "10"]
    assert [row["n_seeds"] for row in rows] == [5, 5, 5]


def test_the_contrast_stands_beside_the_paired_plot(fill: Fill) -> None:
    cube = load_cube(fill(noisy()))
    result = effects.paired(cube, learner="dtg_ff", baseline="bp_deepsup")
    slope = contrast(cube, learner="dtg_ff", baseline="bp_deepsup")
    figure, rows = plots.paired(cube, result, "digits", slope)
    _, _, panel = figure.axes
    hollow = next(line for line in panel.lines if line.get_markerfacecolor() == "none")
    assert np.sort(np.asarray(hollow.get_ydata())) == pytest.approx(np.sort(slope.per_seed.values[0]))
    (bars,) = panel.containers[0].lines[2]
    assert bars.get_segments()[0][:, 1] == pytest.approx(slope.ci.values[0])
    assert panel.get_ylabel() == "pp per unit of ln K"
    assert rows[-1]["contrast"] == "slope on ln K"


def test_the_band_is_drawn_around_every_seed_or_refused(fill: Fill, tmp_path: Path) -> None:
    result = effects.paired(load_cube(fill(noisy())), learner="dtg_ff", baseline="bp_deepsup")
    figure, rows = plots.band(result, "digits")
    corners = figure.axes[0].collections[0].get_paths()[0].vertices
    for row, (low, high) in zip(rows, result.band.values[:, 0].T, strict=True):
        assert (row["band_lower"], row["band_upper"]) == pytest.approx((low, high))
        assert any(np.allclose(c, (row["K"], low)) for c in corners)
        assert any(np.allclose(c, (row["K"], high)) for c in corners)
    holes = fill(lambda c: None if (c.K, c.seed) == (5, 2) else noisy()(c), path=tmp_path / "holes")
    result = effects.paired(load_cube(holes), learner="dtg_ff", baseline="bp_deepsup")
    with pytest.raises(KaxisError, match="each done at every K"):
        plots.band(result, "digits")


def test_planning_figures_draw_their_rows() -> None:
    made = [simulate.coverage(kind, n, draws=40) for kind in ("t", "percentile") for n in (5, 8)]
    figure, rows = plots.coverage(made)
    lines = [np.asarray(c.lines[0].get_ydata()) for c in figure.axes[0].containers]
    assert lines[0] == pytest.approx([100 * r["covers"] for r in made[:2]])
    assert rows == made
    curves = {"a": [{"n_seeds": n, "power": planning.power(1, 1, n)} for n in range(2, 12)]}
    figure, rows = plots.power(curves, 1.0)
    assert np.asarray(figure.axes[0].lines[0].get_ydata()) == pytest.approx([r["power"] for r in rows])
    listed = [
        {"label": f"l{i}", "effect": i, "ci_lower": i - 1, "ci_upper": i + 2, "series": s}
        for i in range(3)
        for s in "ab"
    ]
    figure, rows = plots.forest(listed, "pp", mark=(1.5, "there"))
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["l0", "l1", "l2"]
    assert len(figure.axes[0].containers) == 2
    assert rows == listed


def test_curves_have_a_panel_for_each_K(fill: Fill) -> None:
    cube = load_cube(fill(noisy()))
    figure, rows = plots.curves(cube, "digits", ["bp_deepsup", "dtg_ff"])
    for row in (r for r in rows if r["step"] == 10):
        drawn = cube[f"{row['split']}_accuracy"].sel(source="digits", K=row["K"], learner=row["learner"])
        assert row["accuracy"] == pytest.approx(100 * float(drawn.mean()))
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["K = 3", "K = 5", "K = 10"]
    assert {row["split"] for row in rows} == {"train", "test"}


def test_looks_differ_in_colour_and_marker_and_are_fixed_by_name() -> None:
    assert len({look[0] for look in LEARNERS.values()}) == len({look[1] for look in LEARNERS.values()}) == len(LEARNERS)
    assert learner_look("dtg_ff[t_max=1]") == learner_look("dtg_ff[t_max=1]") == learner_look("dtg_ff")


@given(st.sets(st.sampled_from([*TABLE, "dtg_ff[lr=0.1]", "bp[lr=0.1]", "mine", "mine[lr=0.1]"])))
def test_no_two_learners_of_a_figure_look_the_same(names: set[str]) -> None:
    looks = learner_looks(names)
    assert len({tuple(look.items()) for look in looks.values()}) == len(names)
    assert all(looks[name] == learner_look(name) for name in names & LEARNERS.keys())


def test_files_are_stable_byte_for_byte_and_come_with_their_numbers(fill: Fill, tmp_path: Path) -> None:
    result = effects.paired(load_cube(fill(noisy())), learner="dtg_ff", baseline="bp_deepsup")
    for name in ("one", "two"):
        plots.save(*plots.k_conflict(result), tmp_path / name, "f")
    for kind in ("svg", "pdf", "png", "csv"):
        assert (tmp_path / "one" / f"f.{kind}").read_bytes() == (tmp_path / "two" / f"f.{kind}").read_bytes(), kind
    with (tmp_path / "one" / "f.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["effect"]) for row in rows] == pytest.approx(result.effect.values[0])
    assert float(rows[0]["seed_2"]) == pytest.approx(float(result.difference.sel(K=3, seed=2)[0]))


def _seen(hexes: list[str], matrix: list[list[float]] | None) -> np.ndarray:
    """CIE Lab (D65) of colours as an eye sees them whose cones mix linear light by a matrix."""
    rgb = np.array([[int(h[i : i + 2], 16) / 255 for i in (1, 3, 5)] for h in hexes])
    light = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    light = np.clip(light @ np.array(matrix).T, 0, 1) if matrix else light
    xyz = light @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    f = np.cbrt(xyz / [0.9505, 1.0, 1.089])
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


MACHADO = {  # Machado, Oliveira & Fernandes 2009, severity 1
    "usual": None,
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def test_many_sources_look_different_and_stay_at_their_K() -> None:
    def effect(i: int, K: int, seed: int) -> float:
        return i + 0.1 * seed

    cube = legs({f"source {i}": partial(effect, i) for i in range(10)}, {f"source {i}": 3 for i in range(10)})
    figure, _ = plots.k_conflict(effects.paired(cube, **AB))
    means = [container.lines[0] for container in figure.axes[0].containers]
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in means}
    assert len(looks) == len(means) == 10
    for line in means:
        assert np.abs(np.log(np.asarray(line.get_xdata()) / np.array([5, 10, 50]))).max() < math.log(1.13)


@pytest.mark.parametrize("eye", MACHADO)
def test_lines_are_told_apart_by_every_eye_and_without_colour(eye: str) -> None:
    """Colours that look alike to somebody have another marker; in grey the markers alone tell."""
    colours, markers = zip(*SERIES, strict=True)
    assert len(set(markers)) == len(markers)
    own = list(LEARNERS.values())
    assert len({marker for _, marker in own}) == len(own)
    lab = _seen(list(colours), MACHADO[eye])
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)[np.triu_indices(len(lab), 1)]
    assert apart.min() > 8, "two series would look alike"
    assert np.median(apart) > 40
