"""Processes of this machine, one thread each, that take the next stack when they are ready."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import SpawnProcess
from typing import Any

from kaxis.errors import KaxisError
from kaxis.execute import gpus
from kaxis.execute.progress import Progress
from kaxis.execute.stop import ASKED
from kaxis.execute.worker import Job, work
from kaxis.spec.cell import Cell

__all__ = ["run"]

GRACE = 20.0
"""Seconds that workers have to write their checkpoints; batch systems give thirty."""


@dataclass
class Worker:
    """A process, the pipe to it, and what it trains."""

    process: SpawnProcess
    pipe: Connection
    stack: list[Cell]

    def give(self, stack: list[Cell] | None) -> bool:
        """Hand over the next stack; without one the process ends."""
        self.stack = stack or []
        try:
            self.pipe.send(stack)
        except ConnectionError:  # left as it is, the command line would take it for a closed output
            if stack:
                raise self.ended() from None
        return bool(stack)

    def ended(self) -> KaxisError:
        """What is said of a process that is gone."""
        more = f" and {n} more cell{'s' * (n > 1)}" if (n := len(self.stack) - 1) else ""
        return KaxisError(
            f"a worker process ended early, with {self.stack[0]}{more}: killed, out of memory (fewer --jobs, a "
            "smaller --batch-size), or started "
            "from a script without an `if __name__ == '__main__':` guard; run it again to go on",
            exit_code=1,
        )


def run(job: Job, stacks: Sequence[list[Cell]], progress: Progress, *, jobs: int, address: str = "") -> None:
    if address:
        raise KaxisError(f"--on processes:{address}: processes have no address; --jobs says how many")
    waiting = iter(stacks)
    workers = dict[Connection, Worker]()
    try:
        for i in range(min(jobs, len(stacks))):
            with gpus.only(i) if job.device != "cpu" else contextlib.nullcontext():
                worker = _start(job)
            workers[worker.pipe] = worker
        busy = {pipe for pipe, worker in workers.items() if worker.give(next(waiting, None))}
        while busy:
            for pipe in wait_for(list(busy)):
                assert isinstance(pipe, Connection)
                worker = workers[pipe]
                for kind, what in _said(worker):
                    if kind == "steps":
                        progress.advance(*what, who=f"process {worker.process.pid}")
                    elif kind == "cells":
                        progress.finish(what)
                        if not worker.give(next(waiting, None)):
                            busy.discard(pipe)
                            break  # it ends, which is no news
                    else:
                        raise what
    except BaseException as error:
        try:
            if isinstance(error, KeyboardInterrupt):
                _ask(list(workers.values()))
        finally:  # after a second interrupt, at once
            for worker in workers.values():
                worker.process.kill()
        raise
    finally:
        for worker in workers.values():
            worker.process.join()
            worker.pipe.close()


def _ask(workers: list[Worker]) -> None:
    """Let each write a checkpoint at its next step; what takes longer is killed."""
    for worker in workers:
        worker.pipe.close()  # one that waits for a stack ends here
        if (number := getattr(signal, "SIGUSR1", None)) and worker.process.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.process.pid, number)
    until = time.monotonic() + GRACE
    for worker in workers:
        worker.process.join(max(0.0, until - time.monotonic()))
        worker.process.kill()


def _said(worker: Worker) -> Iterator[tuple[str, Any]]:
    """What a worker has said by now."""
    try:
        while worker.pipe.poll():
            yield worker.pipe.recv()
    except (EOFError, ConnectionError):
        raise worker.ended() from None


def _start(job: Job) -> Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(job, theirs), daemon=True)
    process.start()
    theirs.close()  # so that its end is the pipe's
    return Worker(process, ours, [])


def _serve(job: Job, pipe: Connection) -> None:
    """What a worker does: train what comes, and say so."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # the parent decides
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    warnings.filterwarnings("ignore", message=".*(is not the official|: left out:)")  # the parent has said so
    threading.Thread(target=_follow, daemon=True).start()
    from kaxis.train.precision import reuse_memory

    reuse_memory()
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, lambda *_: ASKED.set())

    def tick(*steps: Any) -> None:
        with contextlib.suppress(OSError):  # a parent that has asked us to end listens no more
            pipe.send(("steps", steps))

    while not ASKED.is_set() and (stack := _next(pipe)):
        try:
            pipe.send(("cells", work(job, stack, tick)))
        except (KeyboardInterrupt, ConnectionError):
            return
        except Exception as error:
            error.add_note("".join(traceback.format_exception(error)))
            pipe.send(("error", error))
            return


def _next(pipe: Connection) -> list[Cell] | None:
    try:
        return pipe.recv()
    except (EOFError, OSError):
        return None


def _follow() -> None:
    """A killed parent leaves no orphans behind."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait_for([parent.sentinel])
    os._exit(1)
