"""A cluster that loses workers and its scheduler gives the cube of one process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import records, write_folder

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

        def one(*arguments: str, inside: Sequence[str] = ()) -> subprocess.Popen[str]:
            line = [*inside, sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]]
            process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True, env=HERE)

            def end() -> None:
                if process.poll() is None:
                    os.kill(process.pid, signal.SIGCONT)
                    process.kill()
                process.wait()

            stack.callback(end)
            return process

        yield one


def scheduler(start: Callable[..., Any], file: Path, host: str = "127.0.0.1") -> subprocess.Popen[str]:
    found = start("scheduler", "--host", host, "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
    _wait(file.exists)
    return found  # type: ignore[no-any-return]


def worker(start: Callable[..., Any], file: Path, inside: Sequence[str] = ()) -> subprocess.Popen[str]:
    line = ("--nthreads", "1", "--memory-limit", "0", "--no-dashboard", "--scheduler-file", str(file))
    return start("worker", "--no-nanny", *line, inside=inside)  # type: ignore[no-any-return]


def _wait(done: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


def made(store: Path) -> list[Path]:
    return list((store / "cells").glob("*.json"))


def test_a_cluster_of_this_machine(tmp_path: Path) -> None:
    small = ["run", "digits", "--K", "3", "5", "--seeds", "0-1", "--learners", "bp", "dtg_ff", "--steps", "60"]
    code, out, err = ended(kaxis(*small, "--on", "dask", "--jobs", "2", "--store", tmp_path / "two"))
    assert (code, err) == (0, "")
    assert "8 trained" in out
    assert ended(kaxis(*small, "--on", "serial", "--store", tmp_path / "one"))[0] == 0
    assert records(tmp_path / "two") == records(tmp_path / "one")
    assert not list((tmp_path / "two" / "claims").iterdir())


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
def test_a_run_that_is_asked_to_end_asks_its_workers(tmp_path: Path) -> None:
    """They write checkpoints, and the same command goes on elsewhere."""
    long = ["run", "digits", "--K", "3", "5", "--seeds", "0", "--learners", "bp", "--steps", "6000"]
    run = kaxis(*long, "--on", "dask", "--jobs", "2", "--store", tmp_path)
    _wait(lambda: len(list((tmp_path / "claims").glob("*.claim"))) == 2)
    time.sleep(2)
    run.send_signal(signal.SIGTERM)
    code, _, err = ended(run)
    assert code == 130
    assert len(err.strip().splitlines()) == 1, err
    assert list((tmp_path / "checkpoints").glob("*.pt")) or made(tmp_path)
    assert not list((tmp_path / "claims").iterdir())
    assert ended(kaxis(*long, "--store", tmp_path))[0] == 0
    assert len(made(tmp_path)) == 2


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


@pytest.fixture
def other_host() -> Iterator[Sequence[str]]:
    """How a command runs on another host: a network namespace with an address and a name of its own."""
    name, ip = f"kaxis{os.getpid()}", shutil.which("ip")
    if os.geteuid() or not ip or not shutil.which("unshare"):
        pytest.skip("two hosts need root, ip and unshare")
    steps = [
        f"netns add {name}",
        f"link add {name}a type veth peer name {name}b",
        f"link set {name}b netns {name}",
        f"addr add {NET}.1/24 dev {name}a",
        f"link set {name}a up",
        f"netns exec {name} ip addr add {NET}.2/24 dev {name}b",
        f"netns exec {name} ip link set {name}b up",
        f"netns exec {name} ip link set lo up",
    ]
    try:
        for step in steps:
            done = subprocess.run([ip, *step.split()], capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"no second host here: ip {step}: {done.stderr.strip()}")
        yield [ip, "netns", "exec", name, "unshare", "--uts", "sh", "-c", 'hostname other; exec "$@"', "sh"]
    finally:
        subprocess.run([ip, "netns", "del", name], capture_output=True)
        subprocess.run([ip, "link", "del", f"{name}a"], capture_output=True)


NET = f"10.77.{os.getpid() % 250}"


@pytest.mark.slow
def test_two_hosts_and_one_folder(
    tmp_path: Path, alone: dict[str, Any], start: Callable[..., Any], other_host: Sequence[str]
) -> None:
    """A worker here and two there; one there is killed, and no lock tells of it here."""
    file, store = tmp_path / "scheduler.json", tmp_path / "store"
    scheduler(start, file, f"{NET}.1")
    workers = [worker(start, file), worker(start, file, other_host), worker(start, file, other_host)]
    run = kaxis(*STUDY, "--on", f"dask:{file}", "--json", "--store", store)
    _wait(lambda: made(store))
    workers[1].kill()
    code, out, err = ended(run)
    assert (code, err) == (0, ""), err
    assert f"tcp://{NET}.2" in out, "nobody there did anything"
    assert records(store) == alone


def test_a_worker_of_another_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from kaxis.execute.backends import dask

    monkeypatch.setattr(dask, "get_worker", lambda: type("Worker", (), {"address": "tcp://there:1"})())
    here = dask._versions()
    with pytest.raises(dask.KaxisError, match=r"worker tcp://there:1 has kaxis .*, here 9.9: records of one study"):
        dask._there(None, [], "topic", {**here, "kaxis": "9.9"})  # type: ignore[arg-type]


FULL = """
import torch, kaxis
@kaxis.rule("full")
class Full(torch.nn.Module):
    def __init__(self, start):
        super().__init__()
        self.out = start.linear("out", start.inputs, start.K)
    def logits(self, x):
        return [self.out(x)]
    def loss(self, x, y):
        raise MemoryError
"""


@pytest.mark.slow
def test_what_a_worker_refuses_is_one_line(tmp_path: Path) -> None:
    """Without the worker's own report of it before."""
    file = tmp_path / "full.py"
    file.write_text(FULL)
    small = ["run", "digits", "--K", "3", "--seeds", "0", "--steps", "9", "--rules", file, "--learners", "full"]
    code, _, err = ended(kaxis(*small, "--on", "dask", "--jobs", "1", "--store", tmp_path / "s"))
    assert code != 0
    assert err.splitlines()[-1].startswith("kaxis: worker tcp://")
    assert "out of memory on cpu" in err
    assert "Traceback" not in err


def test_a_node_without_the_data_is_named(tmp_path: Path) -> None:
    """By the worker that has none; what the parent sees is not what a worker sees."""
    from kaxis.execute.backends import dask
    from kaxis.execute.progress import Progress
    from kaxis.execute.worker import Job
    from kaxis.spec.study import Study

    study = Study.of(
        "try", {"source": "cifar10", "features": "pca:4", "K": 3, "seeds": 0, "steps": 5, "learners": ["bp"]}
    )
    (tmp_path / "cells").mkdir()
    job = Job(tmp_path, "cpu", tmp_path / "nothing", False, 60.0)
    with pytest.raises(dask.KaxisError, match=r"worker tcp://.*: cifar10: .*name that folder with --data"):
        dask.run(job, [study.cells()], Progress(1), jobs=1)
    assert not list((tmp_path / "claims").iterdir())


def test_what_is_wrong_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kaxis.execute.backends import dask

    monkeypatch.setattr(dask, "ANSWER", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense"):
        with pytest.raises(dask.KaxisError, match=f"--on dask:{address}: no scheduler answers within 1 s"):
            dask.run(None, [[]], None, jobs=1, address=address)  # type: ignore[arg-type]


def test_a_second_run_on_a_standing_cluster(start: Callable[..., Any], tmp_path: Path) -> None:
    """What the first one left on the workers does not end its trainings."""
    file = tmp_path / "scheduler.json"
    scheduler(start, file)
    worker(start, file)
    for seed in ("0", "1"):
        line = ["run", "digits", "--K", "3", "--seeds", seed, "--learners", "bp", "--steps", "200"]
        code, _, err = ended(kaxis(*line, "--on", f"dask:{file}", "--store", tmp_path / "store"))
        assert code == 0, err
    assert len(records(tmp_path / "store")) == 2


def test_data_that_the_asking_process_names_are_found_by_workers(start: Callable[..., Any], tmp_path: Path) -> None:
    """A set of one's own, named below --data, which a standing worker has never heard of."""
    file = tmp_path / "scheduler.json"
    scheduler(start, file)
    worker(start, file)
    write_folder(tmp_path / "data" / "insects")
    line = ["run", "folder:insects", "--size", "8", "--K", "2", "--seeds", "0", "--learners", "bp", "--steps", "5"]
    line += ["--on", f"dask:{file}", "--data", tmp_path / "data", "--store", tmp_path / "store"]
    code, _, err = ended(kaxis(*line))
    assert code == 0, err
    assert len(records(tmp_path / "store")) == 1


def test_the_data_folder_of_a_run_does_not_reach_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kaxis.execute.backends import dask
    from kaxis.execute.worker import Job

    class Worker:
        address = "tcp://there"

        def log_event(self, *_: object) -> None: ...

    seen = []
    monkeypatch.setenv("KAXIS_DATA", "before")
    monkeypatch.setattr(dask, "OWN_DATA", "its own")
    monkeypatch.setattr(dask, "get_worker", Worker)
    monkeypatch.setattr(dask, "work", lambda *_: seen.append(os.environ["KAXIS_DATA"]) or [])
    for topic, data in (("first", tmp_path), ("second", None)):
        dask._there(Job(tmp_path, "cpu", data, False, 60.0), [], topic, dask._versions())
    assert seen == [str(tmp_path), "its own"]


def test_a_device_of_one_machine_is_refused(tmp_path: Path) -> None:
    code, _, err = ended(kaxis("run", "digits", "--K", "3", "--on", "dask", "--device", "cuda:1", "--store", tmp_path))
    assert code == 2
    assert err.strip() == "kaxis: device cuda:1: is of one machine; --on dask takes cuda, and a worker its first GPU"
