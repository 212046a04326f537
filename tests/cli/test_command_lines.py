"""Command lines."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kaxis.spec.study import Study
from tests.helpers import Cli


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("run digits --seeds 0-1000000000", "1,000,000,001 numbers, 100,000 at most"),
        ("run digits --seeds 99999999999999999999", "not a whole number"),
        ("run synthetic --K 2-15000 --seeds 0-99", "1,000,000 at most"),
        ("run synthetic --K 1000000000", "can have 2 to"),
        ("run digits --width inf", "width = inf"),
        ("run digits --width 1e300", "width = 1e300"),
        ("run digits --width nan", "width = nan"),
        ("run digits --depth 1000000000", "depth = 1000000000"),
        ("run digits --steps 10000000000000", "steps = 10000000000000"),
        ("run digits --batch-size 100000000000", "batch_size"),
        ("run synthetic --n-train 100000000000", "n_train"),
        ("run digits --lr inf", "lr = inf"),
        ("run digits --jobs 100000", "--jobs 100000"),
        ("data show digits --columns 0", "--columns 0"),
        ("data show digits --columns 1000000", "--columns 1000000"),
        ("figure power --effect 1 --seeds 1000000000", "2 to 10,000"),
        ("audit --batch 1000000000000", "batch"),
        ("audit --budget 99999999999999999999GB", "budget"),
        ("run {brackets}", "nested too deeply"),
        ("run {binary}", "study file"),
        ("run {list}", "leg"),
        ("run {dots}", "nested too deeply"),
        ("run {digits}", "study file"),
        ("run {learners}", "30,000 are named"),
        ("run {plan}", "is in no sweep"),
        ("analyze coverage --tilt nan", "tilt = nan"),
        ("run {many}", "30,000 are named"),
        ("run {true}", "steps = true"),
        ("analyze coverage --draws 1000000000000", "draws = 1000000000000"),
        ("audit {brackets}", "nested too deeply"),
    ],
)
def test_immoderate_command_lines_are_one_line_at_once(line: str, says: str, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "brackets.toml").write_text("a = " + "[" * 100_000)
    (tmp_path / "binary.toml").write_bytes(b"\x00\xff" * 50)
    (tmp_path / "list.toml").write_text("source = 'digits'\nleg = [1, 2]")
    (tmp_path / "dots.toml").write_text("source = 'digits'\n" + ".".join(["K", *["a"] * 5_000]) + " = 1")
    (tmp_path / "digits.toml").write_text(f"K = {'1' * 5_000}")
    (tmp_path / "learners.toml").write_text(f"source = 'digits'\nlearners = {['bp'] * 30_000}")
    plan = ", ".join(map(str, range(20, 75_020)))
    (tmp_path / "plan.toml").write_text(f"source = 'digits'\n[plan]\nlow = [3]\nhigh = [{plan}]")
    (tmp_path / "many.toml").write_text(f"source = 'digits'\nlearners = {[f'bp[lr={i}]' for i in range(1, 30_001)]}")
    (tmp_path / "true.toml").write_text("source = 'digits'\nsteps = true")
    kinds = ("brackets", "binary", "list", "dots", "digits", "learners", "plan", "many", "true")
    names = {n: tmp_path / f"{n}.toml" for n in kinds}
    started = time.monotonic()
    code, _, err = cli(*(word.format(**names) for word in line.split()))
    assert time.monotonic() - started < 10
    assert code == 2
    assert says in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("mark", ["\ufeff", ""])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_study_file_as_editors_write_it(mark: str, end: str, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_bytes(f"{mark}source = 'digits'{end}K = 3{end}learners = ['bp']{end}".encode())
    assert len(Study.load(tmp_path / "s.toml").cells()) == 5
