"""Run a study: cells into stacks, stacks onto processes, records into the store."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kaxis.cell import Cell
from kaxis.errors import KaxisError
from kaxis.learners import TABLE
from kaxis.measure.profile import WAIT, Profile
from kaxis.nets.plan import conv_counts, counts
from kaxis.sources.catalog import set_name
from kaxis.sources.lookup import source_info
from kaxis.store.records import Store
from kaxis.study import Study
from kaxis.workers import Job, Progress, in_processes, provenance, steps_of, work

__all__ = ["Progress", "Summary", "cores", "device_of", "flops", "run", "stacks_of"]

STACK = 5
"""Networks trained side by side on a CPU: enough to fill a product, few enough to stay in cache (`benchmarks/`)."""


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
        # Epochs are steps only once the seed's images are counted; a conv net's seed fills a core by itself; a rule is one module.
        together = cell.config["net"]["name"] == "mlp" and "steps" in cell.config["train"] and "rule" not in learner
        key = {**cell.config, "seed": None if together else cell.seed, "learner": learner}
        alike.setdefault(json.dumps(key, sort_keys=True), []).append(cell)
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
    """Multiply-adds of a stack, near enough to put long ones first."""
    cell = max(cells, key=lambda c: c.config["learner"]["members"])
    return flops(cell) / cell.config["learner"]["members"] * _networks(cells)


def flops(cell: Cell) -> float:
    """Arithmetic of training a cell, from its configuration alone."""
    config = cell.config
    shape: dict[str, Any] = {"K": cell.K, "batch": config["train"]["batch_size"], "learner": config["learner"]}
    if config["net"]["name"] == "mlp":
        source = config["source"]
        kind = source.get("features", "")
        info = source_info(source["name"])
        pixels = (source.get("size") or info.size or 0) ** 2 * info.channels
        inputs = source.get("input_dim") or (int(kind[4:]) if kind.startswith("pca:") else pixels)
        net = {k: config["net"][k] for k in ("width", "depth")}
        if "rule" in config["learner"]:  # what it costs is its own affair: as backprop with a head on every layer
            shape["learner"] = TABLE["bp_deepsup"].switches()
        return counts(**shape, **net, inputs=inputs)["flops_step"] * steps_of(cell)
    size = config["source"].get("size") or source_info(config["source"]["name"]).size or 224
    return conv_counts(**shape, net=config["net"], size=size)["flops_step"] * steps_of(cell)


def run(
    study: Study,
    store: Store,
    *,
    jobs: int | None = None,
    device: str = "auto",
    data: Path | None = None,
    force: bool = False,
    weights: bool = False,
    profile: Profile | None = None,
    keep_every: float = 60.0,
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
    weights : bool
        Keep what every cell's networks predict with after the last step; finished cells without are trained again.
    profile : Profile, optional
        Trace a few steps of the dearest stack; everything is trained in this process then.
    keep_every : float
        Seconds between checkpoints of a conv net's training.
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
    device = device_of(device)
    store.prepare(weights=weights)
    checksums = _prepare_sources(study, data)
    cells = study.cells()
    if weights and (best := [cell for cell in cells if cell.config["train"].get("select") == "best"]):
        raise KaxisError(f"weights: {best[0]} reports its best step (select = best), whose weights are not kept")
    rules = tuple(dict.fromkeys(file for leg in study.legs for file in leg.rules))
    job = Job(store.path, device, data, force, provenance(device), keep_every, rules, weights, profile)
    wanted = [cell for cell in cells if force or not _finished(cell, store, checksums) or job.lacks(store, cell)]
    store.note_study(study)
    stacks = stacks_of(wanted, STACK if device == "cpu" else 1024)
    if profile and stacks and steps_of(stacks[0][0]) <= WAIT:
        raise KaxisError(f"profile: {stacks[0][0]} has {steps_of(stacks[0][0])} steps; more than {WAIT} are needed")
    progress = Progress(len(wanted), network_steps=sum(_networks(s) * steps_of(s[0]) for s in stacks))
    jobs = min(len(stacks), 1 if profile else jobs or (cores() if device == "cpu" else 1))

    if jobs == 1:

        def tick(network_steps: int, images: int, note: str) -> None:
            progress.advance(network_steps, images, note)
            on_progress(progress)

        for stack in stacks:
            progress.cells_done += work(job, stack, tick)
            on_progress(progress)
            job = replace(job, profile=None)
    elif jobs:
        in_processes(job, stacks, jobs, progress, on_progress)
    failed = tuple(_failures(store, cells))
    return Summary(len(cells), len(cells) - len(wanted), len(wanted), failed, time.monotonic() - started)


def device_of(name: str) -> str:
    """``cpu`` or ``cuda`` for a name as typed; ``auto`` takes a GPU if there is one."""
    if name == "cpu":
        return name
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise KaxisError("device cuda: this machine or this build of torch has no CUDA; use cpu")
    return "cuda" if torch.cuda.is_available() else "cpu"


def _prepare_sources(study: Study, data: Path | None) -> dict[str, dict[str, str]]:
    """Read files, fit features and try the samples once, before anything starts; returns the files' checksums by set."""
    from kaxis.sources.archives import data_dir
    from kaxis.sources.images import channel_statistics, load_images
    from kaxis.sources.load import load_task, prepare

    checksums = {}
    for leg in study.legs:
        if not source_info(leg.source).real:
            if leg.margin.startswith("match") or leg.balance == "uniform":
                for cell in {(c.K, c.seed): c for c in leg.cells()}.values():
                    load_task(cell.config["source"], cell.K, cell.seed)
            continue
        place, name = data_dir(data), set_name(leg.cells()[0].config["source"])
        pixels = leg.net != "mlp"
        if pixels:
            channel_statistics(name, place, leg.size)
        else:
            prepare(name, leg.features, place, leg.size)
        checksums[leg.source] = load_images(name, place, leg.size).checksums
        if leg.classes or leg.per_class or leg.train_total or leg.subset != "any" or leg.holdout:
            for cell in {(c.K, c.seed): c for c in leg.cells()}.values():
                load_task(cell.config["source"], cell.K, cell.seed, data, pixels=pixels)
    return checksums


def _finished(cell: Cell, store: Store, checksums: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether the store holds the cell, trained on the files that are here now."""
    record = store.read(cell)
    here = checksums.get(cell.config["source"]["name"])
    if record and here is not None and record["data"].get("checksums", here) != here:
        raise KaxisError(
            f"{cell} in {store.path} was trained on other files; use --force to do it again, or another --store"
        )
    return record is not None


def _failures(store: Store, cells: Sequence[Cell]) -> list[str]:
    asked = {cell.id: cell for cell in cells}
    found = ((Cell(r["config"]), r) for r in store.records() if r["status"] == "failed")
    return [f"{cell}: {r['reason']}" for cell, r in found if cell.id in asked]
