"""What a figure says of its intervals, and that it hides none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from kaxis import plots
from kaxis.stats.contrasts import contrast
from kaxis.stats.effects import paired
from kaxis.stats.factorial import factorial
from kaxis.stats.tables import cube_from_rows
from kaxis.store.cube import load_cube
from tests.helpers import Cli, Fill, noisy
from tests.stats.cubes import AB, table
from tests.stats.tables import write_table


def test_figures_name_kind_probability_and_n(fill: Fill) -> None:
    cube = table(lambda s, K, i: 0.1 * i + np.log(K))
    result = paired(cube, **AB, prob=0.9)
    figure, _ = plots.paired(cube, result, "s", contrast(cube, **AB, prob=0.9))
    assert figure.get_suptitle() == "s: mean and 90% t interval over seeds, n = 4"
    figure, _ = plots.factorial(
        factorial(cube, factors=["gradient"], design={"A": {"gradient": 0}, "B": {"gradient": 1}})
    )
    assert (
        figure.get_suptitle() == "All switches on minus all off, and what each carries; mean and 95% t interval, n = 4"
    )
    curves = load_cube(fill(noisy()), curves=True)
    figure, _ = plots.curves(curves, "digits", ["dtg_ff", "bp_deepsup"])
    assert figure.get_suptitle() == "digits: mean over seeds, n = 5"


def test_no_interval_ends_at_the_frame() -> None:
    effect = np.array([0.5, -0.5, 0.2])
    ends = np.stack([effect - [4.0, 1.0, 1.0], effect + 1.0])
    result = xr.Dataset(
        {
            "effect": (("source", "K", "class"), effect[None, None]),
            "ci": (("ci_bound", "source", "K", "class"), ends[:, None, None]),
            "n_seeds": (("source", "K", "class"), np.full((1, 1, 3), 5)),
        },
        coords={"source": ["s"], "K": [3], "class": ["a", "b", "c"], "ci_bound": ["lower", "upper"]},
        attrs={"learner": "B", "baseline": "A", "ci_prob": 0.95, "ci_kind": "t"},
    )
    figure, _ = plots.per_class(result, "s")
    low, high = figure.axes[0].get_ylim()
    assert low < ends.min() < ends.max() < high
    assert "95 % t interval over seeds and samples" in figure.get_suptitle()


def test_at_one_K_mean_and_seeds_stand_together() -> None:
    rows = [
        {"K": 5, "learner": name, "seed": i, "accuracy": 0.5 + 0.01 * i * (name == "B")}
        for i in range(4)
        for name in "AB"
    ]
    figure, _ = plots.k_conflict(paired(cube_from_rows(rows, name="s"), **AB))
    low, high = figure.axes[0].get_xlim()
    assert low < 4.5 < 5.5 < high


def test_places_are_asked_for_by_K(tmp_path: Path, cli: Cli) -> None:
    rows = [
        {"K": K, "learner": name, "seed": i, "accuracy": 0.5 + 0.01 * i + 0.02 * (name == "B")}
        for K in (5, 10)
        for i in range(4)
        for name in "AB"
    ]
    file = write_table(tmp_path / "t.csv", rows)
    assert cli("figure", "places", file, "--K", "5", "--out", tmp_path)[0] == 0


@pytest.mark.parametrize("seeds", [1, 4])
def test_a_page_says_nothing_of_a_sign_without_an_interval(seeds: int, tmp_path: Path, cli: Cli) -> None:
    rows = [
        {"K": K, "learner": name, "seed": i, "accuracy": 0.5 + 0.02 * (name == "B")}
        for K in (5, 10, 50)
        for i in range(seeds)
        for name in "AB"
    ]
    file = write_table(tmp_path / "t.csv", rows)
    assert cli("report", file, "--baseline", "A", "--out", tmp_path / "r.html")[0] == 0
    head = (tmp_path / "r.html").read_text().partition("<table")[0]
    assert "No interval (one seed, or no spread) on t -" in head
    assert "sign is open" not in head


@pytest.mark.parametrize(
    ("accuracies", "said"),
    [
        ({(K, 0): 1.0 for K in (5, 10)}, "two seeds or more, each done at every K"),
        ({(5, 0): 1.0, (10, 0): 1.0, (5, 1): 1.0}, "two seeds or more, each done at every K"),
        ({(K, i): 1.0 + i * (K == 5) for K in (5, 10) for i in range(3)}, "seeds do not differ at K = 10, which"),
    ],
)
def test_why_there_is_no_band(accuracies: dict[tuple[int, int], float], said: str, tmp_path: Path, cli: Cli) -> None:
    rows = [
        {"K": K, "learner": name, "seed": seed, "accuracy": 0.5 + 0.01 * effect * (name == "B")}
        for (K, seed), effect in accuracies.items()
        for name in "AB"
    ]
    file = write_table(tmp_path / "t.csv", rows)
    code, _, err = cli("figure", "band", file, "--baseline", "A", "--learner", "B", "--out", tmp_path)
    assert code == 2
    assert said in err


@pytest.mark.filterwarnings("ignore:.*plans nothing")  # said on stderr too
def test_power_has_a_panel_for_each_source_and_needs_seeds_that_differ(tmp_path: Path, cli: Cli) -> None:
    curves = {f"{s}, K = 5": [{"source": s, "n_seeds": n, "power": n / 10} for n in (2, 3)] for s in "abc"}
    figure, rows = plots.power(curves, 1.0)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["a", "b", "c"]
    assert len(rows) == 6
    same = [{"K": K, "learner": n, "seed": i, "accuracy": 0.5} for K in (5, 10) for i in range(3) for n in "AB"]
    file = write_table(tmp_path / "t.csv", same)
    code, _, err = cli("figure", "power", file, "--effect", "1", "--baseline", "A", "--learner", "B", "--out", tmp_path)
    assert code == 2
    assert err.splitlines()[-1] == "kaxis: no source has two seeds whose differences differ"
