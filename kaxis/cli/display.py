"""Where a run stands, as it goes: live lines on a terminal, lines of a log, or nothing."""

from __future__ import annotations

import contextlib
import json as js
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kaxis.execute.progress import Progress

__all__ = ["line", "progress"]

EVERY = 5.0
"""Seconds between lines of a log."""

ROWS = 16
"""Workers that have a line of their own on a terminal."""


def line(what: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # nobody reads on, which is no reason to stop training
        print(js.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds"), **what}), flush=True)


def _logged() -> Callable[[Progress], None]:
    """Where a run stands, a line every few seconds: in all, and what each worker is at."""
    said = [0.0]

    def show(p: Progress) -> None:
        if time.monotonic() - said[0] < EVERY:
            return
        said[0] = time.monotonic()
        where = {"cells": p.cells, "cells_done": p.cells_done, "network_steps": p.network_steps}
        where |= {"network_steps_done": p.network_steps_done, "images_done": p.images_done}
        workers = {who: {"network_steps_done": done, "note": note} for who, (done, note) in p.workers.items()}
        line({**where, "note": p.note, "workers": workers})

    return show


@contextmanager
def progress(json: bool) -> Iterator[Callable[[Progress], None]]:
    """A live line on a terminal, nothing into a pipe; of a log its lines."""
    if json:
        yield _logged()
        return
    if not sys.stderr.isatty():
        yield lambda progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.fields[cells]}"), BarColumn(), TextColumn("{task.fields[rate]}"))
    with Bar(
        *columns,
        TextColumn("{task.fields[left]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("", cells="0", rate="-", left="-", note="")
        started, at = time.monotonic(), dict[str, TaskID]()

        def show_workers(p: Progress, seconds: float) -> None:
            """A line of each of several, as many as fit."""
            for who, (done, note) in list(p.workers.items())[:ROWS] if len(p.workers) > 1 else ():
                rate = f"{done / seconds:,.0f} network-steps/s" if seconds > 0 else "-"
                if who not in at:
                    at[who] = bar.add_task("", total=p.network_steps, cells="", rate=rate, left="", note="")
                share = {"completed": done, "rate": rate}
                bar.update(at[who], total=p.network_steps, note=f"{who}  {note}", **share)

        def show(p: Progress) -> None:
            seconds = time.monotonic() - started
            rate = p.network_steps_done / seconds if seconds > 0 else 0.0
            left = (p.network_steps - p.network_steps_done) / rate if rate else 0.0
            shown: dict[str, Any] = {
                "cells": f"{p.cells_done}/{p.cells} cells",
                "rate": f"{p.images_done / seconds:,.0f} img/s" if p.images_done else f"{rate:,.0f} network-steps/s",
                "note": p.note,
                "left": f"{left // 60:.0f}:{left % 60:02.0f} left" if rate else "- left",
            }
            bar.update(task, total=p.network_steps, completed=p.network_steps_done, **shown)
            show_workers(p, seconds)

        yield show
