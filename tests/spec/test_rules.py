"""Learners out of a user's own file: they run, pair, resume and plot like the table's."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kaxis.errors import KaxisError
from kaxis.sources.load import load_task
from kaxis.spec.cell import Cell
from kaxis.spec.learners import parse
from kaxis.spec.net import MLPSpec
from kaxis.spec.rules import RULES, load_rules
from kaxis.spec.study import Study
from kaxis.spec.sweep import Sweep
from kaxis.store.records import Store
from kaxis.train.loader import Sampler
from kaxis.train.loop import train
from tests.helpers import ROOT, fake_result, kaxis, records

PREDSIM = ROOT / "docs" / "predsim.py"


PLAIN_BP = """
import torch, kaxis
from torch.nn import functional as F

@kaxis.rule("plain", leak=0.0)
class Plain(torch.nn.Module):
    def __init__(self, start, leak):
        super().__init__()
        self.leak = leak
        self.hidden = torch.nn.ModuleList(start.hidden(i) for i in range(start.depth))
        self.heads = torch.nn.ModuleList(start.linear(f"head/{i}", start.width, start.K) for i in range(start.depth))
    def logits(self, x):
        out = []
        for layer, head in zip(self.hidden, self.heads):
            x = F.leaky_relu(layer(x), self.leak)
            out.append(head(x))
        return out
    def loss(self, x, y):
        return sum(F.cross_entropy(z, y) for z in self.logits(x))
"""


def write(path: Path, text: str = PLAIN_BP) -> Path:
    path.write_text(text)
    return path


def small(file: Path, learners: list[str], **more: Any) -> Sweep:
    options = {"source": "digits", "K": 3, "seeds": "0-1", "steps": 40, "width": 16, "depth": 2, "batch_size": 32}
    return Sweep.of({**options, "rules": [str(file)], "learners": learners, **more})


def test_a_rule_gets_the_seeds_own_data_order_and_hidden_layers(tmp_path: Path) -> None:
    """Against a training loop written out here."""
    leg = small(write(tmp_path / "mine.py"), ["plain", "bp_deepsup"], seeds=1)
    cells = {c.learner: c for c in leg.cells()}
    (result,), _ = train([cells["plain"]])
    task = load_task(cells["plain"].config["source"], 3, 1)
    x = torch.from_numpy(task.features[task.train_rows])
    from kaxis.nets.mlp import MLPStack
    from kaxis.nets.start import Start

    stack = MLPStack(
        [(1, 0)], K=3, inputs=64, net=MLPSpec(width=16, depth=2), learner=cells["bp_deepsup"].algorithm, device="cpu"
    )
    start = Start(1, 0, 3, 64, 16, 2, "cpu")
    for i in range(2):
        assert torch.equal(start.hidden(i).weight, stack.p[f"W{i}"][0])
    module = RULES["plain"].build(start, leak=0.0)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    order = Sampler(seed=1, member=0, n=len(x))
    for _ in range(40):
        rows = order.next(32)
        optimizer.zero_grad()
        module.loss(x[rows], torch.from_numpy(task.y_train[rows])).backward()
        optimizer.step()
    with torch.no_grad():
        z = sum(module.logits(torch.from_numpy(task.features[task.test_rows])))
    right = np.mean(z.argmax(1).numpy() == task.y_test)
    assert result["metrics"]["test_accuracy"] == pytest.approx(right, abs=2 / len(task.y_test))
    assert result["metrics"]["test_loss"] == pytest.approx(
        float(torch.nn.functional.cross_entropy(z, torch.from_numpy(task.y_test))), rel=1e-3
    )
    assert len(result["metrics"]["layer_test_accuracy"]) == 2
    assert result["counts"]["parameters"] == sum(p.numel() for p in module.parameters())
    assert result["counts"]["flops_step"] > result["counts"]["flops_predict"] > 0
    assert result["streams"] == {"classes": "shared", "init": "shared", "rule": 3, "order": "shared"}


@pytest.mark.slow
def test_it_runs_pairs_resumes_and_plots_in_processes_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the command line, with the table of a fresh interpreter; the analyses do not read the file, nor torch."""
    store = tmp_path / "s"
    line = f"run digits --K 3 5 --seeds 0-2 --steps 30 --width 16 --rules {PREDSIM} --store {store} --learners"
    line += " bp_deepsup predsim predsim[beta=0.5] predsim[lr=0.01]"
    run = [sys.executable, "-m", "kaxis", *line.split()]
    out = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert "24 trained" in out
    first = records(store)
    assert "0 trained" in subprocess.run(run, capture_output=True, text=True, check=True).stdout
    code = f"""
import sys
from kaxis.cli import _exit_code
figure = ["figure", "k-conflict", "--learner", "predsim", "--out", {str(tmp_path / "f")!r}]
for verb in (["analyze", "paired"], ["analyze", "contrast"], ["status"], ["cube"], figure):
    assert _exit_code([*verb, "--store", {str(store)!r}], False) == 0, verb
assert "torch" not in sys.modules
"""
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    ).stdout
    assert "predsim[beta=0.5] - bp_deepsup" in shown
    assert (tmp_path / "f" / "k_conflict.png").exists()
    assert kaxis("status", "--store", store, "--json") == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {(r["learner"], r["status"], r["cells"]) for r in rows} == {
        (n, "done", 6) for n in ("bp_deepsup", "predsim", "predsim[beta=0.5]", "predsim[lr=0.01]")
    }
    alone = small(PREDSIM, ["predsim"], K=5, seeds=2, steps=30, depth=4, batch_size=256)
    (cell,) = alone.cells()
    (result,), _ = train([cell])
    kept = first[json.dumps(cell.config, sort_keys=True)]
    assert {k: result[k] for k in ("metrics", "curves")} == {k: kept[k] for k in ("metrics", "curves")}


def test_settings_reach_the_module_and_an_edit_makes_another_learner(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.py")
    a, b = (c for c in small(file, ["plain", "plain[leak=0.3]"], seeds=0).cells())
    assert (a.config["learner"]["settings"], b.config["learner"]["settings"]) == ({"leak": 0.0}, {"leak": 0.3})
    (one,), (two,) = (train([c])[0] for c in (a, b))
    assert one["metrics"] != two["metrics"]
    write(file, PLAIN_BP.replace("leaky_relu(layer(x), self.leak)", "gelu(layer(x))"))
    (edited,) = small(file, ["plain"], seeds=0).cells()
    assert edited.id != a.id
    with pytest.raises(KaxisError, match="its file of rules is not here or has changed"):
        train([a])
    store = Store(tmp_path / "s")
    store.prepare()

    for cell in (a, edited):
        store.write(cell, fake_result(0.9, 0.8))
    from kaxis.store.cube import load_cube

    with pytest.raises(KaxisError, match="choose with --where code="):
        load_cube(store)
    assert load_cube(store, {"code": edited.config["learner"]["code"]}).sizes["learner"] == 1


def test_dropout_depends_on_the_cell_alone(tmp_path: Path) -> None:
    file = write(
        tmp_path / "noisy.py",
        PLAIN_BP.replace(
            "F.leaky_relu(layer(x), self.leak)", "F.dropout(F.relu(layer(x)), 0.5, self.training)"
        ).replace("plain", "noisy"),
    )
    cells = small(file, ["noisy"]).cells()
    together = [train([c])[0][0] for c in cells]
    torch.rand(7)
    again = [train([c])[0][0] for c in reversed(cells)][::-1]
    assert [r["metrics"] for r in together] == [r["metrics"] for r in again]
    assert together[0]["metrics"] != together[1]["metrics"]


def test_predsim_against_its_equations() -> None:
    load_rules([str(PREDSIM)])
    from kaxis.nets.start import Start

    module = RULES["predsim"].build(Start(0, 0, 3, 6, 5, 2, "cpu"), beta=0.7)
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(4, 6, generator=rng), torch.tensor([0, 2, 2, 1])
    module.loss(x, y).backward()
    total, h = 0.0, x.numpy()
    for i in range(2):
        W, b = (p.detach().numpy() for p in module.hidden[i].parameters())
        h = np.maximum(h @ W.T + b, 0)
        M, m = (p.detach().numpy() for p in module.maps[i].parameters())
        H, c = (p.detach().numpy() for p in module.heads[i].parameters())

        def cosines(v: np.ndarray) -> np.ndarray:
            v = v - v.mean(1, keepdims=True)
            return np.array([[np.dot(p, q) / (np.linalg.norm(p) * np.linalg.norm(q) + 1e-12) for q in v] for p in v])

        apart = np.mean((cosines(h @ M.T + m) - cosines(np.eye(3)[y])) ** 2)
        z = h @ H.T + c
        nll = np.mean([math.log(np.exp(row).sum()) - row[k] for row, k in zip(z, y.tolist(), strict=True)])
        total += 0.7 * apart + 0.3 * nll
    assert float(module.loss(x, y).detach()) == pytest.approx(total, rel=1e-4)
    upper = module.maps[1].weight.grad.clone(), module.hidden[0].weight.grad.clone()
    module.zero_grad()
    alone = RULES["predsim"].build(Start(0, 0, 3, 6, 5, 1, "cpu"), beta=0.7)
    alone.loss(x, y).backward()
    assert torch.allclose(upper[1], alone.hidden[0].weight.grad)  # layer 2's loss does not reach layer 1
    assert upper[0].abs().sum() > 0


@pytest.mark.parametrize(
    ("text", "learner", "says"),
    [
        (None, "plain", "No such file"),
        ("x = 1", "plain", "defines none"),
        ("import nothing_like_it", "plain", "ModuleNotFoundError"),
        ("import kaxis\nkaxis.rule('bp')(object)", "bp", "the table has a learner of that name"),
        ("import kaxis\nkaxis.rule('mine', lr=1)(object)", "mine", "setting 'lr' is one that every learner has"),
        (PLAIN_BP, "plain[leek=1]", "did you mean 'leak'"),
        (PLAIN_BP, "plain[leak=much]", "its settings are numbers"),
        (PLAIN_BP, "plain[gradient=local]", "is not key=value with a key out of"),
        (PLAIN_BP, "plane", "did you mean 'plain'"),
        (PLAIN_BP.replace("start.K)", "start.K + 1)"), "plain", "logits((2, 64)) gave (2, 4), (2, 4)"),
    ],
)
def test_bad_rules_are_one_line(
    text: str | None, learner: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.py"
    if text is not None:
        write(file, text)
    line = [
        "run",
        "digits",
        "--K",
        "3",
        "--seeds",
        "0",
        "--steps",
        "5",
        "--depth",
        "2",
        "--rules",
        file,
        "--store",
        tmp_path / "s",
        "--jobs",
        "1",
    ]
    assert kaxis(*line, "--learners", learner) == (1 if "logits" in says else 2)  # built, it fails its cells alone
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_the_ladder_trains_the_mlp_alone() -> None:
    with pytest.raises(KaxisError, match="learner 'ff_bn': trains the mlp, not vgg8"):
        Sweep.of({"source": "cifar10", "net": "vgg8", "learners": ["ff_bn"]})


def test_settings_of_a_rule_are_written_one_way(tmp_path: Path) -> None:
    load_rules([str(write(tmp_path / "m.py"))])
    assert parse("plain[lr=1e-2,leak=.5]").name == "plain[leak=0.5,lr=0.01]"


def test_a_study_knows_the_rules_that_it_was_run_with(tmp_path: Path) -> None:
    """Whether or not their file has been edited since, or is there at all."""
    store, file = Store(tmp_path / "store"), write(tmp_path / "mine.py")
    options = {"source": "digits", "K": 3, "rules": [str(file)], "learners": ["plain", "plain[leak=0.3]"]}
    study = Study.of("mine", options)
    store.prepare()
    store.note_study(study)
    file.write_text(file.read_text() + "\n# edited\n")
    for edited in (True, False):
        ((kept, _),) = store.studies()
        assert [c.id for c in kept.cells()] == [c.id for c in study.cells()]
        if edited:
            load_rules([str(file)])
            file.unlink()


def test_the_committed_study_with_a_rule_gives_the_ids_of_its_records() -> None:
    store = Store(ROOT / "studies" / "results" / "ladder")
    asked = {cell.id for study, _ in store.studies() for cell in study.cells() if cell.learner == "predsim"}
    made = {Cell(r["config"]).id for r in store.records() if r["config"]["learner"]["name"] == "predsim"}
    assert len(made) == 15
    assert made <= asked
