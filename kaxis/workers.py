"""One stack in one process, and many processes on one queue of stacks."""

from __future__ import annotations

import multiprocessing
import os
import platform
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import resource_tracker
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

from kaxis.cell import Cell
from kaxis.errors import KaxisError
from kaxis.measure.profile import Profile, profiler
from kaxis.rules import RuleError, load_rules
from kaxis.sources.lookup import n_classes, source_info
from kaxis.store.records import Store
from kaxis.train.schedule import step_count

__all__ = ["Job", "Progress", "in_processes", "provenance", "steps_of", "work"]


@dataclass
class Progress:
    """Where a run stands, for whoever draws it."""

    cells: int
    cells_done: int = 0
    network_steps: int = 0
    network_steps_done: int = 0
    images_done: int = 0
    note: str = ""

    def advance(self, network_steps: int, images: int, note: str) -> None:
        self.network_steps_done += network_steps
        self.images_done += images
        self.note = note or self.note


@dataclass(frozen=True)
class Job:
    """What every stack of a run has in common."""

    store: Path
    device: str
    data: Path | None
    force: bool
    provenance: dict[str, Any]
    keep_every: float
    rules: tuple[str, ...] = ()
    weights: bool = False
    profile: Profile | None = None

    def lacks(self, store: Store, cell: Cell) -> bool:
        """Whether the cell is still to be trained."""
        record = None if self.force else store.read(cell)
        if record is None:
            return True
        return self.weights and record["status"] == "done" and not store.weights(cell).exists()


def work(job: Job, stack: list[Cell], tick: Callable[[int, int, str], None]) -> int:
    """Train a stack and keep its records; returns the number of cells. Cells that another run finished meanwhile are skipped."""
    import torch

    from kaxis.train.keep import Kept
    from kaxis.train.loop import networks_of, train
    from kaxis.train.result import Result

    load_rules(job.rules)  # a worker starts with the package's own table
    store = Store(job.store)
    todo = [cell for cell in stack if job.lacks(store, cell)]
    if spared := len(networks_of(stack)) - len(networks_of(todo)):
        tick(spared * steps_of(stack[0]), 0, "")
    if not todo:
        return len(stack)
    started = time.monotonic()
    keep = job.store / "checkpoints"
    if job.force:
        Kept(keep, 0).forget(todo)
        for cell in todo if not job.weights else ():
            store.weights(cell).unlink(missing_ok=True)  # of an earlier training
    try:
        with profiler(job.profile, job.device) as after_step:
            results, backend = train(
                todo,
                data=job.data,
                device=job.device,
                tick=tick,
                keep=keep,
                keep_every=job.keep_every,
                made_by=job.provenance,
                weights=store.weights if job.weights else None,
                after_step=after_step,
            )
    except RuleError as error:  # its author's to mend; the other learners' cells go on
        results, backend = [Result(cell, []).refused(str(error)) for cell in todo], ""
    seconds = time.monotonic() - started
    for cell, result in zip(todo, results, strict=True):
        own = {
            "backend": backend,
            "torch_deterministic": torch.are_deterministic_algorithms_enabled(),
            "stack_cells": len(todo),
            "stack_seconds": round(seconds, 3),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        store.write(cell, {**result, "provenance": {**job.provenance, **own}})
    Kept(keep, 0).forget(todo)
    return len(stack)


def steps_of(cell: Cell) -> int:
    """Optimizer steps of a cell; where epochs are asked for, from the catalogued number of images (for progress alone)."""
    source = cell.config["source"]
    info = source_info(source["name"])
    if not info.real:
        images = (source.get("per_class") or 0) * cell.K or source["n_train"]
    else:
        views = n_classes(source["name"], source.get("labels", "fine")) or cell.K
        images = source.get("train_total") or (
            source["per_class"] * cell.K if source.get("per_class") else info.train * cell.K / views
        )
        images *= 1 - source.get("holdout", 0)
    return step_count(cell.config["train"], images)


def provenance(device: str) -> dict[str, Any]:
    import torch

    gpu = {"gpu": torch.cuda.get_device_name()} if device == "cuda" else {}
    packages = {name: version(name) for name in ("kaxis", "torch", "numpy", "scikit-learn")}
    return {
        "versions": {"python": platform.python_version(), **packages},
        "git": _git(),
        "device": device,
        **gpu,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": 1,
    }


def _git() -> dict[str, Any]:
    """Commit of the checkout that holds this package, and whether it has uncommitted changes; empty elsewhere."""
    package = Path(__file__).parent

    def git(*args: str) -> str:
        return subprocess.run(
            ["git", "-C", str(package), *args], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "execute.py")
        return {
            "commit": git("rev-parse", "HEAD"),
            "dirty": bool(git("status", "--porcelain", "--untracked-files=no", ".")),
        }
    except (OSError, subprocess.CalledProcessError):
        return {}


# ---- many processes ------------------------------------------------------------------------------------------------

_ticks: Any = None  # the pipe to the parent, set once in each worker


def _start_worker(ticks: Any) -> None:
    global _ticks
    _ticks = ticks
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # the parent decides
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    warnings.filterwarnings("ignore", message=".*(is not the official|: left out:)")  # the parent has said so
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        wait_for([parent.sentinel])
        os._exit(1)  # a killed parent leaves no orphans behind

    threading.Thread(target=follow, daemon=True).start()
    from kaxis.train.precision import reuse_memory

    reuse_memory()


def _work_in_worker(job: Job, stack: list[Cell]) -> int:
    return work(job, stack, lambda *done: _ticks.put(done))


def _track_resources() -> None:
    """Start the process that removes semaphores after us, deaf to a terminal that closes: it has to outlive this one."""
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is None or threading.current_thread() is not threading.main_thread():
        return
    before = signal.signal(hangup, signal.SIG_IGN)
    resource_tracker.ensure_running()
    signal.signal(hangup, before)


def in_processes(
    job: Job, stacks: list[list[Cell]], jobs: int, progress: Progress, on_progress: Callable[[Progress], None]
) -> None:
    context = multiprocessing.get_context("spawn")
    _track_resources()
    ticks = context.SimpleQueue()
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker, initargs=(ticks,))
    pending: set[Future[int]] = {pool.submit(_work_in_worker, job, stack) for stack in stacks}
    try:
        while pending:
            done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
            progress.cells_done += sum(future.result() for future in done)
            while not ticks.empty():
                progress.advance(*ticks.get())
            on_progress(progress)
    except BrokenProcessPool:
        raise KaxisError(
            "a worker process ended early: killed, out of memory (fewer --jobs, a smaller --batch-size), or started from a script without an "
            "`if __name__ == '__main__':` guard; run it again to go on",
            exit_code=1,
        ) from None
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.kill()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
