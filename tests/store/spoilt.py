"""What several tests make by hand."""

from __future__ import annotations

from pathlib import Path

from kaxis.spec.cell import Cell
from kaxis.spec.sweep import Sweep
from kaxis.store.records import Store

AB = {"learner": "dtg_ff", "baseline": "bp_deepsup"}


def the_cell(K: int = 3, seed: int = 0) -> Cell:
    return Sweep.of({"source": "digits", "K": K, "seeds": seed, "learners": ["dtg_ff"]}).cells()[0]


def record_file(store: Store, cell: Cell) -> Path:
    return store.path / "cells" / f"{cell.id}.json"
