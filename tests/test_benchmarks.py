"""Benchmarks are run by hand; that they still measure something is seen here, at sizes that say nothing of speed."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
FILES = sorted(FOLDER.glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_what_a_benchmark_imports_is_there(file: Path) -> None:
    assert "main" in runpy.run_path(str(file), run_name="imported")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "rows"),
    [
        (
            "images.py --net vgg8 --size 16 --width 0.0625 --batch 16 --seconds 0.02 "
            "--learners bp bp_concat local_ce bp_ensemble",
            ["bp", "bp_concat", "local_ce", "bp_ensemble"],
        ),
        ("trainer.py --steps 20 --K 5 --seeds 0", ["bp + bp_ensemble", "bp_deepsup", "dtg_ff", "all, in one command"]),
        ("scale.py --records 20", ["20 records, first time", "20 records, second time"]),
    ],
    ids=["images", "trainer", "scale"],
)
def test_a_benchmark_measures_both_sides(line: str, rows: list[str]) -> None:
    file, *arguments = line.split()
    done = subprocess.run([sys.executable, FOLDER / file, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for row in rows:
        assert row in done.stdout
