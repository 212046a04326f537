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

from kaxis.cli.report import counted

if TYPE_CHECKING:
    from kaxis.execute.progress import Progress

__all__ = ["estimate", "line", "progress"]

EVERY = 5.0
"""Seconds between lines of a log."""

SMALL = 3e12
"""Arithmetic that is short work on any machine of today: not worth the second of a measurement."""

SHORT = 60.0
"""Seconds of work that nobody needs an estimate of; after as many it is measured."""

ROWS = 16
"""Workers that have a line of their own on a terminal."""


def line(what: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # nobody reads on, which is no reason to stop training
        print(js.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds"), **what}), flush=True)


def _logged() -> Callable[[Progress], None]:
    """Where a run stands, a line every few seconds: in all, and what each worker is at."""
    started = time.monotonic()
    said = started

    def show(p: Progress) -> None:
        nonlocal said
        if time.monotonic() - said < EVERY:
            return
        said = time.monotonic()
        left = p.seconds_left(said - started)
        where: dict[str, int | None] = {"cells": p.cells, "cells_done": p.cells_done, "network_steps": p.network_steps}
        where |= {"network_steps_done": p.network_steps_done, "images_done": p.images_done}
        where |= {"seconds_left": None if left is None else round(left)}
        workers = {who: {"network_steps_done": done, "note": note} for who, (done, note) in p.workers.items()}
        line({**where, "note": p.note, "workers": workers})

    return show


def estimate(flops: float, jobs: int | None, device: str) -> tuple[str, float]:
    """How long that much arithmetic takes at half the rate of large products, measured here and now: in words, in
    seconds.
    """
    from kaxis.execute.provenance import cores
    from kaxis.train.precision import product_rate

    processes = jobs or len(cores())
    rate, where = product_rate(device)
    seconds = flops / (0.5 * rate * (processes if where == "cpu" else 1))
    on = f"{processes} process{'' if processes == 1 else 'es'} on the CPU" if where == "cpu" else "the GPU"
    how = f"half of {rate / 1e9:.0f} GFLOP/s each; no evaluation counted"
    return f"{flops / 1e12:.3g} TFLOP, about {_long(seconds)} with {on} ({how})", seconds


def _long(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _estimated(jobs: int | None, device: str, say: Callable[[str], None]) -> Callable[[Progress], None]:
    """How long it will take: by arithmetic before it starts, measured after the first minute; not of short work."""
    started, said = time.monotonic(), list[str]()

    def show(p: Progress) -> None:
        nonlocal started
        if not said:
            words, seconds = estimate(p.flops, jobs, device) if p.flops > SMALL else ("", 0.0)
            said.append(words)
            started = time.monotonic()
            if seconds >= SHORT:
                say(f"{counted(p.cells, 'cell')} to train: {words}")
        seconds = time.monotonic() - started
        if len(said) == 1 and seconds >= SHORT and (left := p.seconds_left(seconds)) is not None:
            said.append(f"after {_long(seconds)} of work, by its own rate: {_long(seconds + left)} in all")
            if left >= SHORT:
                say(said[1])

    return show


@contextmanager
def progress(json: bool, jobs: int | None, device: str) -> Iterator[Callable[[Progress], None]]:
    """A live line on a terminal; into a pipe two lines of long work, on how long; of a log its lines."""
    if json:
        yield _logged()
        return
    if not sys.stderr.isatty():
        yield _estimated(jobs, device, lambda words: print(words, file=sys.stderr, flush=True))
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
        say_how_long = _estimated(jobs, device, lambda words: bar.console.print(words, markup=False, highlight=False))

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
            rate = p.rate(seconds)
            left = p.seconds_left(seconds) or 0.0
            shown: dict[str, Any] = {
                "cells": f"{p.cells_done}/{p.cells} cells",
                "rate": f"{p.images_done / seconds:,.0f} img/s" if p.images_done else f"{rate:,.0f} network-steps/s",
                "note": p.note,
                "left": f"{left // 60:.0f}:{left % 60:02.0f} left" if rate else "- left",
            }
            bar.update(task, total=p.network_steps, completed=p.network_steps_done, **shown)
            say_how_long(p)
            show_workers(p, seconds)

        yield show
