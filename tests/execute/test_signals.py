"""Signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kaxis.store.records import Store
from tests.helpers import process


@pytest.mark.parametrize(
    ("name", "jobs"),
    [
        ("SIGTERM", 2),
        *(pytest.param(*p, marks=pytest.mark.slow) for p in (("SIGTERM", 1), ("SIGHUP", 2), ("SIGINT", 1))),
    ],
)
def test_a_signal_says_what_is_kept_and_leaves_nothing_behind(name: str, jobs: int, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "kaxis", "run", "digits", "--K", "3", "5", "--seeds", "0-9", "--steps", "200"]
    line += ["--learners", "bp", "dtg_ff", "--jobs", str(jobs), "--store", str(tmp_path)]
    heed = {
        "start_new_session": True,
        "preexec_fn": lambda: [signal.signal(s, signal.SIG_DFL) for s in (signal.SIGINT, signal.SIGHUP)],
    }
    with subprocess.Popen(line, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **heed) as training:  # type: ignore[call-overload]
        while not list((tmp_path / "cells").glob("*.json")):
            assert training.poll() is None
            time.sleep(0.05)
        os.killpg(training.pid, getattr(signal, name))  # a terminal that closes, or a batch system, asks them all
        _, err = training.communicate(timeout=60)
    assert training.returncode == 130
    kept = len(list(Store(tmp_path).records()))
    (said,) = err.splitlines()
    assert said.startswith(f"kaxis: interrupted; {kept} of 40 cells are kept in {tmp_path}")
    deadline = time.monotonic() + 20
    with pytest.raises(ProcessLookupError):  # noqa: PT012
        while time.monotonic() < deadline:
            os.killpg(training.pid, 0)
            time.sleep(0.05)


def test_a_hangup_that_nohup_turned_off_stays_off(tmp_path: Path) -> None:
    done = process(
        f"trap '' HUP; kaxis run digits --K 3 --seeds 0 --steps 300 --learners bp --jobs 1 --store {tmp_path} & "
        "p=$!; sleep 2; kill -HUP $p; wait $p"
    )
    assert done.returncode == 0
    assert len(list(Store(tmp_path).records())) == 1
