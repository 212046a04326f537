"""Profiles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers import Cli


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_profile_is_a_trace_that_viewers_open(cli: Cli, tmp_path: Path) -> None:
    trace = tmp_path / "deep" / "trace.json"
    line = ["run", "digits", "--K", "3", "--seeds", "0", "--steps", "40", "--learners", "dtg_ff", "bp"]
    line += ["--store", str(tmp_path / "runs"), "--profile", str(trace)]
    code, out, _ = cli(*line)
    assert code == 0
    assert len([row for row in out.splitlines() if row.startswith("aten::")]) >= 5
    assert "2 trained" in out
    events = json.loads(trace.read_text())["traceEvents"]
    assert any(e.get("name") == "aten::baddbmm" for e in events)
    before = trace.read_bytes()
    code, _, err = cli(*line)  # nothing left to train: nothing lost
    assert code == 0
    assert "no step was traced" in err
    assert trace.read_bytes() == before
    code, _, err = cli(*("3" if part == "40" else part for part in line[:-1]), str(tmp_path / "short.json"), "--force")
    assert code == 2
    assert "has 3 steps; more than 3 are needed" in err
    assert not (tmp_path / "short.json").exists()
    (tmp_path / "file").write_text("")
    code, _, err = cli(*line[:-1], str(tmp_path / "file" / "x.json"))
    assert code == 2
    assert "profile" in err
