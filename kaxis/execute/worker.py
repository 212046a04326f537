"""Training one stack and keeping its records: what every backend calls, in whatever process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from kaxis.execute.grouping import networks, stack_flops, steps_of
from kaxis.execute.provenance import device_of, provenance
from kaxis.execute.stop import ASKED, heeded
from kaxis.measure.profile import Profile, profiler
from kaxis.spec.cell import Cell
from kaxis.spec.cluster import Cluster
from kaxis.spec.rules import RuleError, load_rules
from kaxis.store.claims import claimed
from kaxis.store.records import Store

__all__ = ["Job", "follow", "tried", "work"]


def tried(store: Store) -> Store:
    """The store beside it that keeps every candidate of its tuned cells."""
    return Store(store.path / "tried")


@dataclass(frozen=True)
class Job:
    """What every stack of a run has in common."""

    store: Path
    device: str
    data: Path | None
    force: bool
    keep_every: float
    rules: tuple[str, ...] = ()
    weights: bool = False
    profile: Profile | None = None
    tried: frozenset[str] = frozenset()
    """Ids of the cells that are candidates of tuned ones: their records lie in a store of their own."""
    cluster: Cluster = field(default_factory=Cluster)

    def place(self, cell: Cell) -> Store:
        """The store that a cell's record goes to."""
        return tried(Store(self.store)) if cell.id in self.tried else Store(self.store)

    @property
    def claims(self) -> Path:
        """Where the runs on this store say what they are at."""
        return self.store / "claims"

    def lacks(self, store: Store, cell: Cell) -> bool:
        """Whether the cell is still to be trained."""
        record = None if self.force else store.read(cell)
        if record is None:
            return True
        return self.weights and record["status"] == "done" and not store.weights(cell).exists()


def work(job: Job, stack: list[Cell], advance: Callable[[int, int, str, float, int], None]) -> list[str]:
    """Train a stack and keep its records; returns the ids of the cells that were trained here. Cells that another run
    has finished or is training are left to it.
    """
    each = stack_flops(stack) / max(1, networks(stack) * steps_of(stack[0]))

    def tick(network_steps: int, images: int, note: str, spared: int) -> None:
        advance(network_steps, images, note, network_steps * each, spared)

    load_rules(job.rules)  # a worker starts with the package's own table
    if job.force:
        own = stack
        _train(job, own, tick)
    else:
        todo = [cell for cell in stack if job.lacks(job.place(cell), cell)]
        with claimed(job.claims, [cell.id for cell in todo]) as mine:
            # Once more: another run may have finished one, and given up its claim, since we looked.
            own = [cell for cell in todo if cell.id in mine and job.lacks(job.place(cell), cell)]
            _train(job, own, tick)
    return [cell.id for cell in own]


def _train(job: Job, todo: list[Cell], tick: Callable[[int, int, str, int], None]) -> None:
    if not todo:
        return
    import torch

    from kaxis.train import ranks
    from kaxis.train.checkpoint import Checkpoint
    from kaxis.train.loop import train
    from kaxis.train.result import Result

    store, device = Store(job.store), device_of(job.device)
    made_by = provenance(device)
    started = time.monotonic()
    keep = job.store / "checkpoints"
    if job.force:
        Checkpoint(keep, 0).forget(todo)
        for cell in todo if not job.weights else ():
            store.weights(cell).unlink(missing_ok=True)  # of an earlier training
    if ranks.count() > 1:
        ranks.tell((replace(job, force=False), todo))
    try:
        with heeded(), profiler(job.profile, device) as after_step:
            results, backend = train(
                todo,
                data=job.data,
                device=device,
                tick=tick,
                keep=keep,
                keep_every=job.keep_every,
                made_by=made_by,
                weights=store.weights if job.weights else None,
                after_step=after_step,
                stop=ASKED.is_set,
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
        job.place(cell).write(cell, {**result, "provenance": {**made_by, **own}})
    Checkpoint(keep, 0).forget(todo)
    if ASKED.is_set():
        raise KeyboardInterrupt


def follow() -> None:
    """What the other ranks of a torchrun do: train what the first one says, and keep nothing of it."""
    from kaxis.train import ranks
    from kaxis.train.loop import train

    while said := ranks.told():
        job, todo = said
        device = device_of(job.device)
        with heeded():
            train(
                todo,
                data=job.data,
                device=device,
                keep=job.store / "checkpoints",
                made_by=provenance(device),
                stop=ASKED.is_set,
            )
