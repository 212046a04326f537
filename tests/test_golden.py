"""No number moves by accident: the id of every committed record, and what a small cell of every kind ends with.

Ids must be equal. Numbers are compared bit for bit on the machine that wrote them (its processor and torch are part of
the file) and to rounding elsewhere, where libraries pick other kernels. ``python -m tests.test_golden`` writes the file
anew, after a change that is meant to move them.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from kaxis.spec.cell import Cell
from kaxis.spec.rules import load_rules
from kaxis.spec.study import Study
from kaxis.store.records import Store
from kaxis.train.loop import train
from tests.helpers import write_npz

ROOT = Path(__file__).parent.parent
FILE = Path(__file__).parent / "golden.json"
STORES = sorted(p.parent for p in (ROOT / "studies/results").glob("*/cells"))
CODE_OF_THEN = Counter(ff=10, ff_bn=10)
"""Cells of the ladder whose learner is code that has changed since: their ids hold its hash, which a study does not
keep.
"""

MLP = {"source": "digits", "K": 5, "steps": 60, "width": 32, "seeds": 1}
CONV = {"net": "vgg8", "width": 0.03, "epochs": 2, "batch_size": 16, "lr": 0.01, "seeds": 0}
KINDS: dict[str, dict[str, Any]] = {
    "mlp": {**MLP, "learners": ["bp", "bp_ensemble", "bp_deepsup", "dtg_ff", "local_ce"]},
    "mlp, normalised": {**MLP, "learners": ["dtg_ff[norm=layernorm]", "bp_deepsup[norm=rmsnorm]"], "clip": 1.0},
    "ladder": {**MLP, "learners": ["ff", "ff_margin", "ff_hybrid_bn"]},
    "custom": {**MLP, "rules": ["docs/predsim.py"], "learners": ["predsim"]},
    "synthetic": {
        **MLP,
        "source": "synthetic",
        "n_train": 500,
        "n_test": 200,
        "learners": ["dtg_ff"],
        "label_noise": 0.1,
    },
    "conv": {**CONV, "learners": ["bp", "bp_ensemble", "bp_deepsup", "bp_concat", "dtg_ff", "local_ce"]},
    "conv, plain": {**CONV, "kernels": "plain", "learners": ["bp_deepsup", "dtg_ff"]},
    "conv, best": {**CONV, "select": "best", "holdout": 0.2, "accumulate": 2, "learners": ["dtg_ff[inference=concat]"]},
}


@pytest.mark.parametrize("store", STORES, ids=lambda s: s.name)
def test_the_id_of_every_committed_record_comes_from_its_study(store: Path) -> None:
    load_rules([str(ROOT / "docs/predsim.py")])  # a study does not keep the hash of a file of rules
    here = Store(store)
    asked = {cell.id for study, _ in here.studies() for cell in study.cells()}
    assert not here.problems
    strangers: Counter[str] = Counter()
    for file in (store / "cells").glob("*.json"):
        cell = Cell(json.loads(file.read_text("utf-8"))["config"])
        assert cell.id == file.stem
        if cell.id not in asked:
            strangers[cell.learner.partition("[")[0]] += 1
    assert strangers == (CODE_OF_THEN if store.name == "ladder" else Counter())


def machine() -> str:
    """Processor and torch: with another of either, libraries may sum in another order."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    first = sorted(
        x for x in dict.fromkeys(lines) if x.startswith(("model", "flags", "cpu family", "stepping", "cache"))
    )
    text = "\n".join([torch.__version__, torch.backends.cpu.get_cpu_capability(), *first])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def numbers(kind: str, folder: Path) -> dict[str, dict[str, Any]]:
    options = dict(KINDS[kind])
    if "rules" in options:
        load_rules(options["rules"])
    if "net" in options:
        options["source"] = f"npz:{write_npz(folder / 'x.npz')}"
    cells = Study.of(kind, options).cells()
    return {cell.learner: train([cell])[0][0]["metrics"] for cell in cells}


@pytest.mark.parametrize("kind", KINDS)
def test_small_cells_end_as_they_did(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    kept = json.loads(FILE.read_text("utf-8"))
    now = json.loads(json.dumps(numbers(kind, tmp_path)))
    if kept["machine"] == machine():
        assert now == kept["metrics"][kind]
    for learner, metrics in kept["metrics"][kind].items():
        assert now[learner].keys() == metrics.keys()
        for split in ("train", "test"):
            assert now[learner][f"{split}_loss"] == pytest.approx(metrics[f"{split}_loss"], rel=0.05)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        found = {kind: numbers(kind, Path(name)) for kind in KINDS}
    FILE.write_text(json.dumps({"machine": machine(), "metrics": found}, indent=1) + "\n", "utf-8")
