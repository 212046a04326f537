"""What surrounds every test, and a small store."""

from __future__ import annotations

import os

# Before torch and numpy are read: two processes of tests whose threads wait for each other take ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from kaxis.cli import main
from kaxis.spec.cell import Cell
from kaxis.spec.learners import TABLE
from kaxis.spec.rules import RULES
from kaxis.spec.sweep import Sweep
from kaxis.store.records import Store
from tests.helpers import fake_result

os.environ.setdefault("MPLBACKEND", "agg")


settings.register_profile("kaxis", deadline=None)  # a busy machine is no fault


settings.load_profile("kaxis")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No store, data or cache of the person who runs the tests."""
    for name in ("KAXIS_STORE", "KAXIS_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _own_table() -> Iterator[None]:
    """Learners that a test adds are gone after it."""
    table, rules = dict(TABLE), dict(RULES)
    yield
    for now, before in ((TABLE, table), (RULES, rules)):
        now.clear()
        now.update(before)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, str], str], Path]]:
    """Install a package of these files with these entry points; returns its folder. Its modules are forgotten after
    the test.
    """
    site, there = tmp_path / "site", set(sys.modules)

    def _install(files: dict[str, str], points: str) -> Path:
        about = site / "toys-1.0.dist-info"
        about.mkdir(parents=True)
        for name, code in files.items():
            (site / name).write_text(code)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(points)
        monkeypatch.syspath_prepend(str(site))
        return site

    yield _install
    for name in set(sys.modules) - there:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(site)):
            del sys.modules[name]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command line in this process: exit code, stdout, stderr."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            main([str(a) for a in arguments])
        return int(exit_.value.code or 0), *capsys.readouterr()

    return run


@pytest.fixture
def fill(tmp_path: Path) -> Callable[..., Store]:
    """Write cells whose test accuracy is a function of (K, learner, seed) into a store; None leaves a cell out."""

    def _fill(accuracy: Callable[[Cell], float | str | None], path: Path = tmp_path / "store", **options: Any) -> Store:
        store = Store(path)
        store.prepare()
        for cell in Sweep.of(
            {"source": "digits", "K": "3 5 10", "seeds": "0-4", "learners": ["bp_deepsup", "dtg_ff"], **options}
        ).cells():
            value = accuracy(cell)
            if isinstance(value, str):
                store.write(cell, fake_result(0, 0, status=value))
            elif value is not None:
                store.write(cell, fake_result(min(1.0, value + 0.1), value))
        return store

    return _fill
