"""Kills and company."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from kaxis.store.cube import load_cube
from kaxis.store.records import Store
from tests.helpers import records


def command(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    """The command line as a process of its own."""
    line = [sys.executable, "-W", "error", "-m", "kaxis", *map(str, arguments)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


LONG = ["run", "digits", "--K", "3", "5", "--seeds", "0-5", "--learners", "bp_deepsup", "dtg_ff", "--steps", "400"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("whole")
    process = command(*LONG, "--jobs", "1", "--store", path)
    process.communicate(timeout=300)
    assert process.returncode == 0
    return records(path)


def _wait_for_records(path: Path, process: subprocess.Popen[str]) -> None:
    while not list((path / "cells").glob("*.json")):
        assert process.poll() is None
        time.sleep(0.02)


def _nobody_in(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def test_kill_9_then_the_same_command(tmp_path: Path, uninterrupted: dict[str, Any]) -> None:
    process = command(*LONG, "--jobs", "2", "--store", tmp_path, start_new_session=True)
    _wait_for_records(tmp_path, process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 20
    while not _nobody_in(process.pid):
        assert time.monotonic() < deadline, "workers outlive a killed parent"
        time.sleep(0.05)
    kept = records(tmp_path)
    assert 0 < len(kept) < len(uninterrupted)
    stamps = {f: f.stat().st_mtime_ns for f in (tmp_path / "cells").glob("*.json")}
    again = command(*LONG, "--jobs", "2", "--store", tmp_path)
    again.communicate(timeout=300)
    assert again.returncode == 0
    assert records(tmp_path) == uninterrupted
    assert all(f.stat().st_mtime_ns == stamp for f, stamp in stamps.items()), "a finished cell was done again"
    cube = load_cube(Store(tmp_path))
    assert (cube.status == "done").all()


def test_interrupt_exits_130_and_keeps_what_is_done(tmp_path: Path, uninterrupted: dict[str, Any]) -> None:
    # A test run started in the background hands down an ignored SIGINT.
    heed = {"start_new_session": True, "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    process = command(*LONG, "--jobs", "2", "--store", tmp_path, **heed)
    _wait_for_records(tmp_path, process)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip().splitlines()[-1].startswith("kaxis: interrupted")
    kept = records(tmp_path)
    assert kept
    assert all(uninterrupted[key] == record for key, record in kept.items())


@pytest.mark.slow
def test_two_processes_on_one_store(tmp_path: Path, uninterrupted: dict[str, Any]) -> None:
    both = [command(*LONG, "--jobs", "1", "--store", tmp_path) for _ in range(2)]
    for process in both:
        process.communicate(timeout=300)
        assert process.returncode == 0
    assert records(tmp_path) == uninterrupted
    assert not list((tmp_path / "cells").glob("*.part"))
