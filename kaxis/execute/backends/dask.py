"""Dask: a cluster of this machine's, or one whose scheduler is at an address (``--on dask:tcp://HOST:8786``) or in a
scheduler file. It reschedules what a lost worker had; the store's claims and checkpoints do the rest.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kaxis.errors import KaxisError
from kaxis.execute.progress import Progress
from kaxis.execute.stop import ASKED
from kaxis.execute.worker import Job, work
from kaxis.sources.load import forget
from kaxis.spec.cell import Cell

try:
    import dask
    from distributed import Client, KilledWorker, LocalCluster, Status, WorkerPlugin, as_completed, get_worker, wait
    from distributed.comm.core import CommClosedError
except ImportError:
    raise KaxisError("--on dask: dask is not here; pip install 'kaxis[grid]'") from None

__all__ = ["over", "quiet", "run"]

ANSWER = 20
"""Seconds that a scheduler has to answer."""

GRACE = 20.0
"""Seconds that workers have to write their checkpoints."""

TELL = 0.5
"""Seconds between a worker's words about where a stack stands."""

OWN_DATA = os.environ.get("KAXIS_DATA")
"""Of a worker: the data folder that it was started with."""

ALONE = threading.Lock()
"""Torch's threads and random generator are a process's: one stack at a time, however many threads a worker has."""


def run(job: Job, stacks: Sequence[list[Cell]], progress: Progress, *, jobs: int, address: str = "") -> None:
    with _client(address, min(jobs, len(stacks))) as client:
        over(client, job, stacks, progress)


def over(client: Client, job: Job, stacks: Sequence[list[Cell]], progress: Progress) -> None:
    """Train the stacks on a client's workers. What a worker that was lost too often had is left to the caller."""
    topic = f"kaxis-{uuid.uuid4().hex}"
    data = job.data and job.data.expanduser().absolute()
    rules = tuple(os.path.abspath(file) for file in job.rules)
    job = replace(job, store=job.store.absolute(), data=data, rules=rules)
    client.register_plugin(_Leaver(), name="kaxis")
    client.subscribe_topic(topic, lambda event: progress.advance(*event[1][:-1], who=event[1][-1]))
    futures = [client.submit(_there, job, stack, topic, _versions(), pure=False, retries=0) for stack in stacks]
    try:
        for future in as_completed(futures):
            try:
                progress.finish(future.result())
            except KilledWorker:
                continue
    except BaseException as error:
        gone = isinstance(error, OSError) and client.status != "running"
        if gone or isinstance(error, (CommClosedError, CancelledError)):
            raise KaxisError(
                f"--on dask: the scheduler is gone ({_why(error)}); run it again to go on", exit_code=1
            ) from None
        with contextlib.suppress(OSError, TimeoutError):
            client.run(_ask, topic)  # before they are cancelled, since a cancelled one is no longer waited for
            wait(futures, timeout=GRACE)
        client.cancel(futures)
        raise
    finally:
        with contextlib.suppress(OSError, ValueError):
            client.unsubscribe_topic(topic)


def quiet() -> None:
    """What goes wrong is said in a line of ours."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("distributed"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _why(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


@contextlib.contextmanager
def _client(address: str, jobs: int) -> Iterator[Client]:
    if not address:
        settings = {"distributed.scheduler.allowed-failures": 100, "distributed.comm.timeouts.connect": "60s"}
        with (
            dask.config.set(settings),
            LocalCluster(  # no memory limit: its nanny would kill a worker at 95 % of one
                n_workers=jobs,
                threads_per_worker=1,
                memory_limit=0,
                dashboard_address=":0",
                silence_logs=logging.CRITICAL,  # what a worker raises is told here, in one line
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    quiet()
    try:
        where = {"scheduler_file": address} if Path(address).is_file() else {"address": address}
        found = Client(**where, timeout=ANSWER)
    except (OSError, ValueError, TypeError) as error:
        raise KaxisError(f"--on dask:{address}: no scheduler answers within {ANSWER} s ({_why(error)})") from None
    with found:
        yield found


def _versions() -> dict[str, str]:
    return {"Python": platform.python_version(), **{name: version(name) for name in ("kaxis", "torch")}}


def _there(job: Job, stack: list[Cell], topic: str, versions: dict[str, str]) -> list[str]:
    """What a worker does."""
    worker = get_worker()
    if wrong := [f"{n} {v}, here {versions[n]}" for n, v in _versions().items() if v != versions[n]]:
        raise KaxisError(f"worker {worker.address} has {', '.join(wrong)}: records of one study are of one version")
    steps, images, flops, spared, since = 0, 0, 0.0, 0, 0.0

    def tick(more_steps: int, more_images: int, note: str, more_flops: float, more_spared: int) -> None:
        nonlocal steps, images, flops, spared, since
        steps, images, flops = steps + more_steps, images + more_images, flops + more_flops
        spared += more_spared
        if time.monotonic() - since > TELL:
            worker.log_event(topic, (steps, images, note, flops, spared, worker.address))
            steps, images, flops, spared, since = 0, 0, 0.0, 0, time.monotonic()

    with ALONE:
        if topic in ENDED:
            return []
        if [topic] != AT:  # another run's data, which may be other files by now
            data = job.data or OWN_DATA  # also of sets of your own, whose names are looked up below it
            if data is None:
                os.environ.pop("KAXIS_DATA", None)
            else:
                os.environ["KAXIS_DATA"] = str(data)
            forget()
        AT[:] = [topic]
        if not getattr(worker, "kaxis_leaves", False):
            ASKED.clear()  # of a run that was interrupted
        try:
            done = work(job, stack, tick)
        except KeyboardInterrupt:  # asked to end, and its checkpoint written: somebody else goes on
            return []
        except KaxisError as error:
            raise KaxisError(f"worker {worker.address}: {error}", exit_code=error.exit_code) from None
    worker.log_event(topic, (steps, images, "", flops, spared, worker.address))
    return done


ENDED: set[str] = set()
"""Of a worker: runs that were interrupted."""

AT: list[str] = []
"""Of a worker: the run that it trains for."""


def _ask(topic: str) -> None:
    """Let a worker's training for this run write a checkpoint and end, and let it begin no other."""
    ENDED.add(topic)
    if topic in AT:
        ASKED.set()


class _Leaver(WorkerPlugin):
    """Makes a worker whose time is over write a checkpoint before it goes."""

    idempotent = True  # the next run's would tear down the last one's

    def teardown(self, worker: Any) -> None:
        if worker.status not in (Status.closing, Status.closing_gracefully, Status.closed):
            return
        worker.kaxis_leaves = True
        ASKED.set()
