"""Where stacks are trained: the backends of the package, one of somebody's own, and a worker that dies."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kaxis.errors import KaxisError
from kaxis.execute.backends import BACKENDS, processes
from kaxis.execute.runner import run
from kaxis.execute.worker import Job
from kaxis.spec.study import Study
from kaxis.store.records import Store
from tests.helpers import ROOT

TINY = {"source": "digits", "K": 3, "seeds": "0-1", "steps": 30, "learners": ["bp", "dtg_ff"]}


TOY = """
from kaxis.execute.worker import work

def run(job, stacks, progress, *, jobs, address=""):
    "The cheapest first, and a line in a file."
    for stack in reversed(stacks):
        progress.finish(work(job, stack, progress.advance))
    with open(address, "a") as log:
        log.write(f"{len(stacks)} stacks\\n")
"""


def numbers(store: Store) -> dict[str, object]:
    return {r["id"] if "id" in r else json.dumps(r["config"], sort_keys=True): r["metrics"] for r in store.records()}


def test_every_backend_leaves_the_same_records(tmp_path: Path) -> None:
    study = Study.of("try", TINY)
    stores = {}
    for on in ("serial", "processes"):
        store = Store(tmp_path / on)
        summary = run(study, store, on=on, jobs=2)
        assert (summary.trained, summary.failed) == (4, ())
        stores[on] = numbers(store)
    assert stores["serial"] == stores["processes"]


def test_a_backend_of_an_installed_package(
    tmp_path: Path, install: Callable[..., Path], cli: Callable[..., tuple[int, str, str]]
) -> None:
    install({"toy_backend.py": TOY}, "[kaxis.backends]\ntoy = toy_backend:run\n")
    assert "toy" in BACKENDS
    log, store = tmp_path / "log", tmp_path / "store"
    ran = "run", "digits", "--K", "3", "--seeds", "0", "--steps", "20", "--store", store
    code, out, _ = cli(*ran, "--on", f"toy:{log}")
    assert code == 0
    assert "4 trained" in out
    assert log.read_text() == "3 stacks\n"  # bp is the first member of bp_ensemble
    assert cli(*ran, "--on", f"toy:{log}")[0] == 0
    assert log.read_text() == "3 stacks\n", "nothing is left to train, so no backend is asked"


@pytest.mark.parametrize(
    ("on", "said"),
    [
        ("proceses", "backend 'proceses' is not one of: dask, processes, serial, slurm (did you mean 'processes'?)"),
        ("serial:here", "serial has no address"),
        ("processes:8", "--jobs says how many"),
    ],
)
def test_a_backend_that_is_not_there(
    on: str, said: str, tmp_path: Path, cli: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, err = cli("run", "digits", "--K", "3", "--seeds", "0", "--steps", "20", "--store", tmp_path, "--on", on)
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert said in err


def test_code_of_a_backend_that_does_not_import(install: Callable[..., Path]) -> None:
    install({"broken_backend.py": "import nothing_of_that_name"}, "[kaxis.backends]\nbad = broken_backend:run\n")
    with pytest.raises(KaxisError, match=r"backend 'bad' \(broken_backend:run\): ModuleNotFoundError"):
        BACKENDS["bad"]


def test_a_worker_that_dies_is_told_with_what_it_trained(tmp_path: Path) -> None:
    study = Study.of("try", TINY | {"K": [3, 5], "steps": 200_000, "learners": ["bp"]})
    store = Store(tmp_path / "store")

    def kill_a_child() -> None:
        for _ in range(600):
            time.sleep(0.1)
            if mine := [c for c in multiprocessing.active_children() if c.pid]:
                time.sleep(2)
                mine[0].kill()
                return

    killer = threading.Thread(target=kill_a_child)
    killer.start()
    with pytest.raises(KaxisError, match=r"a worker process ended early, with digits K=\d bp seed \d and 1 more cell"):
        run(study, store, on="processes", jobs=2)
    killer.join()
    assert not list(store.records())


def test_a_worker_that_is_gone_before_it_is_given_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., tuple[int, str, str]]
) -> None:
    """A broken pipe to a worker is no closed output, which would end in silence with exit code 0."""
    start = processes._start

    def gone(job: Job) -> processes.Worker:
        worker = start(job)
        worker.process.kill()
        worker.process.join()
        return worker

    monkeypatch.setattr(processes, "_start", gone)
    ran = "run", "digits", "--K", "3", "5", "--seeds", "0", "--steps", "20", "--jobs", "2", "--store", tmp_path / "s"
    code, _, err = cli(*ran)
    assert code == 1
    assert "a worker process ended early, with digits K=" in err


def test_an_error_of_a_worker_comes_back_with_its_place(tmp_path: Path) -> None:
    """Not a user's error: the traceback of the worker is what its author needs."""
    code = (
        "import kaxis.execute.backends.processes as p\n"
        "from kaxis.execute.runner import run\nfrom kaxis.store.records import Store\nfrom kaxis.spec.study "
        "import Study\n"
        "def broken(job, stack, tick): raise ZeroDivisionError('in the worker')\n"
        "p.work = broken\n"
        "if __name__ == '__main__':\n"
        f"    run(Study.of('try', {TINY!r}), Store({str(tmp_path / 's')!r}), on='processes', jobs=2)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert ran.returncode == 1
    assert "ZeroDivisionError: in the worker" in ran.stderr
    assert "in broken" in ran.stderr


def test_a_record_names_the_commit_that_made_it() -> None:
    from kaxis.execute.provenance import provenance

    root = ROOT
    head = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode:
        pytest.skip("no checkout")
    assert provenance("cpu")["git"]["commit"] == head.stdout.strip()
