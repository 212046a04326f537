"""Records made by hand and a small store, shared by the tests."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from kaxis.cli import main
from kaxis.spec.cell import Cell
from kaxis.spec.learners import TABLE
from kaxis.spec.rules import RULES
from kaxis.spec.sweep import Sweep
from kaxis.store.records import Store

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


def killed_twice(command: list[str], checkpoints: Path, environment: dict[str, str]) -> None:
    """Run a program and kill it with SIGKILL when it has written a checkpoint; and once more, when it has gone on from
    there.
    """
    for _ in range(2):
        state = {f: f.stat().st_mtime_ns for f in checkpoints.glob("*.pt")}
        process = subprocess.Popen(command, env=environment)
        deadline = time.monotonic() + 120
        while {f: f.stat().st_mtime_ns for f in checkpoints.glob("*.pt")} == state:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
        process.wait()


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command line in this process: exit code, stdout, stderr."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            main([str(a) for a in arguments])
        return int(exit_.value.code or 0), *capsys.readouterr()

    return run


def fake_result(train: float, test: float, status: str = "done", chance: float = 0.2) -> dict[str, Any]:
    """What a trained cell leaves, with these accuracies."""
    done = status == "done"
    metrics = {
        "train_accuracy": train,
        "train_loss": 0.1,
        "test_accuracy": test,
        "test_loss": 0.2,
        "layer_test_accuracy": [test],
    }
    curves = {
        "step": [0, 10],
        "train_accuracy": [0.1, train],
        "test_accuracy": [0.1, test],
        "train_loss": [1, 0.1],
        "test_loss": [1, 0.2],
    }
    return {
        "status": status,
        "reason": "" if done else "diverged: training loss inf at step 10",
        "metrics": metrics if done else {},
        "curves": curves if done else {k: [] for k in curves},
        "data": {
            "n_train": 10,
            "n_test": 10,
            "chance": chance,
            "largest_class_share": 0.3,
            "effective_classes": 3.0,
            "epochs": 1.0,
        },
        "counts": {"parameters": 1, "buffers": 0, "flops_step": 1, "flops_predict": 1},
        "provenance": {"finished": "2026-01-02T00:00:00+00:00"},
    }


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


def noisy(effect_per_lnK: float = 0.01, spread: float = 0.005) -> Callable[[Cell], float]:
    """Accuracies with a paired effect that grows by `effect_per_lnK` per unit of ln K, and a shared seed effect."""

    def accuracy(cell: Cell) -> float:
        shared = np.random.default_rng(cell.seed).normal(0, 0.02)
        own = np.random.default_rng([cell.seed, cell.K, len(cell.learner)]).normal(0, spread)
        return float(0.7 + shared + own + (effect_per_lnK * np.log(cell.K) if cell.learner == "dtg_ff" else 0.0))

    return accuracy
