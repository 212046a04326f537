"""What tests share: the command line, records made by hand, image files, kills."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from PIL import Image

from kaxis.cli import main
from kaxis.spec.cell import Cell
from kaxis.store.records import Store

ROOT = Path(__file__).parent.parent


def noisy(effect_per_lnK: float = 0.01, spread: float = 0.005) -> Callable[[Cell], float]:
    """Accuracies with a paired effect that grows by `effect_per_lnK` per unit of ln K, and a shared seed effect."""

    def accuracy(cell: Cell) -> float:
        shared = np.random.default_rng(cell.seed).normal(0, 0.02)
        own = np.random.default_rng([cell.seed, cell.K, len(cell.learner)]).normal(0, spread)
        return float(0.7 + shared + own + (effect_per_lnK * np.log(cell.K) if cell.learner == "dtg_ff" else 0.0))

    return accuracy


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


numbers = st.lists(st.floats(-50, 50, allow_nan=False).map(lambda v: round(v, 3)), min_size=3, max_size=8)


def kaxis(*arguments: str | Path) -> int:
    """Exit code of the command line, in this process."""
    with pytest.raises(SystemExit) as exit_:
        main([str(a) for a in arguments])
    return int(exit_.value.code or 0)


def records(path: Path) -> dict[str, Any]:
    """All records without their provenance."""
    return {
        json.dumps(r["config"], sort_keys=True): {k: v for k, v in r.items() if k != "provenance"}
        for r in Store(path).records()
    }


Fill = Callable[..., Store]


Cli = Callable[..., tuple[int, str, str]]


def process(line: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """A shell line in which `kaxis` is this package."""
    kaxis = f"{sys.executable} -W error -m kaxis"
    environment = {**os.environ, **options.pop("env", {})}
    return subprocess.run(
        ["bash", "-c", line.replace("kaxis ", f"{kaxis} ")],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        **options,
    )  # fmt: skip


def write_npz(path: Path, n: int = 12, K: int = 3, size: int = 16, seed: int = 0, **change: Any) -> Path:
    """A small set in MedMNIST's layout whose classes differ in colour."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, Any] = {}
    for split, count in (("train", n * K), ("val", K), ("test", n // 2 * K)):
        y = np.arange(count) % K
        x = rng.integers(0, 120, (count, size, size, 3)) + 40 * y[:, None, None, None]
        arrays |= {f"{split}_images": x.astype(np.uint8), f"{split}_labels": y[:, None].astype(np.uint8)}
    np.savez(path, **{k: v for k, v in (arrays | change).items() if v is not None})
    return path


def write_folder(root: Path, n: int = 3, test: str = "val") -> Path:
    rng = np.random.default_rng(0)
    for split in ("train", test):
        for k, name in enumerate(("ant", "bee")):
            (root / split / name).mkdir(parents=True)
            for i in range(n):
                image = Image.fromarray(rng.integers(0, 256, (40 + 8 * k, 56, 3)).astype(np.uint8))
                image.save(root / split / name / f"{i}.png")
    return root


def pictures(n: int = 5, size: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (n, size, size, 3)).astype(np.uint8))


def encoded(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()
