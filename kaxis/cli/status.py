"""``kaxis status``: what was asked for, and how far it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from kaxis.cli.common import Json, StorePath, existing_store
from kaxis.cli.report import console, show_table

__all__ = ["status"]


def status(*, store: StorePath = None, json: Json = False) -> int:
    """Done, failed, missing and damaged cells of every study that was asked for, and why the failed ones failed.

    Example: kaxis status --store runs
    """
    from kaxis.spec.cell import Cell

    place = existing_store(store)
    records = {Cell(r["config"]).id: r for r in place.records(curves=False, outcomes=False)}
    problems = list(place.problems)
    there = {str(Cell(r["config"])) for r in records.values()}
    done = {str(Cell(r["config"])): _finished(r) for r in records.values() if r["status"] == "done"}
    wanted = {cell.id: cell for study, _ in place.studies() for cell in study.cells()}
    problems += [p for p in place.problems if p not in problems]
    # A rule's file is not read here, so its cells are known by their place alone.
    wanted = {key: c for key, c in wanted.items() if not c.unknown_code or str(c) not in there}
    wanted |= {key: Cell(r["config"]) for key, r in records.items()}
    wanted |= {key: damaged.cell for key, damaged in place.damaged.items() if damaged.cell is not None}
    counts: Counter[tuple[str, str, str]] = Counter()
    failures = {}
    for key, cell in wanted.items():
        state = records[key]["status"] if key in records else "damaged" if key in place.damaged else "missing"
        if state == "failed" and done.get(str(cell), "") > _finished(records[key]):
            continue  # under other settings, or by an older file of rules, and done since: history
        counts[cell.source, cell.learner, state] += 1
        if state == "failed":
            failures[str(cell)] = records[key]["reason"]
    if json:
        import json as js

        rows = [{"source": s, "learner": n, "status": state, "cells": c} for (s, n, state), c in sorted(counts.items())]
        print(js.dumps({"rows": rows, "failed": failures, "problems": problems}, indent=1))
        return 0
    states = [s for s in ("done", "failed", "missing", "damaged") if s != "damaged" or any(k[2] == s for k in counts)]
    rows_of = dict.fromkeys((s, n) for s, n, _ in counts)
    cells = [[s, n, *(str(counts[s, n, state] or "") for state in states)] for s, n in rows_of]
    show_table(f"cells in {place.path}", ["source", "learner", *states], cells)
    out = console()
    for name, reason in failures.items():
        out.print(f"failed: {name}: {reason}")
    for problem in problems:
        out.print(f"skipped: {problem}")
    return 0


def _finished(record: Mapping[str, Any]) -> str:
    return str(record["provenance"].get("finished", ""))
