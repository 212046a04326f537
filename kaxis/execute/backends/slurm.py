"""SLURM, by dask-jobqueue: this process is the scheduler, each job a worker. A study's ``[cluster]`` table, over
``~/.config/kaxis/cluster.toml``, says what a job asks for.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kaxis.errors import KaxisError
from kaxis.execute.backends import dask
from kaxis.execute.progress import Progress
from kaxis.execute.worker import Job
from kaxis.spec.cell import Cell
from kaxis.spec.cluster import Cluster

try:
    from dask_jobqueue.slurm import SLURMCluster
    from distributed import Client, Future
except ImportError:
    raise KaxisError("--on slurm: dask-jobqueue is not here; pip install 'kaxis[grid]'") from None

__all__ = ["run", "script"]

LOGS = "slurm"
"""Folder of the store for what jobs print."""

TEND = 10.0
"""Seconds between looks at jobs that are gone."""

IN_VAIN = 4
"""Jobs that may end before any worker has answered."""


def run(job: Job, stacks: Sequence[list[Cell]], progress: Progress, *, jobs: int, address: str = "") -> None:
    if address:
        raise KaxisError(f"--on slurm:{address}: slurm has no address; [cluster] says what a job asks for")
    if not shutil.which("sbatch"):
        raise KaxisError("--on slurm: there is no sbatch here; log in to a machine of the cluster")
    (job.store / LOGS).mkdir(exist_ok=True)
    _try(script(job.cluster, job.store))
    with _cluster(job.cluster, job.store) as cluster, Client(cluster) as client, _tended(cluster, client, jobs):
        dask.over(client, job, stacks, progress)


def _try(script: str) -> None:
    """KaxisError where the batch system would refuse such a job."""
    line = ["sbatch", "--test-only"]
    said = subprocess.run(line, input=script, capture_output=True, text=True, timeout=60, check=False)
    if said.returncode:
        why = " ".join(said.stderr.split()) or f"sbatch ended with {said.returncode}"
        raise KaxisError(f"--on slurm: the job is refused, {why}; [cluster] says what it asks for")


def script(cluster: Cluster, store: Path) -> str:
    """The script of one job, as `run` submits it."""
    with _cluster(cluster, store) as made:
        return str(made.job_script())


@contextlib.contextmanager
def _cluster(wanted: Cluster, store: Path) -> Iterator[SLURMCluster]:
    logs = store / LOGS  # jobqueue would make it, for a script that is only shown too
    leave = max(wanted.seconds - 120, wanted.seconds * 4 // 5)  # before the batch system says so
    gpus = [f"--gpus={wanted.gpus}"] if wanted.gpus else []
    dask.quiet()
    try:
        made = SLURMCluster(
            queue=wanted.partition or None,
            account=wanted.account or None,
            walltime=wanted.time,
            memory=wanted.memory,
            cores=1,
            job_cpu=wanted.cores,
            processes=1,
            interface=wanted.interface or None,
            python=wanted.python or sys.executable,
            job_name="kaxis",
            job_script_prologue=list(wanted.setup),
            job_extra_directives=[*gpus, *wanted.directives],
            # No memory limit: its nanny would kill a worker at 95 % of one. SLURM has its own.
            worker_extra_args=["--lifetime", f"{leave}s", "--memory-limit", "0", "--no-dashboard"],
            log_directory=str(logs.absolute()) if logs.exists() else None,
            scheduler_options={"dashboard_address": ":0"},  # any port: another run may have the usual one
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise KaxisError(f"cluster: {error}") from None
    with made:
        yield made


@contextlib.contextmanager
def _tended(cluster: SLURMCluster, client: Client, wanted: int) -> Iterator[None]:
    """As many jobs as wanted while the block runs: one that has ended is submitted anew, which `adapt` does not do.

    Raises
    ------
    KaxisError
        If `IN_VAIN` jobs and more have ended and no worker ever answered.
    """
    over = threading.Event()
    lost = [0, 0]  # jobs that ended, whether a worker was seen
    why: list[str] = []

    def tend() -> None:
        while not over.wait(TEND):
            with contextlib.suppress(Exception):  # a batch system that is busy is asked again
                alive = _queued()
                for name, one in list(cluster.workers.items()):
                    if one.job_id and str(one.job_id) not in alive:
                        cluster.worker_spec.pop(name, None)
                        lost[0] += 1
                lost[1] = lost[1] or len(cluster.scheduler_info["workers"])
                if lost[0] >= max(IN_VAIN, 2 * wanted) and not lost[1]:
                    why.append(f"--on slurm: {lost[0]} jobs ended and no worker answered; see {LOGS}/ in the store")
                    client.cancel([Future(key, client) for key in list(client.futures)])
                    return
                cluster.scale(jobs=wanted)

    cluster.scale(jobs=wanted)
    thread = threading.Thread(target=tend, daemon=True)
    thread.start()
    try:
        yield
    except KaxisError:
        if why:
            raise KaxisError(why[0], exit_code=1) from None
        raise
    finally:
        over.set()
        thread.join()


def _queued() -> set[str]:
    """Jobs of this user that run or wait."""
    line: list[Any] = ["squeue", "--me", "--noheader", "--format=%A"]
    return set(subprocess.run(line, capture_output=True, text=True, check=True, timeout=60).stdout.split())
