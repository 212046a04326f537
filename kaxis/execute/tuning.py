"""A tuned cell's record, from those of its candidates: the one that did best on the held-out samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kaxis.execute.worker import tried
from kaxis.spec.cell import Cell
from kaxis.store.records import Store

__all__ = ["choose"]


def choose(store: Store, cells: Iterable[Cell]) -> None:
    """Write the record of every tuned cell whose candidates are all trained; nothing is trained again.

    Each was trained once, without the held-out samples. The choice never sees the test set. A cell that was asked for
    by itself too, beside a tuned one that has it as a candidate, has the candidate's record.
    """
    beside = tried(store)
    for cell in cells:
        records = [beside.read(candidate) for candidate in cell.candidates or (cell,)]
        whole = [record for record in records if record is not None]
        if len(whole) == len(records):
            store.write(cell, _chosen(cell, whole) if cell.candidates else _without(whole[0], "config"))


def _chosen(cell: Cell, records: list[dict[str, Any]]) -> dict[str, Any]:
    done = [r for r in records if r["status"] == "done"]
    # The larger held-out accuracy, then the smaller loss, then the earlier in the grid.
    best = max(done, key=lambda r: (r["metrics"]["held_accuracy"], -r["metrics"]["held_loss"]), default=records[0])
    reason = "" if done else f"no candidate trained to its end, the first: {records[0]['reason']}"
    tuning = {
        "chosen": best["config"]["learner"]["name"] if done else None,
        "tried": [_tried(candidate, record) for candidate, record in zip(cell.candidates, records, strict=True)],
    }
    rest = _without(best, "config", "status", "reason")
    return {"status": "done" if done else "failed", "reason": reason, **rest, "tuning": tuning}


def _without(record: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {k: v for k, v in record.items() if k not in keys}


def _tried(candidate: Cell, record: Mapping[str, Any]) -> dict[str, Any]:
    held = {k: record["metrics"].get(k) for k in ("held_accuracy", "held_loss")}
    return {"learner": candidate.learner, "id": candidate.id, "status": record["status"], **held}
