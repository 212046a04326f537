"""One stack after another, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kaxis.errors import KaxisError
from kaxis.execute.progress import Progress
from kaxis.execute.worker import Job, work
from kaxis.spec.cell import Cell

__all__ = ["run"]


def run(job: Job, stacks: Sequence[list[Cell]], progress: Progress, *, jobs: int, address: str = "") -> None:
    if address:
        raise KaxisError(f"--on serial:{address}: serial has no address")
    for stack in stacks:
        progress.finish(work(job, stack, progress.advance))
        job = replace(job, profile=None)  # a trace is of the first stack
