"""A real SLURM gives the cube of one process, whatever is cancelled."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kaxis.errors import KaxisError
from kaxis.spec.cluster import Cluster
from kaxis.spec.study import Study
from tests.execute import slurm
from tests.helpers import records

pytest.importorskip("dask_jobqueue", reason="the extra grid is not installed")

STUDY = """
source = "digits"
K = [3, 5]
seeds = "0-7"
steps = 600
learners = ["bp", "dtg_ff"]
[cluster]
time = "00:10:00"
memory = "2GB"
interface = "lo"
jobs = 2
"""
real = [pytest.mark.slow, pytest.mark.skipif(bool(slurm.lacking()), reason=slurm.lacking())]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with slurm.running(tmp_path_factory.mktemp("slurm")) as environment:
        yield os.environ | environment | {"KAXIS_STALE": "10"}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("study") / "study.toml"
    file.write_text(STUDY)
    return file


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, study: Path) -> dict[str, Any]:
    store = tmp_path_factory.mktemp("alone")
    assert ended(kaxis(dict(os.environ), "run", study, "--on", "serial", "--store", store))[0] == 0
    return records(store)


def kaxis(environment: dict[str, str], *arguments: str | Path) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "kaxis", *map(str, arguments)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=500)
    return process.returncode, out, err


def told(environment: dict[str, str], *line: str) -> str:
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=True).stdout


def wait(done: Callable[[], object], seconds: float = 200) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.1)


class TestReal:
    pytestmark = real

    def test_workers_on_two_nodes(
        self, cluster: dict[str, str], study: Path, alone: dict[str, Any], tmp_path: Path
    ) -> None:
        """One is cancelled on the way: it is submitted anew, and what it had is done by others."""
        run = kaxis(cluster, "run", study, "--on", "slurm", "--store", tmp_path)
        wait(lambda: list((tmp_path / "cells").glob("*.json")))
        jobs = [row.split() for row in told(cluster, "squeue", "-h", "-o", "%A %N %T").splitlines()]
        assert len(jobs) == 2
        told(cluster, "scancel", jobs[0][0])
        code, out, err = ended(run)
        assert (code, err) == (0, ""), err
        assert "32 cells" in out
        assert records(tmp_path) == alone
        assert not told(cluster, "squeue", "-h")

    def test_an_array_of_shares(
        self, cluster: dict[str, str], study: Path, alone: dict[str, Any], tmp_path: Path
    ) -> None:
        """A share is requeued on the way, and goes on."""
        line = f"exec {sys.executable} -m kaxis run {study} --shard $SLURM_ARRAY_TASK_ID/4 --jobs 1 --store {tmp_path}"
        array = [
            "sbatch",
            "--parsable",
            "--requeue",
            "--array=1-4",
            "-n1",
            "-o",
            str(tmp_path / "%a.out"),
            "--wrap",
            line,
        ]
        number = told(cluster, *array).strip()
        wait(lambda: list((tmp_path / "cells").glob("*.json")))
        running = told(cluster, "squeue", "-h", "-r", "-t", "RUNNING", "-o", "%i").split()
        if running:
            told(cluster, "scontrol", "requeue", running[0])
            wait(lambda: told(cluster, "squeue", "-h", "-r", "-o", "%i %T").count("PENDING") == 0 or _release(cluster))
        wait(lambda: not told(cluster, "squeue", "-h", "-j", number) if _known(cluster, number) else True, 400)
        assert records(tmp_path) == alone

    @pytest.mark.parametrize(
        ("setting", "code", "said"),
        [
            ('partition = "nosuch"', 2, "--on slurm: the job is refused, sbatch: error: "),
            ('setup = ["exit 1"]', 1, "jobs ended and no worker answered; see slurm/ in the store"),
        ],
    )
    def test_jobs_that_come_to_nothing(
        self, setting: str, code: int, said: str, cluster: dict[str, str], study: Path, tmp_path: Path
    ) -> None:
        """One line, and nothing left in the queue."""
        file = tmp_path / "study.toml"
        file.write_text(f"{study.read_text()}{setting}\n")
        got, _, err = ended(kaxis(cluster, "run", file, "--on", "slurm", "--store", tmp_path / "store"))
        assert (got, len(err.strip().splitlines())) == (code, 1), err
        assert said in err
        assert not told(cluster, "squeue", "-h")


def _release(environment: dict[str, str]) -> bool:
    """A requeued job begins in two minutes; that is too long for a test."""
    for row in told(environment, "squeue", "-h", "-r", "-t", "PENDING", "-o", "%i").split():
        subprocess.run(["scontrol", "update", f"jobid={row}", "StartTime=now"], env=environment, check=False)
    return False


def _known(environment: dict[str, str], number: str) -> bool:
    line = ["squeue", "-h", "-j", number]
    return subprocess.run(line, env=environment, capture_output=True, check=False).returncode == 0


def test_a_study_says_what_a_job_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the user's own file; and no part of what is trained."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "kaxis").mkdir()
    (tmp_path / "kaxis" / "cluster.toml").write_text('account = "mine"\ntime = "00:30:00"\nsetup = ["module load x"]\n')
    file = tmp_path / "study.toml"
    file.write_text(STUDY)
    made, plain = Study.load(file), Study.load(file, {})
    assert made.as_dict() == plain.as_dict()
    assert "cluster" not in made.as_dict()
    both = Cluster.of(made.cluster)
    assert (both.account, both.time, both.setup, both.interface, both.jobs) == (
        "mine",
        "00:10:00",
        ("module load x",),
        "lo",
        2,
    )


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"partitoin": "gpu"}, r"cluster: option 'partitoin' is not one of: .*\(did you mean 'partition'\?\)"),
        ({"time": "1h"}, "cluster: time = 1h: write HH:MM:SS or D-HH:MM:SS"),
        ({"jobs": 0}, "cluster: jobs = 0"),
        ({"gpus": "many"}, "cluster: gpus = many"),
    ],
)
def test_settings_that_do_not_fit(table: dict[str, Any], said: str) -> None:
    with pytest.raises(KaxisError, match=said):
        Cluster.of(table, {})


def test_the_script_of_a_job(tmp_path: Path) -> None:
    from kaxis.execute.backends.slurm import script

    table = {"partition": "gpu", "gpus": 1, "memory": "8GB", "setup": ["module load cuda"], "directives": ["--requeue"]}
    text = script(Cluster.of({**table, "interface": "lo"}, {}), tmp_path / "store")
    for part in ("-p gpu", "--gpus=1", "--mem=8G", "module load cuda", "#SBATCH --requeue", "--lifetime 3480s"):
        assert part in text
    assert not (tmp_path / "store").exists()


def test_without_a_batch_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kaxis.execute.runner import run
    from kaxis.store.records import Store

    monkeypatch.setenv("PATH", "")
    tiny = Study.of("try", {"source": "digits", "K": 3, "seeds": "0", "steps": 20, "learners": ["bp"]})
    with pytest.raises(KaxisError, match="--on slurm: there is no sbatch here"):
        run(tiny, Store(tmp_path), on="slurm")
