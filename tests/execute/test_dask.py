"""A cluster that loses workers and its scheduler gives the cube of one process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import records

pytest.importorskip("distributed", reason="the extra grid is not installed")

STUDY = ["run", "digits", "--K", "3", "5", "--seeds", "0-7", "--learners", "bp", "dtg_ff", "--steps", "600"]
QUICK = {"KAXIS_STALE": "6", "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "8s", "DASK_DISTRIBUTED__LOGGING": "{}"}
HERE = os.environ | QUICK


def kaxis(*arguments: str | Path) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "kaxis", *map(str, arguments)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=HERE)


def ended(process: subprocess.Popen[str], seconds: float = 300) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("alone")
    assert ended(kaxis(*STUDY, "--on", "serial", "--store", path))[0] == 0
    return records(path)


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Parts of a cluster, as its users start them."""
    with ExitStack() as stack:

        def one(*arguments: str) -> subprocess.Popen[str]:
            line = [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]]
            process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True, env=HERE)

            def end() -> None:
                if process.poll() is None:
                    os.kill(process.pid, signal.SIGCONT)
                    process.kill()
                process.wait()

            stack.callback(end)
            return process

        yield one


def scheduler(start: Callable[..., Any], file: Path) -> subprocess.Popen[str]:
    found = start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
    _wait(file.exists)
    return found  # type: ignore[no-any-return]


def worker(start: Callable[..., Any], file: Path) -> subprocess.Popen[str]:
    line = ("--nthreads", "1", "--memory-limit", "0", "--no-dashboard", "--scheduler-file", str(file))
    return start("worker", "--no-nanny", *line)  # type: ignore[no-any-return]


def _wait(done: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


def made(store: Path) -> list[Path]:
    return list((store / "cells").glob("*.json"))


def test_a_cluster_of_this_machine(tmp_path: Path, alone: dict[str, Any]) -> None:
    code, out, err = ended(kaxis(*STUDY, "--on", "dask", "--jobs", "2", "--store", tmp_path))
    assert (code, err) == (0, "")
    assert "32 trained" in out
    assert records(tmp_path) == alone
    assert not list((tmp_path / "claims").iterdir())


@pytest.mark.slow
def test_lost_workers_and_a_lost_scheduler(
    tmp_path: Path, alone: dict[str, Any], start: Callable[..., subprocess.Popen[str]]
) -> None:
    """One killed, one that stands still, then the scheduler; the same command goes on."""
    file, store = tmp_path / "scheduler.json", tmp_path / "store"
    head, workers = scheduler(start, file), [worker(start, file) for _ in range(3)]
    run = kaxis(*STUDY, "--on", f"dask:{file}", "--store", store)
    _wait(lambda: made(store))
    workers[0].kill()
    os.kill(workers[1].pid, signal.SIGSTOP)
    before = len(made(store))
    _wait(lambda: len(made(store)) > before)
    head.kill()
    code, _, err = ended(run)
    assert code != 0
    assert len(err.strip().splitlines()) == 1, err
    for one in workers[1:]:
        os.kill(one.pid, signal.SIGCONT)
        one.kill()
    file.unlink()
    scheduler(start, file)
    worker(start, file)
    assert ended(kaxis(*STUDY, "--on", f"dask:{file}", "--store", store))[0] == 0
    assert records(store) == alone


@pytest.mark.slow
def test_a_killed_and_a_paused_worker_cost_time_alone(
    tmp_path: Path, alone: dict[str, Any], start: Callable[..., subprocess.Popen[str]]
) -> None:
    file, store = tmp_path / "scheduler.json", tmp_path / "store"
    scheduler(start, file)
    workers = [worker(start, file) for _ in range(3)]
    run = kaxis(*STUDY, "--on", f"dask:{file}", "--store", store)
    _wait(lambda: made(store))
    workers[0].kill()
    os.kill(workers[1].pid, signal.SIGSTOP)
    assert ended(run)[0] == 0
    assert records(store) == alone


def test_what_is_wrong_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kaxis.execute.backends import dask

    monkeypatch.setattr(dask, "ANSWER", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense"):
        with pytest.raises(dask.KaxisError, match=f"--on dask:{address}: no scheduler answers within 1 s"):
            dask.run(None, [[]], None, jobs=1, address=address)  # type: ignore[arg-type]
