"""The table."""

from __future__ import annotations

import csv
import json
import math
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kaxis.measure.audit import audit, largest_batch
from kaxis.measure.cost import cost_of, memory_of
from kaxis.measure.subject import PUBLISHED, Subject, subject, subjects
from kaxis.measure.timing import Timing, time_steps
from kaxis.spec.learners import TABLE
from kaxis.spec.rules import RULES
from tests.helpers import Cli
from tests.measure.shapes import reached


@pytest.mark.slow
def test_rows_say_what_was_timed() -> None:
    rows = audit(net="vgg8", width=0.03, batch=8, steps=1, learners=["bp"])
    assert [r["configuration"] for r in rows] == ["bp", "bp, 4 parts", "bp, checkpointed"]
    assert len(subjects(net="vgg8")) == len(PUBLISHED)
    for r in rows:
        assert r["step_ms_low"] <= r["step_ms"] <= r["step_ms_high"]
        assert r["images_per_second"] == pytest.approx(8e3 / r["step_ms"])
        assert r["floor_share"] > 0
        assert r["predict_us"] > 0
        assert not r["failed"]
    untimed = audit(net="vgg8", width=0.03, batch=8, learners=["bp"])
    assert untimed[0].keys() == rows[0].keys()
    assert math.isnan(untimed[0]["step_ms"])


@pytest.mark.slow
def test_audit_on_the_command_line(cli: Cli, tmp_path: Path) -> None:
    line = "audit --batch 8 --width 0.03 --budget 50MB --learners dtg_ff"
    code, out, err = cli(*line.split())
    assert (code, err) == (0, "")
    assert "interleaved" in out
    assert "largest batch" in out
    assert "predicted" in out
    code, out, _ = cli("audit", "--net", "mlp", "--K", "10", "50", "--learners", "dtg_ff", "ff", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["analysis"] == "audit"
    assert found["attrs"]["memory"] == "predicted"
    assert {(r["learner"], r["K"]) for r in found["rows"]} == {(a, k) for a in ("dtg_ff", "ff") for k in (10, 50)}
    file = tmp_path / "a.toml"
    file.write_text('net = "mlp"\n[[audit]]\nK = 5\n[[audit]]\nlearners = ["bp"]\nbatch = 32\n')
    code, out, _ = cli("audit", str(file), "--csv", str(tmp_path / "a.csv"), "--figure", str(tmp_path))
    assert code == 0
    assert "batch 32" in out
    assert (tmp_path / "a.csv").exists()
    assert (tmp_path / "audit.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--budget", "10MB"], "parameters of bp alone take 34.9 MiB"),
        (["--budget", "lots"], "budget 'lots' is not a size"),
        (["--size", "30"], "multiple of 16"),
        (["--learners", "dtg_fff"], "dtg_ff"),
        (["--batch", "0"], "batch = 0"),
        (["--batch", "30"], "does not divide"),
        (["--K", "1"], "K = 1: numbers of classes, 2 or more"),
        (["--steps", "-1"], "steps = -1"),
        (["none.toml"], "none.toml"),
        (["none.toml", "--size", "64"], "stands alone; put size into it"),
        (["--net", "vgg9"], "net = vgg9"),
        (["--size", "1000000"], "less than or equal to 4096"),
        (["--net", "mlp", "--parts", "2"], "worked whole"),
        (["--batch", "1", "--learners", "dtg_ff[goodness_norm=batchnorm]"], "parts of 2 images or more"),
        (["--net", "mlp", "--learners", "ff", "--size", "8"], "more than K"),
        (["locality", "--learner", "dtg"], "dtg_ff"),
        (["locality", "--net", "vgg8", "--learner", "ff"], "learner 'ff': trains the mlp, not vgg8"),
    ],
)
def test_bad_input_is_one_line(cli: Cli, arguments: list[str], words: str) -> None:
    code, out, err = cli("audit", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('K = "ten"', "'ten' is not a whole number"),
        ("K = []", "numbers of classes"),
        ("K = 10.5", "'10.5' is not a whole number"),
        ('size = "big"', "size = big"),
        ("steps = 1.5", "steps = 1.5"),
        ("budget = 8", "budget = 8"),
        ('budget = ""', "is not a size"),
        ("audit = 3", "tables, headed [[audit]]"),
        ("[audit]\nK = 5", "tables, headed [[audit]]"),
        ("audit = []", "tables, headed [[audit]]"),
    ],
)
def test_a_file_of_wrong_types_is_one_line(cli: Cli, tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "a.toml"
    file.write_text(text)
    code, out, err = cli("audit", str(file))
    assert (code, out) == (2, ""), err
    assert words in err
    assert err.count("\n") == 1


def test_one_file_may_hold_audits_of_different_kinds(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(
        'learners = "dtg_ff"\n[[audit]]\nnet = "mlp"\nK = [5, 20]\nwidth = 16\nsteps = 1\n'
        '[[audit]]\nnet = "mlp"\nwidth = 64\nbudget = "5MB"\n[[audit]]\nwidth = 0.03\nbatch = 4\n'
    )
    code, out, err = cli("audit", str(file), "--csv", str(tmp_path / "a.csv"), "--figure", str(tmp_path))
    assert (code, err) == (0, "")
    assert out.count("arithmetic (memory) of a prediction at K = 20 over K = 5: dtg_ff") == 1
    with (tmp_path / "a.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [(r["net"], r["width"], r["K"]) for r in rows[:3]] == [
        ("mlp", "16", "5"),
        ("mlp", "16", "20"),
        ("mlp", "64", "10"),
    ]
    assert [bool(r["largest_batch"]) for r in rows] == [False, False, True, False, False, False]


def test_a_visit_runs_in_a_process_of_its_own_and_says_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    one = subject(net="mlp", learners="dtg_ff", batch=8, width=16)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        seen = fresh.submit(time_steps, one, "cpu", 2).result()
    assert (len(seen.steps), seen.failed) == (2, "")
    both = seen.join(Timing(steps=[1.0], images=3, failed="out of memory"))
    assert (len(both.steps), both.images, both.failed) == (3, seen.images, "out of memory")

    def full(*_: Any, **__: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Subject, "stack", full)
    assert time_steps(one, "cpu", 1).failed == "out of memory"


def test_an_mlps_largest_batch_needs_no_memory_to_be_found() -> None:
    one = subject(net="mlp", learners="dtg_ff")
    found = largest_batch(one, 4 * 10**9)
    assert sum(memory_of(one.at_batch(found)).values()) <= 4 * 10**9
    assert sum(memory_of(one.at_batch(found + 1)).values()) > 4 * 10**9


def test_a_prediction_costs_the_same_whatever_the_batch_of_training() -> None:
    costs = {b: cost_of(subject(net="mlp", learners="dtg_ff", batch=b)) for b in (128, 512)}
    assert costs[128].predict_bytes == costs[512].predict_bytes


def test_a_rule_in_one_piece_is_not_called_global(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch, kaxis\n"
        "@kaxis.rule('in_one_piece')\n"
        "class Mine(torch.nn.Module):\n"
        "    def __init__(self, start):\n"
        "        super().__init__()\n"
        "        self.h, self.out = start.hidden(0), start.linear('out', start.width, start.K)\n"
        "    def loss(self, x, y): return torch.nn.functional.cross_entropy(self.logits(x)[0], y)\n"
        "    def logits(self, x): return [self.out(torch.relu(self.h(x)))]\n"
    )
    try:
        assert "its loss comes in one piece" in reached("mlp", "in_one_piece", rules=[str(file)])[1]
    finally:
        TABLE.pop("in_one_piece")
        RULES.pop("in_one_piece")


def test_an_unknown_option_in_a_file_is_named(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('nett = "mlp"\n')
    code, _, err = cli("audit", str(file))
    assert code == 2
    assert "'nett' is not" in err
    assert "net" in err
