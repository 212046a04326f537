"""Which process sees which GPU. (None of this needs one.)"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kaxis.errors import KaxisError
from kaxis.execute import gpus


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three GPUs."""
    monkeypatch.delenv(gpus.NAME, raising=False)
    files = [Path("/dev") / name for name in ("nvidia1", "nvidia0", "nvidia10", "nvidiactl", "nvidia-uvm")]
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(files))


def test_all_or_those_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpus.visible() == ["0", "1", "2"]  # as CUDA counts them
    for named, there in (("2,0", ["2", "0"]), ("GPU-abc", ["GPU-abc"]), ("", [])):
        monkeypatch.setenv(gpus.NAME, named)
        assert gpus.visible() == there


def test_one_by_number_is_one_of_those(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gpus.NAME, "4,7")
    assert gpus.narrowed("cuda") == "cuda"
    assert gpus.visible() == ["4", "7"]
    assert gpus.narrowed("cuda:1") == "cuda"
    assert gpus.visible() == ["7"]
    with pytest.raises(KaxisError, match="device cuda:1: this process sees 1 GPUs, of which cuda:0 is the first"):
        gpus.narrowed("cuda:1")


def test_workers_take_them_in_turn() -> None:
    seen = []
    for i in range(5):
        with gpus.only(i):
            seen.append(os.environ[gpus.NAME])
        assert gpus.NAME not in os.environ
    assert seen == ["0", "1", "2", "0", "1"]
