"""Learners out of a user's own file on conv nets: like the table's own, resumed in mid-training, refused by name."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import kaxis
from kaxis.errors import KaxisError
from kaxis.spec.cell import Cell
from kaxis.spec.rules import RULES, RuleError, load_rules
from kaxis.spec.study import Study
from kaxis.spec.sweep import Sweep
from kaxis.store.cube import load_cube
from kaxis.store.records import Store
from kaxis.train.loop import train
from kaxis.train.rule import RuleStack
from tests.helpers import ROOT, killed_twice, write_npz

GREEDY = ROOT / "examples" / "greedy.py"


SMALL: dict[str, Any] = {"net": "vgg8", "width": 0.03, "epochs": 2, "batch_size": 16, "lr": 0.01, "seeds": 0}


LOCAL = """
import torch, kaxis
from torch.nn import functional as F
from kaxis.nets.draws import linear
from kaxis.streams import stream

@kaxis.rule("mine", own=0.0)
class Mine(torch.nn.Module):
    "Local cross-entropy, as the table has it, its heads drawn from the table's own streams."
    def __init__(self, start, own):
        super().__init__()
        layers = range(start.depth)
        self.hidden = torch.nn.ModuleList(start.hidden(i) for i in layers)
        self.up = torch.nn.ModuleList(start.up(i) for i in layers)
        self.read = torch.nn.ModuleList(start.read(i) for i in layers)
        self.heads = torch.nn.ModuleList(start.linear(f"head/{i}", start.features(i), start.K) for i in layers)
        with torch.no_grad():
            for i, head in enumerate(self.heads):
                W, b = linear(stream(0, f"head/0/{i}", start.K), start.K, start.features(i))
                head.weight.copy_(torch.from_numpy(W))
                head.bias.copy_(torch.from_numpy(b[:, 0]))
    def logits(self, x):
        out = []
        for i, layer in enumerate(self.hidden):
            a = F.relu(layer(x))
            out.append(self.heads[i](self.read[i](a)))
            x = self.up[i](a.detach())
        return out
    def loss(self, x, y):
        return sum(F.cross_entropy(z, y) for z in self.logits(x))
    def groups(self):
        return [[*self.hidden[i].parameters(), *self.heads[i].parameters()] for i in range(len(self.heads))]
"""


STATEFUL = """
import torch, kaxis
from torch.nn import functional as F

@kaxis.rule("counting")
class Counting(torch.nn.Module):
    "Its loss grows with a count that no checkpoint holds."
    def __init__(self, start):
        super().__init__()
        self.hidden, self.read = start.hidden(0), start.read(0)
        self.head, self.steps = start.linear("head", start.features(0), start.K), 0
    def logits(self, x):
        return [self.head(self.read(F.relu(self.hidden(x))))]
    def loss(self, x, y):
        self.steps += 1
        return self.steps * F.cross_entropy(self.logits(x)[0], y)
"""


UPDATING = """
import torch, kaxis
from torch.nn import functional as F

@kaxis.rule("own_steps")
class OwnSteps(torch.nn.Module):
    "Backprop of the last layer, written as steps of its own; its gradient by autograd.grad."
    def __init__(self, start):
        super().__init__()
        self.hidden, self.read = start.hidden(0), start.read(0)
        self.head = start.linear("head", start.features(0), start.K)
    def logits(self, x):
        return [self.head(self.read(F.relu(self.hidden(x))))]
    def update(self, x, y):
        loss = F.cross_entropy(self.logits(x)[0], y)
        for p, g in zip(self.parameters(), torch.autograd.grad(loss, list(self.parameters()))):
            p.grad = g
        return loss
"""


LOSS = """    def loss(self, x, y):
        return F.cross_entropy(self.logits(x)[0], y)
"""


@pytest.fixture
def source(tmp_path: Path) -> str:
    return f"npz:{write_npz(tmp_path / 'x.npz')}"


def cells(source: str, file: Path, learners: list[str], **options: Any) -> list[Cell]:
    return Sweep.of({"source": source, "rules": [str(file)], "learners": learners, **SMALL, **options}).cells()


def test_a_rule_on_a_conv_net_is_trained_as_the_table_trains(source: str, tmp_path: Path) -> None:
    """Same images, order, layers, schedule, decay, clip and inference: the same curve, written down twice."""
    file = tmp_path / "mine.py"
    file.write_text(LOCAL)
    # Dropout apart: the table keys its masks by layer, a module draws from torch's own generator.
    mine, table = (
        train([c])[0][0]
        for c in cells(source, file, ["mine", "local_ce"], dropout=0.0, kernels="plain", accumulate=2, epochs=3)
    )
    for name in ("train_loss", "test_loss"):
        pairs = zip(mine["curves"][name], table["curves"][name], strict=True)
        assert all(a == pytest.approx(b, rel=2e-4) for a, b in pairs if b is not None), name
    assert len(mine["metrics"]["layer_test_accuracy"]) == len(table["metrics"]["layer_test_accuracy"])
    assert mine["counts"]["parameters"] == table["counts"]["parameters"]
    assert mine["streams"] == {"classes": "shared", "init": "shared", "rule": 3, "order": "shared", "augment": "shared"}


def test_dropout_of_a_rule_depends_on_the_cell_alone(source: str) -> None:
    one, two = cells(source, GREEDY, ["greedy"], seeds="0-1")
    first = [train([c])[0][0]["metrics"] for c in (one, two)]
    torch.rand(7)
    assert [train([c])[0][0]["metrics"] for c in (two, one)] == first[::-1]
    (undropped,) = cells(source, GREEDY, ["greedy"], dropout=0.0)
    assert train([undropped])[0][0]["metrics"] != first[0]


@pytest.mark.slow
def test_kill_9_twice_in_mid_training_then_the_same_record(source: str, tmp_path: Path) -> None:
    options = {"source": source, "rules": [str(GREEDY)], "learners": ["greedy"], **SMALL, "epochs": 30}
    program = (
        "import json, sys; from kaxis import Store, Study, run\n"
        "run(Study.of('killed', json.loads(sys.argv[1])), Store(sys.argv[2]), jobs=1, keep_every=0.0)"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def line(name: str) -> list[str]:
        return [sys.executable, "-c", program, json.dumps(options), str(tmp_path / name)]

    kept = tmp_path / "killed" / "checkpoints"
    killed_twice(line("killed"), kept, environment)
    for name in ("killed", "whole"):
        subprocess.run(line(name), env=environment, check=True)
    one, other = (load_cube(Store(tmp_path / name)).drop_vars("finished") for name in ("killed", "whole"))
    assert one.equals(other)
    assert not list(kept.glob("*"))


class Cut(Exception):
    pass


def cut_after(steps: int) -> Callable[[], None]:
    left = iter(range(steps))

    def after_step() -> None:
        if next(left, None) is None:
            raise Cut

    return after_step


@pytest.mark.parametrize("kept", ["plain", "buffer"])
def test_a_rule_of_this_session_starts_anew_too(kept: str, source: str, tmp_path: Path) -> None:
    """What its module counts in an attribute, or in a buffer that is not kept."""

    @kaxis.rule("here")
    class Here(torch.nn.Module):
        steps: torch.Tensor

        def __init__(self, start: Any) -> None:
            super().__init__()
            self.hidden, self.read = start.hidden(0), start.read(0)
            self.head = start.linear("head", start.features(0), start.K)
            if kept == "buffer":
                self.register_buffer("steps", torch.zeros(()), persistent=False)
            else:
                self.steps = torch.zeros(())

        def logits(self, x: torch.Tensor) -> list[torch.Tensor]:
            return [self.head(self.read(torch.relu(self.hidden(x))))]

        def loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            self.steps += 1
            return self.steps * torch.nn.functional.cross_entropy(self.logits(x)[0], y)

    of = Sweep.of({"source": source, "learners": ["here"], **SMALL}).cells()
    whole = train(of)[0][0]
    with pytest.raises(Cut):
        train(of, keep=tmp_path / "kept", keep_every=0.0, after_step=cut_after(3))
    assert train(of, keep=tmp_path / "kept", keep_every=0.0)[0][0]["metrics"] == whole["metrics"]


def test_a_rule_of_a_script_that_is_edited_is_another_learner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is typed in without a text is another in every session."""
    file, codes = tmp_path / "script.py", []
    for number in (1, 2):
        file.write_text(f"import kaxis\n@kaxis.rule('typed')\nclass Typed:\n    number = {number}\n")
        script = types.ModuleType("script")
        script.__file__ = str(file)
        monkeypatch.setitem(sys.modules, "script", script)
        exec(file.read_text(), script.__dict__)
        assert RULES["typed"].code == hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        codes.append(RULES["typed"].code)
        kaxis.rule("nowhere")(type("Nowhere", (), {"__module__": "nowhere"}))
        codes.append(RULES["nowhere"].code)
    assert len(set(codes)) == 4


def test_what_a_checkpoint_would_miss_starts_anew(source: str, tmp_path: Path) -> None:
    """A module that counts in a plain attribute is not gone on from half of what it was."""
    file = tmp_path / "counting.py"
    file.write_text(STATEFUL)
    of = cells(source, file, ["counting"])
    whole = train(of)[0][0]
    with pytest.raises(Cut):
        train(of, keep=tmp_path / "kept", keep_every=0.0, after_step=cut_after(3))
    assert not list((tmp_path / "kept").glob("*.pt"))
    file.write_text(
        STATEFUL + "    def get_extra_state(self):\n        return {'steps': self.steps}\n"
        "    def set_extra_state(self, state):\n        self.steps = state['steps']\n"
    )
    of = cells(source, file, ["counting"])
    with pytest.raises(Cut):
        train(of, keep=tmp_path / "kept", keep_every=0.0, after_step=cut_after(3))
    assert list((tmp_path / "kept").glob("*.pt"))
    again = train(of, keep=tmp_path / "kept", keep_every=0.0)[0][0]
    assert again["metrics"] == whole["metrics"]


def test_a_rule_may_write_its_own_steps(source: str, tmp_path: Path) -> None:
    """As the same rule with a loss, and from a checkpoint to the same record."""
    file, other = tmp_path / "steps.py", tmp_path / "loss.py"
    file.write_text(UPDATING)
    other.write_text(UPDATING.partition("    def update")[0].replace("own_steps", "own_loss") + LOSS)
    of = cells(source, file, ["own_steps"], weight_decay=0.0)
    steps = train(of)[0][0]
    # A rule's layers beside the hidden ones are drawn by purpose, so both start alike.
    loss = train(cells(source, other, ["own_loss"], weight_decay=0.0))[0][0]
    assert steps["metrics"] == loss["metrics"]
    assert "flops_predict" in steps["counts"]
    with pytest.raises(Cut):
        train(of, keep=tmp_path / "kept", keep_every=0.0, after_step=cut_after(3))
    assert train(of, keep=tmp_path / "kept", keep_every=0.0)[0][0]["metrics"] == steps["metrics"]
    with pytest.raises(RuleError, match=r"accumulate = 2: its update\(x, y\) takes whole batches"):
        train(cells(source, file, ["own_steps"], accumulate=2))
    with pytest.raises(RuleError, match=r"precision = bfloat16: its update\(x, y\) works in float32"):
        train(cells(source, file, ["own_steps"], precision="bfloat16"))


def test_a_rule_that_does_not_ask_for_the_nonlinearity_is_refused_with_another(source: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(LOCAL)
    with pytest.raises(RuleError, match=r"activation = tanh: it takes no start\.nonlinearity"):
        train(cells(source, file, ["mine"], activation="tanh"))
    relu, tanh = (train(cells(source, GREEDY, ["greedy"], activation=a))[0][0]["metrics"] for a in ("relu", "tanh"))
    assert relu != tanh


def test_a_lack_of_memory_is_told_for_a_rule_too(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(RuleStack, "step", full)
    with pytest.raises(
        KaxisError, match=r"out of memory on cpu with batch_size = 16; .*more parts than accumulate = 1"
    ):
        train(cells(source, GREEDY, ["greedy"]))


def test_groups_that_leave_a_parameter_out(source: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(LOCAL.replace(", *self.heads[i].parameters()]", "]"))
    with pytest.raises(
        RuleError, match=r"groups\(\) is to hold each parameter that is trained; look at heads.0.weight"
    ):
        train(cells(source, file, ["mine"]))


def test_one_file_runs_on_either_net(source: str, tmp_path: Path) -> None:
    load_rules([str(GREEDY)])
    store = Store(tmp_path / "store")
    from kaxis.execute.runner import run

    base = {"source": source, "rules": [str(GREEDY)], "learners": ["greedy", "bp_deepsup"], "seeds": 0}
    study = Study.of("both", {**base, **{k: v for k, v in SMALL.items() if k != "seeds"}})
    assert run(study, store, jobs=1).failed == ()
    mlp = Study.of("mlp", {**base, "steps": 20, "width": 16})
    assert run(mlp, Store(tmp_path / "mlp"), jobs=1).failed == ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("[z.detach().numpy() for z in heads]", r"gave .*; a list of \(2, 3\), one a head, is wanted"),
        ("heads if len(x) == 2 else heads[:1]", r"a list of \(\d+, 3\), 7 as before, is wanted"),
        ("heads if len(x) == 2 else None", "gave NoneType"),
    ],
)
def test_what_a_rule_predicts_is_looked_at_each_time(source: str, tmp_path: Path, given: str, message: str) -> None:
    """Not on the two samples alone by which its heads are counted."""
    file = tmp_path / "mine.py"
    renamed = LOCAL.replace("logits", "inner")
    file.write_text(f"{renamed}    def logits(self, x):\n        heads = self.inner(x)\n        return {given}\n")
    with pytest.raises(RuleError, match=message):
        train(cells(source, file, ["mine"]))


def test_a_parameter_in_two_groups_is_refused(source: str, tmp_path: Path) -> None:
    """Else it would take two steps."""
    file = tmp_path / "mine.py"
    file.write_text(LOCAL.replace("*self.heads[i].parameters()]", "*self.heads[i].parameters(), self.heads[0].bias]"))
    with pytest.raises(RuleError, match=r"look at heads\.0\.bias, which it holds twice"):
        train(cells(source, file, ["mine"]))
