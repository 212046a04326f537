"""The command line."""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kaxis.stats.arrays import estimate
from kaxis.stats.effects import paired
from kaxis.stats.tables import cube_from_rows
from tests.helpers import fake_result, kaxis
from tests.stats.tables import table, wobble, write_table


def test_conflict_and_differential_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {
            "source": s,
            "K": k,
            "learner": n,
            "seed": i,
            "accuracy": 0.5 + (n == "A") * (sign * math.log(k) + wobble(i, k)) / 100,
        }
        for s, sign in (("syn", 1), ("real", -1))
        for k in (5, 10, 50)
        for n in "AB"
        for i in range(6)
    ]
    file = write_table(tmp_path / "r.csv", rows)
    line = ["analyze", "conflict", file, "--synthetic", "syn", "--real", "real", "--baseline", "B", "--learner", "A"]
    assert kaxis(*line) == 0
    assert "the sign is reversed" in capsys.readouterr().out
    assert kaxis(*line, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["attrs"]["reversal"] is True
    assert [r["what"] for r in shown["rows"]][:3] == ["slope on ln K", "slope on ln K", "difference of slopes"]
    line = ["analyze", "differential", file, "--of", "real", "--against", "syn", "--baseline", "B", "--learner", "A"]
    assert kaxis(*line, "--K", "10") == 0
    assert "real minus syn" in capsys.readouterr().out
    assert kaxis(*line) == 2
    assert "name one with --K" in capsys.readouterr().err


def test_coverage_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert kaxis("analyze", "coverage", "--n", "5", "--draws", "100", "--intervals", "t", "--json") == 0
    (shown,) = json.loads(capsys.readouterr().out)["rows"]
    assert 0.85 < shown["covers"] <= 1
    assert kaxis("analyze", "coverage", "--intervals", "tt") == 2


def test_analyses_import_no_torch_and_are_quick(tmp_path: Path) -> None:
    rows = [
        {"K": k, "learner": n, "seed": s, "accuracy": 0.5 + 0.01 * wobble(s, k + 97 * (n == "A"))}
        for k in range(2, 52)
        for n in "AB"
        for s in range(10)
    ]
    file = write_table(tmp_path / "r.csv", rows)
    code = (
        "import sys\nfrom kaxis.cli import _exit_code\n"
        f"assert _exit_code(['analyze', 'paired', {str(file)!r}, '--baseline', 'B'], False) == 0\n"
        "assert 'torch' not in sys.modules, 'torch'"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < 10  # a guard against a blow-up, no speed test: it takes 1.5 s


def test_estimates_are_those_of_the_array_layer() -> None:
    cube = cube_from_rows(table())
    result = paired(cube, learner="A", baseline="B").sel(source="table", K=10)
    d = result.difference.values
    e = estimate(d)
    assert float(result.effect) == pytest.approx(e.mean)
    assert result.ci.values == pytest.approx((e.lower, e.upper))


def test_reproduction_sets_published_numbers_beside_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from kaxis.spec.sweep import Sweep
    from kaxis.store.records import Store

    store = Store(tmp_path / "s")
    store.prepare()
    both: dict[str, Any] = {"source": "synthetic", "K": 5, "seeds": "0-3", "learners": ["bp", "dtg_ff"]}
    for options, level in ((both, 0.84), ({**both, "steps": 10}, 0.2), ({**both, "lr": 0.5}, 0.3)):
        for cell in Sweep.of(options).cells():
            test = level + (0.004 + 0.0005 * (cell.seed - 1.5)) * (cell.learner == "dtg_ff") + 0.001 * cell.seed
            store.write(cell, fake_result(test + 0.15, test))
    for cell in Sweep.of(
        {"source": "cifar10", "net": "vgg8", "seeds": 42, "learners": "dtg_ff", "width": 0.25}
    ).cells():
        store.write(cell, fake_result(0.9, 0.8))
    assert kaxis("analyze", "reproduction", "--store", tmp_path / "s", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    bp = [r for r in rows if (r["quantity"], r["learner"]) == ("test accuracy", "bp")]
    assert sorted(round(r["effect"], 2) for r in bp) == [20.15, 30.15, 84.15]  # three configurations, never mixed
    assert {r["differs"] for r in bp} == {"", "steps 10 (published 8000)"}
    (effect,) = [
        r for r in rows if r["quantity"] == "effect" and r["baseline"] == "bp" and r["effect"] and r["differs"]
    ]
    assert effect["effect"] == pytest.approx(0.4)
    assert (effect["published"], effect["inside"]) == (0.4, True)
    (image,) = [r for r in rows if r["source"] == "cifar10"]
    assert (image["published"], image["effect"], image["inside"]) == (91.79, 80.0, None)
    assert image["differs"] == "width 0.25 (published 1.0)"
    assert kaxis("analyze", "reproduction", "--store", tmp_path / "s") == 0
    assert "intervals hold the published number" in capsys.readouterr().out
    assert kaxis("analyze", "reproduction", "--store", tmp_path / "none") == 2
