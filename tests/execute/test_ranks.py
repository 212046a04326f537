"""Processes that torchrun starts train one net together, to the record of one process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from kaxis.errors import KaxisError
from kaxis.store.merge import merge
from kaxis.store.records import Store
from kaxis.train import ranks

NET = ["digits", "--net", "vgg8", "--size", "16", "--width", "0.125", "--K", "3", "--seeds", "0", "--batch-size", "32"]


def start(many: int, *arguments: str | Path) -> subprocess.Popen[str]:
    run = ["-m", "kaxis", "run", *map(str, arguments)]
    several = ["-m", "torch.distributed.run", "--nproc-per-node", str(many), "--local-ranks-filter", "0"]
    line = [sys.executable, *([*several, *run] if many > 1 else run)]
    quiet = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=quiet)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def same(one: Path, other: Path) -> int:
    """How many records both have, all equal."""
    done = merge(Store(one), Store(other))
    assert (done.taken, done.conflicts, done.problems) == (0, [], [])
    return done.same


@pytest.mark.slow
@pytest.mark.parametrize("parts", [2, 4])
def test_two_ranks_give_the_record_of_parts_on_one(parts: int, tmp_path: Path) -> None:
    """Bit for bit, local and global learners, with clipping, temperature and dropout; nothing is said twice."""
    learners = ["--learners", "dtg_ff", "bp", "local_ce", "dfa"]
    asked = [*NET, "--steps", "8", "--accumulate", str(parts), *learners]
    assert ended(start(1, *asked, "--on", "serial", "--store", tmp_path / "one"))[0] == 0
    code, out, err = ended(start(2, *asked, "--store", tmp_path / "two"))
    assert code == 0, err
    assert out.count("4 trained") == 1
    assert same(tmp_path / "one", tmp_path / "two") == 4
    assert ended(start(2, *asked, "--store", tmp_path / "two"))[0] == 0, "nothing is left to do"


@pytest.mark.slow
def test_ranks_that_are_asked_to_end_go_on_from_one_step(tmp_path: Path) -> None:
    asked = [*NET, "--steps", "150", "--accumulate", "2", "--learners", "dtg_ff"]
    cut = start(2, *asked, "--store", tmp_path / "two")
    deadline = time.monotonic() + 120
    while not list((tmp_path / "two" / "claims").glob("*.claim")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(4)
    cut.send_signal(signal.SIGTERM)
    ended(cut)
    assert list((tmp_path / "two" / "checkpoints").glob("*.pt")) or list((tmp_path / "two" / "cells").glob("*.json"))
    assert ended(start(2, *asked, "--store", tmp_path / "two"))[0] == 0
    assert ended(start(1, *asked, "--on", "serial", "--store", tmp_path / "one"))[0] == 0
    assert same(tmp_path / "one", tmp_path / "two") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([*NET, "--steps", "2"], "2 ranks and accumulate = 1: say --accumulate 2"),
        (["digits", "--K", "3", "--seeds", "0", "--steps", "2"], "torchrun is for conv nets of the table"),
        ([*NET, "--steps", "2", "--accumulate", "2", "--jobs", "2"], "leave out --on and --jobs"),
        ([*NET, "--steps", "2", "--accumulate", "2", "--learners", "bp_concat"], "it normalises by the batch"),
    ],
)
def test_what_ranks_cannot_do_is_said_once(asked: list[str], said: str, tmp_path: Path) -> None:
    code, _, err = ended(start(2, *asked, "--store", tmp_path))
    assert code != 0
    assert sum(line.startswith("kaxis: ") for line in err.splitlines()) == 1
    assert said in err


def test_a_device_that_ranks_cannot_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two GPUs of four ranks: some would wait for ever for the others."""
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    ranks.check_device("cpu")
    with pytest.raises(KaxisError, match="names one GPU for all ranks"):
        ranks.check_device("cuda:1")
    for device in ("cuda", "auto"):
        with pytest.raises(KaxisError, match="4 ranks and 2 GPUs here"):
            ranks.check_device(device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    ranks.check_device("cuda")
    monkeypatch.setenv("WORLD_SIZE", "1")
    ranks.check_device("cuda:1")
