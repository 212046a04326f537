"""Outputs."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
import xarray as xr

from kaxis.io import whole_file, write_text
from tests.helpers import Cli, Fill, noisy, process


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "x"
    write_text(file, "before")
    with pytest.raises(RuntimeError), whole_file(file) as part:  # noqa: PT012
        part.write_text("half")
        raise RuntimeError
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(OSError, match="is a folder"):
        write_text(tmp_path, "x")


def test_an_output_goes_where_a_link_points_and_replaces_no_pipe(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    write_text(tmp_path / "link", "x")
    assert (tmp_path / "target").read_text() == "x"
    assert (tmp_path / "link").is_symlink()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        write_text(tmp_path / "pipe", "x")
    assert (tmp_path / "pipe").is_fifo()


def test_a_cube_is_replaced_while_another_reads_it(tmp_path: Path, fill: Fill, cli: Cli) -> None:
    store, file = fill(noisy()), tmp_path / "l.nc"
    assert cli("cube", "--store", store.path, "--out", file)[0] == 0
    with xr.open_dataset(file) as held:
        assert cli("cube", "--store", store.path, "--out", file)[0] == 0
        assert held.test_accuracy.notnull().all()
    with xr.open_dataset(file) as again:
        assert again.sizes["seed"] == 5


@pytest.mark.parametrize(
    "line",
    [
        "cube --out {folder}",
        "analyze paired --csv {folder}",
        "analyze paired --csv {file}/below.csv",
        "figure k-conflict --out {file}",
        "figure curves --out {file}/below",
        "data show digits --K 3 --out {file}",
        "cube --out {folder}/none/l.nc",
    ],
)
def test_an_output_that_cannot_be_written_is_one_line(line: str, tmp_path: Path, fill: Fill, cli: Cli) -> None:
    store = fill(noisy())
    (tmp_path / "file").write_text("mine")
    words = line.format(folder=tmp_path, file=tmp_path / "file").split()
    code, _, err = cli(*words, *([] if words[0] == "data" else ["--store", store.path]))
    assert code == 2
    assert err.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("line", "code", "lines"),
    [
        ("kaxis status --store {s} >&-", 0, 0),
        ("kaxis status --store {s} > /dev/full", 1, 1),
        ("kaxis analyze paired --store {s} --json > /dev/full", 1, 1),
        ("kaxis --help | true; exit ${{PIPESTATUS[0]}}", 0, 0),
        ("kaxis analyze paired --store {s} | true; exit ${{PIPESTATUS[0]}}", 0, 0),
        ("kaxis run digits --learners nope 2> /dev/full", 2, 0),
        ("kaxis run digits --learners nope 2>&-", 2, 0),
        ("kaxis run digits --K 3 --seeds 0 --steps 3 --learners bp --jobs 2 --store {s}/new 2>&-", 0, 0),
        ("kaxis run digits --K 3 --seeds 0 --steps 3 --learners bp --jobs 1 --store {s}/new >&- 2>&- <&-", 0, 0),
    ],
)
def test_outputs_that_are_closed_or_full(line: str, code: int, lines: int, fill: Fill) -> None:
    done = process(line.format(s=fill(noisy()).path))
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == lines, done.stderr
    assert "fault of kaxis" not in done.stderr


@pytest.mark.parametrize("learner", ["ü", "漢字", "naïve"])
def test_files_are_utf_8_whatever_the_locale(learner: str, tmp_path: Path) -> None:
    write_text(tmp_path / "t.csv", f"K,learner,seed,accuracy\n5,A,0,.5\n5,{learner},0,.6\n")
    done = process(
        f"kaxis analyze paired {tmp_path}/t.csv --baseline A --csv {tmp_path}/o.csv",
        env={"LC_ALL": "C", "PYTHONUTF8": "0"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    with (tmp_path / "o.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["learner"] == learner
