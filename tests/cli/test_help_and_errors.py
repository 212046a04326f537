"""Help and errors."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App

from kaxis.cli import app
from tests.helpers import kaxis

VERBS = ["run", "status", "cube", "analyze paired", "analyze contrast", "analyze slope", "analyze gap"]


VERBS += [
    f"analyze {v}"
    for v in ("layers", "rankings", "conflict", "differential", "equivalence", "power", "coverage", "reproduction")
]


VERBS += [f"figure {v}" for v in ("band", "factorial", "power", "coverage")]


VERBS += ["figure k-conflict", "figure paired", "figure curves", "data list", "data get", "data check", "data show"]


VERBS += ["audit", "audit locality", "diagnose", "learners", "report"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verbs_help_shows_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert kaxis(*verb.split(), "--help") == 0
    out = capsys.readouterr().out
    assert f"Example: kaxis {verb}" in " ".join(out.split())


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, kaxis.cli\n"
        "try: kaxis.cli.main(['run', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'scipy', 'xarray', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


BAD = [
    ("run synthetic --K 1", "K = 1"),
    ("run synthetic --K 0", "K = 0"),
    ("run synthetic --K -3", "K = -3"),
    ("run digits --K 11", "2 to 10 classes"),
    ("run digits --K", "--K needs a value"),
    ("run digits --seeds 4-0", "write 0-4"),
    ("run digits --seeds 0 0", "0 is given twice"),
    ("run digits --learners dtgff", "did you mean 'dtg_ff'"),
    ("run digitz", "did you mean 'digits'"),
    ("run digits --stepz 3", "Did you mean --steps"),
    ("rum digits", 'Did you mean "run"'),
    ("run digits --steps 0", "steps = 0"),
    ("run digits --jobs 0", "--jobs 0"),
    ("run digits --device tpu", "tpu"),
    ("run nosuch.toml", "nosuch.toml"),
    ("run digits --store {file}", "is a file"),
    ("run digits --store {file}/below", "cannot be written"),
    ("run cifar100 --K 5 --data {cifar}", "bytes, the official file has"),
    ("run {toml}", "did you mean 'steps'"),
    ("run {sweeps}", "did you mean 'sweep'"),
    ("learners --rules {none}/rule.py", "No such file"),
    ("analyze paired --store {none}", "no store at"),
    ("analyze paird", 'Did you mean "paired"'),
    ("status --store {none}", "no store at"),
    ("cube --where K", "write key=value"),
    ("figure paired --store {none}", "no store at"),
    ("data get cifar", "did you mean 'cifar1"),
]


@pytest.mark.parametrize(("line", "message"), BAD, ids=[line for line, _ in BAD])
def test_bad_input_is_one_line_and_exit_2(
    line: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "s.toml").write_text("source = 'digits'\nstepz = 3")
    (tmp_path / "t.toml").write_text("source = 'digits'\n[[sweeps]]\nK = 3")
    (tmp_path / "cifar" / "cifar-100-binary").mkdir(parents=True)
    for name in ("train.bin", "test.bin"):
        (tmp_path / "cifar" / "cifar-100-binary" / name).write_bytes(b"short")
    places = {
        "file": tmp_path / "file",
        "none": tmp_path / "none",
        "cifar": tmp_path / "cifar",
        "toml": tmp_path / "s.toml",
        "sweeps": tmp_path / "t.toml",
    }
    assert kaxis(*line.format(**places).split()) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_store_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tmp_path.chmod(0o500)
    assert kaxis("run", "digits", "--store", tmp_path / "s") == 2
    assert "cannot be written" in capsys.readouterr().err


def test_debug_shows_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert kaxis("run", "digits", "--K", "99", "--debug") == 2
    assert "Traceback" in capsys.readouterr().err


def _leaves(group: App, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name in (n for n in group if not n.startswith("-")):
        below = list(_leaves(group[name], (*path, name)))
        yield from below
        if group[name].default_command is not None or not below:
            yield *path, name


@pytest.mark.parametrize("verb", [" ".join(path) for path in _leaves(app)])
def test_every_option_is_said_in_words(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert kaxis(*verb.split(), "--help") == 0
    rows: list[str] = []
    for line in capsys.readouterr().out.splitlines():
        if not (inside := re.fullmatch(r"│ (.*) │", line)) or inside[1].strip().startswith("--no-"):
            continue
        if re.match(r"\*? *(--?[\w-]+|[A-Z]+) ", inside[1]) or not rows:
            rows.append(inside[1])
        else:
            rows[-1] += inside[1]
    assert rows
    for row in rows:
        words = re.sub(r"\[[^]]*\]", "", row)  # defaults and choices
        words = re.sub(r"--[\w-]+|(?<![a-z])-\w\b|\b[A-Z|]+\b(\.\.\.)?", "", words)
        assert re.search("[a-z]{2}", words), f"{verb}: {row}"
