"""Several runs on one store share its work; one that is asked to end leaves it where it stood."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from kaxis.errors import KaxisError
from kaxis.execute import gpus, sharing
from kaxis.execute.runner import run
from kaxis.execute.shards import share_of
from kaxis.execute.worker import Job
from kaxis.spec.study import Study
from kaxis.store.records import Store
from tests.helpers import records

SMALL = ["run", "synthetic", "--K", "5", "10", "--seeds", "0-3", "--steps", "400"]


def kaxis(*arguments: str | Path) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "kaxis", *map(str, arguments)]
    heed = {"preexec_fn": lambda: [signal.signal(s, signal.SIG_DFL) for s in (signal.SIGINT, signal.SIGUSR1)]}
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **heed)  # type: ignore[call-overload, no-any-return]


def ended(one: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = one.communicate(timeout=600)
    return one.returncode, out + err


def last_words(one: subprocess.Popen[str]) -> dict[str, Any]:
    """The last line of a run with a log."""
    code, said = ended(one)
    assert code == 0, said
    return json.loads(said.splitlines()[-1])  # type: ignore[no-any-return]


@pytest.mark.slow
def test_six_runs_do_the_work_of_one(tmp_path: Path) -> None:
    """No cell is trained twice; what that is in processor time is measured by benchmarks/scale.py."""
    alone = last_words(kaxis(*SMALL, "--json", "--store", tmp_path / "alone"))
    runs = [kaxis(*SMALL, "--json", "--store", tmp_path / "together") for _ in range(6)]
    together = [last_words(one) for one in runs]
    assert records(tmp_path / "together") == records(tmp_path / "alone")
    assert sum(one["trained"] for one in together) == alone["trained"] == alone["asked"]
    assert all(one["found"] + one["trained"] + one["others"] == alone["asked"] for one in together)
    assert not list((tmp_path / "together" / "claims").iterdir())


def test_two_runs_train_nothing_twice(tmp_path: Path) -> None:
    """By what each says that it trained, and by the dates of the records."""
    study = ["run", "digits", "--K", "3", "5", "--seeds", "0-3", "--learners", "bp", "dtg_ff", "--steps", "200"]
    both = [kaxis(*study, "--jobs", "1", "--json", "--store", tmp_path) for _ in range(2)]
    dates: dict[str, int] = {}
    while any(one.poll() is None for one in both):
        for file in (tmp_path / "cells").glob("*.json"):
            stamp = file.stat().st_mtime_ns
            assert dates.setdefault(file.name, stamp) == stamp, "a record was written twice"
        time.sleep(0.02)
    said = [last_words(one) for one in both]
    assert [one["found"] + one["trained"] + one["others"] for one in said] == [16, 16]
    assert sum(one["trained"] for one in said) == 16
    assert len(records(tmp_path)) == 16


@pytest.mark.parametrize(
    ("name", "jobs"),
    [("SIGTERM", 2), *(pytest.param(*p, marks=pytest.mark.slow) for p in (("SIGUSR1", 1), ("SIGINT", 2)))],
)
def test_a_run_that_is_asked_to_end_leaves_a_checkpoint(name: str, jobs: int, tmp_path: Path) -> None:
    """Though none was due: the same command goes on from where it stood, to the same records."""
    study = ["run", "digits", "--K", "3", "5", "--seeds", "0", "--learners", "bp", "--steps", "4000"]
    assert ended(kaxis(*study, "--store", tmp_path / "whole", "--jobs", "2"))[0] == 0
    for wait in (2, 3, 4.5, 7, 10, 15):  # a busy machine may not have begun to train when it is asked
        cut = tmp_path / f"cut-{wait}"
        one = kaxis(*study, "--store", cut, "--jobs", str(jobs))
        deadline = time.monotonic() + 120
        claims = cut / "claims"
        while not (claims.exists() and list(claims.glob("*.claim"))):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(wait)
        os.kill(one.pid, getattr(signal, name))
        code, said = ended(one)
        assert code == 130, said
        assert "interrupted" in said
        assert not list(claims.iterdir())
        if kept := list((cut / "checkpoints").glob("*.pt")) or records(cut):
            break
    assert kept
    assert ended(kaxis(*study, "--store", cut))[0] == 0
    assert records(cut) == records(tmp_path / "whole")
    assert not list((cut / "checkpoints").glob("*.pt"))


def test_shares_are_the_study(tmp_path: Path) -> None:
    """Each cell in one share, all learners of a (source, K, seed) in the same, whatever is finished."""
    cells = Study.of("try", {"source": "synthetic", "K": [5, 10, 50], "seeds": "0-6"}).cells()
    for n in (1, 2, 4, 7, 50):
        shares = [share_of(cells, i, n) for i in range(1, n + 1)]
        assert sorted(c.id for share in shares for c in share) == sorted(c.id for c in cells)
        of = {(c.K, c.seed): i for i, share in enumerate(shares) for c in share}
        assert all(of[c.K, c.seed] == i for i, share in enumerate(shares) for c in share)
    tiny = Study.of("try", {"source": "digits", "K": 3, "seeds": "0-1", "steps": 20, "learners": ["bp", "dtg_ff"]})
    first = run(tiny, Store(tmp_path), on="serial", shard="1/2")
    second = run(tiny, Store(tmp_path), on="serial", shard="2/2")
    assert (first.trained, second.trained) == (2, 2)
    assert run(tiny, Store(tmp_path), on="serial").found == 4


@pytest.mark.parametrize("text", ["5/4", "0/4", "4", "1/0", "a/b", "-1/2"])
def test_a_share_that_is_none(text: str, tmp_path: Path) -> None:
    tiny = Study.of("try", {"source": "digits", "K": 3, "seeds": "0-1", "steps": 20, "learners": ["bp"]})
    with pytest.raises(KaxisError, match=f"shard '{text}' is not i/n with i from 1 to n"):
        run(tiny, Store(tmp_path), shard=text)


def test_a_log_has_lines_of_json(tmp_path: Path) -> None:
    """What a run says of itself and of each process, and how it ended."""
    study = ["run", "digits", "--K", "3", "5", "--seeds", "0", "--learners", "bp", "--steps", "400", "--jobs", "2"]
    code, said = ended(kaxis(*study, "--json", "--store", tmp_path))
    assert code == 0
    lines = [json.loads(line) for line in said.splitlines()]
    *on_the_way, last = lines
    assert (last["ended"], last["trained"], last["asked"], last["failed"]) == (True, 2, 2, [])
    for one in on_the_way:
        assert one["network_steps_done"] <= one["network_steps"] == 800
        assert sum(w["network_steps_done"] for w in one["workers"].values()) == one["network_steps_done"]


def test_jobs_on_other_cores_do_not_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch system gives two jobs of one node a core each."""
    job = Job(tmp_path, "cpu", None, False, 60.0)
    monkeypatch.setattr(sharing, "cores", lambda: [3])
    with sharing.slots_of(job, "cpu", 1, per_gpu=1, shared=True) as first:
        monkeypatch.setattr(sharing, "cores", lambda: [5])
        with sharing.slots_of(job, "cpu", 1, per_gpu=1, shared=True) as second:
            assert (first, second) == (1, 1)
        monkeypatch.setattr(sharing, "cores", lambda: [3])
        with sharing.slots_of(job, "cpu", 1, per_gpu=1, shared=True) as third:
            assert third == 0, "the same core is taken"


def test_two_runs_share_the_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gpus.NAME, "0,1")
    job = Job(tmp_path, "cuda", None, False, 60.0)
    with sharing.slots_of(job, "cuda", 2, per_gpu=1, shared=True) as first:
        assert (first, gpus.visible()) == (2, ["0", "1"])
        with sharing.slots_of(job, "cuda", 2, per_gpu=1, shared=True) as second:
            assert second == 0
        with sharing.slots_of(job, "cuda", 4, per_gpu=2, shared=True) as other:
            assert other == 2, "a second process of each, where that is asked for"


def test_a_log_that_nobody_reads_stops_nothing(tmp_path: Path) -> None:
    study = ["run", "digits", "--K", "3", "--seeds", "0-1", "--learners", "bp", "--steps", "50", "--store", tmp_path]
    with kaxis(*study, "--json") as one:
        assert one.stdout is not None
        one.stdout.close()
        assert one.wait(120) == 0
    assert len(records(tmp_path)) == 2
