"""Run a study: cells into stacks, stacks onto processes, records into the store."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

from kaxis.errors import KaxisError
from kaxis.sources.catalog import CATALOG
from kaxis.store.records import Store
from kaxis.study import Cell, Study

__all__ = ["Progress", "Summary", "cores", "run", "stacks_of"]

STACK = 5
"""Networks trained side by side on a CPU: enough to fill a product, few enough to stay in cache (`benchmarks/`)."""


@dataclass
class Progress:
    """Where a run stands, for whoever draws it."""

    cells: int
    cells_done: int = 0
    network_steps: int = 0
    network_steps_done: int = 0


@dataclass(frozen=True)
class Summary:
    """What a run did: cells asked for, finished before, finished now, failed (in all)."""

    asked: int
    found: int
    trained: int
    failed: tuple[str, ...]
    seconds: float


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def stacks_of(cells: Sequence[Cell], limit: int) -> list[list[Cell]]:
    """Cells that are trained alike, in groups of at most `limit` networks (a cell's members stay together), dearest first."""
    alike: dict[str, list[Cell]] = {}
    for cell in cells:
        learner = {k: v for k, v in cell.config["learner"].items() if k not in ("name", "inference", "members")}
        alike.setdefault(json.dumps({**cell.config, "seed": None, "learner": learner}, sort_keys=True), []).append(cell)
    stacks = []
    for group in alike.values():
        by_seed: dict[int, list[Cell]] = {}
        for cell in group:
            by_seed.setdefault(cell.seed, []).append(cell)
        stack: list[Cell] = []
        for same_seed in by_seed.values():
            if stack and _networks([*stack, *same_seed]) > limit:
                stacks.append(stack)
                stack = []
            stack = [*stack, *same_seed]
        stacks.append(stack)
    return sorted(stacks, key=_cost, reverse=True)


def _networks(cells: Sequence[Cell]) -> int:
    return sum({c.seed: max(d.config["learner"]["members"] for d in cells if d.seed == c.seed) for c in cells}.values())


def _cost(cells: Sequence[Cell]) -> float:
    """Network-steps weighted by the size of the heads: good enough to put long stacks first."""
    config = cells[0].config
    heads = config["net"]["depth"] if config["learner"]["heads"] == "every" else 1
    return _networks(cells) * config["train"]["steps"] * (2 * config["net"]["width"] + heads * cells[0].K)


def run(
    study: Study,
    store: Store,
    *,
    jobs: int | None = None,
    device: str = "auto",
    data: Path | None = None,
    force: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Summary:
    """Train every cell that the store lacks; what is finished is never done again unless forced.

    Parameters
    ----------
    study : Study
    store : Store
    jobs : int, optional
        Processes, one thread each; by default one a core on a CPU, one on a GPU.
    device : {"auto", "cpu", "cuda"}
    data : Path, optional
        Folder of image files.
    force : bool
        Train finished cells again.
    on_progress : callable
        Called several times a second with a `Progress`.

    Returns
    -------
    Summary

    Raises
    ------
    KaxisError
        For what the user can mend: data, device, store. Cells finished by then stay finished.
    """
    started = time.monotonic()
    device = _device(device)
    store.prepare()
    _prepare_sources(study, data)
    store.note_study(study)
    cells = study.cells()
    wanted = [cell for cell in cells if force or not store.has(cell)]
    stacks = stacks_of(wanted, STACK if device == "cpu" else 1024)
    progress = Progress(len(wanted), network_steps=sum(_networks(s) * s[0].config["train"]["steps"] for s in stacks))
    jobs = min(len(stacks), jobs or (cores() if device == "cpu" else 1))
    job = _Job(store.path, device, data, force, _provenance(device))

    if jobs == 1:

        def tick(network_steps: int) -> None:
            progress.network_steps_done += network_steps
            on_progress(progress)

        for stack in stacks:
            progress.cells_done += _work(job, stack, tick)
            on_progress(progress)
    elif jobs:
        _in_processes(job, stacks, jobs, progress, on_progress)
    failed = tuple(_failures(store, cells))
    return Summary(len(cells), len(cells) - len(wanted), len(wanted), failed, time.monotonic() - started)


def _device(name: str) -> str:
    if name == "cpu":
        return name
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise KaxisError("device cuda: this machine or this build of torch has no CUDA; use cpu")
    return "cuda" if torch.cuda.is_available() else "cpu"


def _prepare_sources(study: Study, data: Path | None) -> None:
    """Read files and fit features once, before processes start, so that their errors come early and once."""
    from kaxis.sources import prepare
    from kaxis.sources.images import data_dir

    for name, kind in {(leg.source, leg.features) for leg in study.legs if CATALOG[leg.source].real}:
        prepare(name, kind, data_dir(data))


def _failures(store: Store, cells: Sequence[Cell]) -> list[str]:
    asked = {cell.id: cell for cell in cells}
    found = ((Cell(r["config"]), r) for r in store.records() if r["status"] == "failed")
    return [f"{cell}: {r['reason']}" for cell, r in found if cell.id in asked]


# ---- one process ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Job:
    """What every stack of a run has in common."""

    store: Path
    device: str
    data: Path | None
    force: bool
    provenance: dict[str, Any]


def _work(job: _Job, stack: list[Cell], tick: Callable[[int], None]) -> int:
    """Train a stack and keep its records; returns the number of cells. Cells that another run finished meanwhile are skipped."""
    import torch

    from kaxis.train.loop import networks_of, train

    store = Store(job.store)
    todo = [cell for cell in stack if job.force or not store.has(cell)]
    steps = stack[0].config["train"]["steps"]
    if spared := len(networks_of(stack)) - len(networks_of(todo)):
        tick(spared * steps)
    if not todo:
        return len(stack)
    started = time.monotonic()
    results, backend = train(todo, data=job.data, device=job.device, tick=tick)
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
    return len(stack)


def _provenance(device: str) -> dict[str, Any]:
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
        return subprocess.run(["git", "-C", str(package), *args], capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "execute.py")
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no", "."))}
    except (OSError, subprocess.CalledProcessError):
        return {}


# ---- many processes ------------------------------------------------------------------------------------------------

_ticks: Any = None  # the pipe to the parent, set once in each worker


def _start_worker(ticks: Any) -> None:
    global _ticks
    _ticks = ticks
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        wait_for([parent.sentinel])
        os._exit(1)  # a killed parent leaves no orphans behind

    threading.Thread(target=follow, daemon=True).start()


def _work_in_worker(job: _Job, stack: list[Cell]) -> int:
    return _work(job, stack, _ticks.put)


def _in_processes(
    job: _Job, stacks: list[list[Cell]], jobs: int, progress: Progress, on_progress: Callable[[Progress], None]
) -> None:
    context = multiprocessing.get_context("spawn")
    ticks = context.SimpleQueue()
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker, initargs=(ticks,))
    pending: set[Future[int]] = {pool.submit(_work_in_worker, job, stack) for stack in stacks}
    try:
        while pending:
            done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
            progress.cells_done += sum(future.result() for future in done)
            while not ticks.empty():
                progress.network_steps_done += ticks.get()
            on_progress(progress)
    except BrokenProcessPool:
        raise KaxisError("a worker process was killed (out of memory?); run the same command again to go on", exit_code=1) from None
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
