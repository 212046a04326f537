"""Where stacks are trained: one module a backend, each with a function ``run``; its name is the module's.

An installed package adds one as an entry point of the group ``kaxis.backends``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kaxis.execute.progress import Progress
from kaxis.execute.worker import Job
from kaxis.registry import Registry
from kaxis.spec.cell import Cell

__all__ = ["BACKENDS", "Backend"]


class Backend(Protocol):
    """Train every stack, wherever; each leaves its records in the store by `kaxis.execute.worker.work`.

    Parameters
    ----------
    job : Job
        What all stacks have in common.
    stacks : sequence of list of Cell
        Dearest first.
    progress : Progress
        Told what is done.
    jobs : int
        How many stacks to train at a time, if it is the backend's to choose.
    address : str
        What follows the colon in ``--on NAME:ADDRESS``.
    """

    def __call__(
        self, job: Job, stacks: Sequence[list[Cell]], progress: Progress, *, jobs: int, address: str = ""
    ) -> None: ...


BACKENDS: Registry[Backend] = Registry("backend", "kaxis.backends", "kaxis.execute.backends", "run")
