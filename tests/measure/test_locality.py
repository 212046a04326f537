"""Locality."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from kaxis import plots
from kaxis.measure.audit import audit
from kaxis.measure.locality import locality
from kaxis.measure.subject import subjects
from kaxis.measure.tracker import KINDS
from tests.helpers import Cli
from tests.measure.shapes import reached


@pytest.mark.parametrize("net", ["mlp", "vgg8", "vgg11"])
@pytest.mark.parametrize(
    "learner", ["dtg_ff", "local_ce", "dtg_ff[readout=learned]", "dtg_ff[power=1,temperature=1,readout=learned]"]
)
def test_local_learners_are_diagonal(net: str, learner: str) -> None:
    values, words = reached(net, learner)
    assert ((values > 0) == np.eye(len(values), dtype=bool)).all()
    assert words == "each loss reaches its own layer alone"


@pytest.mark.parametrize("net", ["mlp", "vgg8"])
def test_deep_supervision_is_lower_triangular_and_backprop_one_full_row(net: str) -> None:
    values, words = reached(net, "bp_deepsup")
    assert ((values > 0) == np.tri(len(values), dtype=bool)).all()
    assert words == "each loss reaches its own layer and those below"
    values, words = reached(net, "bp")
    assert values.shape == (1, 4 if net == "mlp" else 7)
    assert (values > 0).all()
    assert words == "one loss reaches every layer"


@pytest.mark.parametrize("net", ["mlp", "vgg8"])
@pytest.mark.parametrize("learner", ["fa", "usf", "dfa", "sdfa"])
def test_feedback_alignment_is_not_local_and_the_table_says_so(net: str, learner: str) -> None:
    values, words = reached(net, learner)
    assert (values > 0).all()
    assert words.startswith("one loss reaches every layer, ")
    assert words.endswith("not local")


@pytest.mark.parametrize("net", ["mlp", "vgg8"])
def test_targets_reach_every_layer_and_no_loss_does(net: str) -> None:
    values, words = reached(net, "drtp")
    assert (values[0] > 0).all()
    assert (values[1, :-1] == 0).all()
    assert words == "the target reaches every layer; the one loss reaches the last head alone"


@pytest.mark.parametrize("way", ["naive", "summed", "interleaved"])
def test_however_its_step_is_worked_dtg_ff_is_local(way: str) -> None:
    subject = next(s for s in subjects(net="vgg8", width=0.0625, learners=["dtg_ff"], batch=8) if way in s.name)
    assert locality(subject).attrs["pattern"] == "each loss reaches its own layer alone"


def test_the_hybrid_shows_its_global_path_and_the_concat_classifier_none() -> None:
    values, words = reached("mlp", "ff_hybrid")
    assert "classifier reaches 0, 1, 2, head" in words
    assert (values[-1, :3] > 0).all()
    assert values[-1, 3] == 0
    assert ((values[:4, :4] > 0) == np.eye(4, dtype=bool)).all()
    _, words = reached("vgg8", "dtg_ff[inference=concat]")
    assert words == "each loss reaches its own layer alone"
    _, words = reached("vgg8", "bp_concat")
    assert words == "one loss reaches every layer"


def test_a_users_rule_is_looked_into_by_its_losses() -> None:
    _, words = reached("mlp", "predsim", rules=["docs/predsim.py"])
    assert words == "each loss reaches its own layer alone"


def test_what_is_kept_for_a_pass_back_is_compared_where_there_is_one() -> None:
    for learner in ("dfa", "random_trunk"):
        assert [s.name for s in subjects(net="vgg8", learners=[learner])] == [learner, f"{learner}, 4 parts"]


def test_norms_are_those_of_plain_autograd() -> None:
    (subject,) = subjects(net="mlp", size=20, learners=["bp_deepsup"], batch=16, K=5)
    matrix = locality(subject)
    stack = subject.stack("cpu", steps=2)
    p = {name: t.clone().requires_grad_() for name, t in stack.tensors(0).items()}
    rows, y = next(stack.batches.draw(0))
    h = stack.batches.loader.features[rows]
    for layer in range(4):
        h = torch.relu(h @ p[f"W{layer}"].T + p[f"b{layer}"][:, 0])
        logits = h @ p[f"R{layer}"].T + p[f"c{layer}"][:, 0]
        loss = torch.nn.functional.cross_entropy(logits, y[0])
        for below in range(4):
            own = [p[f"{kind}{below}"] for kind in "WbRc"]
            found = torch.autograd.grad(loss, own, retain_graph=True, allow_unused=True)
            norm = sum(float(g.square().sum()) for g in found if g is not None) ** 0.5
            assert float(matrix.sel(loss=str(layer), layer=str(below))) == pytest.approx(norm, rel=1e-4)


def test_locality_on_the_command_line(cli: Cli, tmp_path: Path) -> None:
    code, out, _ = cli("audit", "locality", "--learner", "ff_hybrid", "--figure", str(tmp_path))
    assert code == 0
    assert "classifier reaches" in out
    assert (tmp_path / "locality.pdf").exists()
    code, out, _ = cli("audit", "locality", "--json")
    assert json.loads(out)["attrs"]["pattern"] == "each loss reaches its own layer alone"


def test_figures_show_every_configuration_and_every_block() -> None:
    rows = audit(net="vgg8", width=0.03, batch=8)
    figure, drawn = plots.audit(rows)
    bars = figure.axes[0]
    assert len(bars.patches) == len(KINDS) * len(rows)
    assert len(drawn) == len(rows)
    ends = [
        max(p.get_x() + p.get_width() for p in bars.patches if p.get_y() == y)
        for y in {p.get_y() for p in bars.patches}
    ]
    assert sorted(ends) == pytest.approx(sorted(r["peak"] / 2**20 for r in rows))
    (subject,) = subjects(net="mlp", learners=["bp_deepsup"], batch=8)
    figure, drawn = plots.locality(locality(subject))
    assert len(figure.axes[0].collections) == 16
    assert sum(r["norm"] > 0 for r in drawn) == 10


def test_members_of_an_ensemble_are_measured_together() -> None:
    values, words = reached("mlp", "bp_ensemble")
    assert (values > 0).all()
    assert words == "one loss reaches every layer"


def test_a_readout_that_is_not_trained_sends_its_error_all_the_same() -> None:
    """On both nets: of the last head nothing is trained."""
    for net in ("mlp", "vgg8"):
        values, _ = reached(net, "dfa[readout=fixed]")
        assert (values > 0).all()


ODD = """
import torch, kaxis
@kaxis.rule("odd")
class Odd(torch.nn.Module):
    def __init__(self, start):
        super().__init__()
        self.hidden = torch.nn.ModuleList(start.hidden(i) for i in range(start.depth))
        self.out = start.linear("out", start.width, start.K)
    def logits(self, x):
        for layer in self.hidden:
            x = torch.relu(layer(x))
        return [self.out(x)]
    def loss(self, x, y):
        return torch.nn.functional.cross_entropy(self.logits(x)[0], y)
    def losses(self, x, y):
        return GIVEN
"""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("[self.loss(x, y)]", "losses(x, y) is to give names with their losses"),
        ("{}", "losses(x, y) is to give names with their losses"),
        ("{'a': 1.0}", "its loss 'a' is to be one finite number that hangs on a parameter"),
        ("{'a': self.loss(x, y) * float('nan')}", "its loss 'a' is to be one finite number"),
        ("exit()", "exits with None"),
    ],
)
def test_losses_of_a_rule_are_looked_at(cli: Cli, tmp_path: Path, given: str, message: str) -> None:
    file = tmp_path / "odd.py"
    file.write_text(ODD.replace("GIVEN", given))
    code, _, err = cli("audit", "locality", "--rules", file, "--learner", "odd")
    assert code == 2
    assert message in err
    assert "fault" not in err


def test_losses_that_go_everywhere_are_said_to(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "odd.py"
    file.write_text(ODD.replace("GIVEN", "{'one': self.loss(x, y), 'two': self.loss(x, y)}"))
    code, out, _ = cli("audit", "locality", "--rules", file, "--learner", "odd")
    assert code == 0
    assert "losses reach several layers" in out
