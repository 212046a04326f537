"""Text is text."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections import Counter
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from PIL import Image

from kaxis import plots
from kaxis.cli.report import Report, console
from kaxis.errors import KaxisError, visible
from kaxis.execute.runner import run
from kaxis.io import file_name
from kaxis.spec.study import Study
from kaxis.spec.sweep import Sweep
from kaxis.stats.effects import paired
from kaxis.stats.tables import cube_from_rows
from kaxis.store.cube import load_cube
from kaxis.store.records import Store
from tests.helpers import Cli, Fill, noisy

HOSTILE = ["cost $5_a$", "$x^$", "photos[old]", "[/y]", "[red]x", ":smile:", "a\\b", "ü ß", "%s {0}"]


def pictures(root: Path, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in classes:
            (root / split / name).mkdir(parents=True)
            for i in range(3):
                Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(root / split / name / f"{i}.png")
    return root


@pytest.mark.parametrize("name", HOSTILE)
def test_names_reach_tables_and_figures_as_they_are(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {
            "source": name,
            "K": K,
            "learner": n,
            "seed": s,
            "accuracy": 0.5 + 0.01 * s + 0.02 * (n == name) + 0.001 * K * s,
        }
        for K in (5, 10)
        for n in (name, "B")
        for s in range(3)
    ]
    result = paired(cube_from_rows(rows), learner=name, baseline="B")
    figure, numbers = plots.k_conflict(result)
    files = plots.save(figure, numbers, tmp_path, file_name(name) or "x")
    assert all(f.stat().st_size for f in files)
    assert any(name in str(text.get_text()) for text in figure.axes[0].texts)
    Report("a", name, {}, [{"x": name}], [("source", lambda r: r["x"])], [name]).show(as_json=False, csv_file=None)
    assert capsys.readouterr().out.count(name) == 3


@pytest.mark.parametrize("name", ["a\x1b[31mb", "a\x07", "\x9bx", "a\u202eb"])
def test_no_control_character_reaches_a_terminal(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    console().print(name)
    Report("a", name, {}, [{"x": name}], [("x", lambda r: r["x"])], [name]).show(as_json=False, csv_file=None)
    out = capsys.readouterr().out
    assert visible(name) in out
    assert name not in out
    assert name not in str(KaxisError(f"no {name} here"))
    with pytest.raises(KaxisError):
        Sweep.of({"source": f"folder:{tmp_path}/{name}", "learners": "bp"})


def test_a_set_with_dollars_and_brackets_trains_and_is_drawn(tmp_path: Path, cli: Cli) -> None:
    root = pictures(tmp_path / "d$x_$[old]", ("cost $5_a$", "[y]"))
    source = f"folder:{root}"
    study = Study.of(
        "s",
        {"source": source, "size": 8, "K": 2, "seeds": "0-1", "steps": 3, "learners": ["bp", "dtg_ff", "bp_deepsup"]},
    )
    store = Store(tmp_path / "s")
    run(study, store, jobs=1, device="cpu")
    assert source in cli("status", "--store", store.path)[1]
    assert cli("figure", "curves", "--store", store.path, "--out", tmp_path / "f")[0] == 0
    code, _, err = cli("figure", "k-conflict", "--store", store.path, "--out", tmp_path / "f")
    assert (code, err) == (0, "")
    code, out, _ = cli("data", "show", source, "--size", "16", "--K", "2", "--out", tmp_path / "f")
    assert code == 0
    assert "3 training images each" in out
    assert "[/y]" in cli("data", "list", "--data", tmp_path / "[/y]")[1]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("folder:/d/a b", "folder:/d/a_b"),
        ("folder:/d/a/b", "folder:/d/a_b"),
        ("folder:é", "folder:e"),
        ("a b", "a_b"),
        ("npz:x y", "npz:x.y"),
    ],
)
def test_two_sources_have_two_files(one: str, two: str) -> None:
    assert file_name(one) != file_name(two)
    assert len(file_name(f"folder:/{'x' * 500}")) < 150


def test_committed_names_of_figures_stay() -> None:
    assert file_name("cifar100/pca:32/total:2500") == "cifar100_pca_32_total_2500"
    assert file_name("dtg_ff[power=1,temperature=1]") == "dtg_ff_power_1_temperature_1"


@pytest.mark.parametrize(
    "setting",
    [{"font.family": "serif"}, {"text.usetex": True}, {"savefig.dpi": 20, "axes.grid": True}, {"svg.fonttype": "none"}],
)
def test_a_users_matplotlibrc_does_not_reach_the_figures(setting: dict[str, Any], tmp_path: Path, fill: Fill) -> None:
    result = paired(load_cube(fill(noisy())), learner="dtg_ff", baseline="bp_deepsup")
    plots.save(*plots.k_conflict(result), tmp_path / "a", "f")
    with matplotlib.rc_context(setting):
        plots.save(*plots.k_conflict(result), tmp_path / "b", "f")
    for kind in ("svg", "pdf", "png", "csv"):
        assert (tmp_path / "a" / f"f.{kind}").read_bytes() == (tmp_path / "b" / f"f.{kind}").read_bytes()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_table_never_loses_a_number(width: int, fill: Fill, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    """Where it is too wide for a terminal it becomes records; in a pipe nothing is folded."""
    from rich.console import Console

    store = fill(noisy(), learners=["bp_deepsup[lr=0.0003]", "dtg_ff[gradient=global,power=1,readout=learned]"])
    line = ["analyze", "paired", "--store", store.path, "--baseline", "bp_deepsup[lr=0.0003]"]
    piped = cli(*line)[1]
    assert "…" not in piped
    assert "dtg_ff[gradient=global,power=1,readout=learned] - bp_deepsup[lr=0.0003]" in piped
    monkeypatch.setattr(Console, "width", property(lambda self: width))
    told = cli(*line)[1]
    effect = paired(
        load_cube(store), learner="dtg_ff[gradient=global,power=1,readout=learned]", baseline="bp_deepsup[lr=0.0003]"
    )
    for K in (3, 5, 10):
        low, high = effect.ci.sel(K=K).values[:, 0]
        assert f"[{low:+.2f}, {high:+.2f}]" in told
    assert "…" not in told


def on_a_terminal(columns: int, command: list[str]) -> str:
    """What a program writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")} | {"TERM": "dumb"}
    process = subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL, env=environment)
    os.close(theirs)
    out = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(ours, 65536):
            out += part
    os.close(ours)
    assert process.wait() == 0
    return out.decode()


NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:/\d+)?%?")


@pytest.mark.parametrize("verb", ["paired", "paired --brief", "gap", "contrast", "factorial", "status"])
def test_a_terminal_shows_every_number(verb: str, fill: Fill, cli: Cli) -> None:
    """Of 40 or 80 columns, as often as a pipe, where nothing is folded: a squeezed table would cut them."""
    store: Path | Store = Path(__file__).parents[2] / "studies/results/factorial"
    if verb != "factorial":
        store = fill(noisy(), learners=["bp_deepsup", "dtg_ff", "dtg_ff[gradient=global,power=1,readout=learned]"])
    line = [
        *(["status"] if verb == "status" else ["analyze", *verb.split()]),
        "--store",
        str(getattr(store, "path", store)),
    ]
    whole = cli(*line)[1]
    wanted = Counter(NUMBER.findall(whole))
    assert wanted.total() > 5
    if verb in ("paired", "gap", "contrast"):  # the pipe itself has what a program reads
        for row in json.loads(cli(*line, "--json")[1])["rows"]:
            assert row["effect"] is None or f"{row['effect']:+.2f}" in whole
            assert row["ci_lower"] is None or f"[{row['ci_lower']:+.2f}, {row['ci_upper']:+.2f}]" in whole
    for columns in (40, 80):
        told = on_a_terminal(columns, [sys.executable, "-m", "kaxis", *line])
        assert "…" not in told
        assert wanted - Counter(NUMBER.findall(told.replace("\r\n", "\n"))) == Counter(), columns


def test_status_and_the_list_of_sets_are_whole_on_a_narrow_terminal(fill: Fill) -> None:
    store = fill(noisy(), learners=["bp_deepsup", "dtg_ff[gradient=global,readout=learned]"])
    told = on_a_terminal(50, [sys.executable, "-m", "kaxis", "status", "--store", str(store.path)])
    assert "dtg_ff[gradient=global,readout=learned]" in told
    listed = on_a_terminal(80, [sys.executable, "-m", "kaxis", "data", "list"])
    for word in ("fashion_mnist", "ImageNet's terms, by sign-up", "126,689", "DermaMNIST, colour, 28 px with a border"):
        assert word in listed
    assert "…" not in told + listed
