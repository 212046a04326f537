"""Running."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr

from kaxis.store.records import Store
from tests.helpers import kaxis, noisy, records

Fill = Callable[..., Store]


TINY = ["--learners", "bp_deepsup", "dtg_ff", "--steps", "30", "--batch-size", "32"]


def test_run_status_cube_analyze_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The main road, end to end, on real images."""
    store = ("--store", tmp_path / "s")
    assert kaxis("run", "digits", "--K", "3", "5", "--seeds", "0-2", *TINY, "--jobs", "1", *store) == 0
    out = capsys.readouterr()
    assert "12 cells" in out.out
    assert out.err == ""
    assert kaxis("run", "digits", "--K", "3", "5", "--seeds", "0-2", *TINY, "--jobs", "1", *store) == 0
    assert "0 trained" in capsys.readouterr().out
    assert kaxis("run", "digits", "--K", "3", "10", "--seeds", "0-2", *TINY, "--dry-run", *store) == 0
    assert "12 cells, 6 to do" in capsys.readouterr().out
    assert kaxis("status", "--json", *store) == 0
    assert sum(row["cells"] for row in json.loads(capsys.readouterr().out)["rows"]) == 12
    assert kaxis("cube", "--out", tmp_path / "cube.nc", *store) == 0
    with xr.open_dataset(tmp_path / "cube.nc") as cube:
        assert cube.test_accuracy.dims == ("source", "K", "learner", "seed")
        assert (cube.status == "done").all()
    capsys.readouterr()
    assert kaxis("analyze", "paired", "--baseline", "bp_deepsup", "--json", "--csv", tmp_path / "p.csv", *store) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["analysis"] == "paired"
    assert result["attrs"]["units"] == "pp"
    assert [(r["source"], r["K"], r["learner"], r["baseline"], r["n_seeds"]) for r in result["rows"]] == [
        ("digits", 3, "dtg_ff", "bp_deepsup", 3),
        ("digits", 5, "dtg_ff", "bp_deepsup", 3),
    ]
    assert all(r["ci_lower"] <= r["effect"] <= r["ci_upper"] for r in result["rows"])
    with (tmp_path / "p.csv").open() as file:
        assert [float(row["effect"]) for row in csv.DictReader(file)] == [r["effect"] for r in result["rows"]]
    for verb in ("paired", "contrast", "slope", "gap"):
        assert kaxis("analyze", verb, *store) == 0
    assert "secondary, in no study's plan" in capsys.readouterr().out
    for verb in ("k-conflict", "paired", "curves", "band"):
        assert kaxis("figure", verb, "--out", tmp_path / "f", *store) == 0
    assert {f.suffix for f in (tmp_path / "f").iterdir()} == {".svg", ".pdf", ".png", ".csv"}


def test_one_cell_alone_equals_itself_out_of_a_sweep(tmp_path: Path) -> None:
    options = ["--steps", "60", "--n-train", "900", "--n-test", "300"]
    assert (
        kaxis("run", "synthetic", "--K", "5", "--seeds", "0", *options, "--jobs", "1", "--store", tmp_path / "a") == 0
    )
    assert (
        kaxis(
            "run",
            "synthetic",
            "--K",
            "5",
            "10",
            "50",
            "--seeds",
            "0-4",
            *options,
            "--jobs",
            "2",
            "--store",
            tmp_path / "b",
        )
        == 0
    )
    one, sweep = records(tmp_path / "a"), records(tmp_path / "b")
    assert (len(one), len(sweep)) == (4, 60)
    assert all(sweep[key] == record for key, record in one.items())


def test_a_diverging_run_is_a_failed_cell_and_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = ("--store", tmp_path)
    line = (
        "run",
        "digits",
        "--K",
        "3",
        "--seeds",
        "0-1",
        "--learners",
        "bp_deepsup",
        "dtg_ff[lr=1e6]",
        "--steps",
        "40",
        "--jobs",
        "1",
    )
    assert kaxis(*line, *store) == 1
    err = capsys.readouterr().err
    assert "dtg_ff[lr=1000000] seed 0: diverged: train loss" in err
    assert kaxis("status", *store) == 0
    assert "diverged" in capsys.readouterr().out
    assert kaxis("analyze", "paired", *store) == 1
    assert "dtg_ff[lr=1000000] seed 1: failed, diverged" in capsys.readouterr().out


def test_a_planned_contrast_is_primary_and_anything_else_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plan's own low and high are the default; the label says when it was written and what differs from it."""
    early = "source = 'digits'\nK = [3, 5, 10]\nseeds = '0-1'\nsteps = 20\nlearners = ['bp_deepsup', 'dtg_ff']\n"
    (tmp_path / "early.toml").write_text(early + "[plan]\nlow = [3]\nhigh = [10]")
    store = ("--store", tmp_path / "s")
    assert kaxis("run", tmp_path / "early.toml", "--jobs", "1", *store) == 0
    capsys.readouterr()
    for line, said in (
        (["contrast"], "primary contrast of the study 'early', planned before the first result"),
        (["slope"], "secondary; its contrast and values of K are not what the study 'early' planned"),
        (["contrast", "--scale", "normalised"], "secondary; its scale"),
        (["contrast", "--as-published"], "secondary; its interval"),
        (["contrast", "--learner", "bp_deepsup", "--baseline", "dtg_ff"], "secondary, in no study's plan"),
    ):
        assert kaxis("analyze", *line, *store) == 0
        assert said in capsys.readouterr().out
    assert kaxis("analyze", "contrast", "--json", *store) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["contrast"] == "high [10] minus low [3]"


def test_a_plan_written_after_the_results_is_called_late(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = ("--store", tmp_path / "s")
    grid = ["--K", "3", "5", "--seeds", "0-1", *TINY, "--jobs", "1"]
    assert kaxis("run", "digits", *grid, *store) == 0
    time.sleep(1.1)  # dates are kept to the second
    (tmp_path / "late.toml").write_text("source = 'digits'\n[plan]\nlearner = 'dtg_ff'")
    assert kaxis("run", tmp_path / "late.toml", *grid, "--force", *store) == 0
    capsys.readouterr()
    assert kaxis("analyze", "contrast", *store) == 0
    assert "planned AFTER the first result" in capsys.readouterr().out


def test_a_grid_that_is_half_run_is_no_contrast(fill: Fill, capsys: pytest.CaptureFixture[str]) -> None:
    from kaxis.spec.study import Study

    store = fill(noisy(), K="3 5")
    store.note_study(Study.of("s", {"source": "digits", "K": "3 5 10", "learners": ["bp_deepsup", "dtg_ff"]}))
    assert kaxis("analyze", "contrast", "--store", store.path) == 2
    assert "K=10 seed 0" in capsys.readouterr().err


def test_bad_samples_are_found_before_anything_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert kaxis("run", "synthetic", "--holdout", "0.00001", "--store", tmp_path) == 2
    assert "leaves 0 of 20000 training images out" in capsys.readouterr().err
    for options in (["--classes", "1", "x"], ["--per-class", "100000"], ["--train-total", "100000"]):
        assert kaxis("run", "digits", *options, "--store", tmp_path) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert not list((tmp_path / "studies").iterdir())


def test_tables_go_into_a_closed_pipe_quietly(fill: Fill) -> None:
    store = fill(noisy())
    line = f"{sys.executable} -m kaxis analyze paired --store {store.path} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_one_seed_and_one_learner(fill: Fill, capsys: pytest.CaptureFixture[str]) -> None:
    store = fill(noisy(), seeds="3")
    assert kaxis("analyze", "paired", "--store", store.path) == 0
    assert "One seed gives no interval" in capsys.readouterr().out
    assert kaxis("analyze", "paired", "--store", store.path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["ci_lower"] is None
    assert kaxis("analyze", "paired", "--store", store.path, "--where", "learner=bp_deepsup") == 2
    assert "no learner but 'bp_deepsup'" in capsys.readouterr().err


def test_an_incomplete_grid_is_named(fill: Fill, capsys: pytest.CaptureFixture[str]) -> None:
    store = fill(lambda c: None if (c.K, c.seed, c.learner) == (5, 2, "dtg_ff") else noisy()(c))
    assert kaxis("analyze", "paired", "--store", store.path) == 0
    assert "digits K=5 dtg_ff seed 2: missing" in capsys.readouterr().out
    assert kaxis("analyze", "contrast", "--store", store.path) == 2
    assert "K=5 seed 2" in capsys.readouterr().err
    assert kaxis("analyze", "contrast", "--store", store.path, "--drop-incomplete") == 0


def test_as_published_is_labelled(fill: Fill, capsys: pytest.CaptureFixture[str]) -> None:
    store = fill(noisy())
    assert kaxis("analyze", "contrast", "--low", "3", "--high", "10", "--as-published", "--store", store.path) == 0
    assert "do not trust this interval" in capsys.readouterr().out


def test_brackets_in_names_are_shown(fill: Fill, capsys: pytest.CaptureFixture[str]) -> None:
    store = fill(noisy(), learners=["bp_deepsup", "dtg_ff[t_max=1]"])
    assert kaxis("analyze", "paired", "--store", store.path) == 0
    assert "dtg_ff[t_max=1] - bp_deepsup" in capsys.readouterr().out
