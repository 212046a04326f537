"""Every combination of a learner's switches against plain PyTorch, and what a local gradient may reach."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from kaxis.nets.mlp import MLPStack
from kaxis.nets.plan import counts
from kaxis.spec.learner import TableLearner
from kaxis.spec.learners import TABLE, parse
from kaxis.spec.net import MLPSpec
from kaxis.spec.sweep import Sweep
from tests.nets.reference import PlainMLP

COMBINATIONS = [
    f"dtg_ff[gradient={g},power={p},temperature={t},readout={r}]"
    for g, p, t, r in itertools.product(("global", "local"), ("1", "2"), ("1", "learned"), ("learned", "fixed"))
]


D, H, L, K, B = 6, 16, 3, 7, 32


def config(learner: str, **options: Any) -> TableLearner:
    return Sweep.of({"source": "synthetic", "K": K, "seeds": "0", "learners": learner, **options}).cells()[0].algorithm


def stack(learner: TableLearner, networks: int = 3, activation: Any = "relu") -> MLPStack:
    seeds, net = [(seed, 0) for seed in range(networks)], MLPSpec(width=H, depth=L, activation=activation)
    return MLPStack(seeds, K=K, inputs=D, net=net, learner=learner, dtype=torch.float64)


def batch(networks: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(networks, B, D, generator=g, dtype=torch.float64)
    return x, torch.randint(0, K, (networks, B), generator=g)


ON_MLP = [name for name, row in TABLE.items() if row.heads != "concat" and row.rule is None]


SENT_BACK = [f"{g}[power=2,temperature=learned]" for g in ("fa", "usf", "dfa", "sdfa", "drtp")]
"""What feedback alignment was not published with, and the switches allow."""


@pytest.mark.parametrize("norm", ["none", "layernorm", "rmsnorm", "groupnorm"])
@pytest.mark.parametrize("learner", [*ON_MLP, *COMBINATIONS, *SENT_BACK, "dtg_ff[readout=groups]", "bp[bias=no]"])
def test_gradients_equal_autograd(learner: str, norm: str) -> None:
    assert_equal_gradients(stack(config(learner, norm=norm)))


@pytest.mark.parametrize("learner", [*ON_MLP, "dtg_ff[gradient=global]"])
def test_gradients_through_tanh_equal_autograd(learner: str) -> None:
    assert_equal_gradients(stack(config(learner, activation="tanh"), activation="tanh"))


def assert_equal_gradients(net: MLPStack) -> None:
    x, y = batch()
    net.gradients(x, y)
    for e in range(net.E):
        plain = PlainMLP(net, e)
        plain.backward(x[e], y[e])
        named = plain.by_name()
        assert named.keys() == net.g.keys()
        for name, parameter in named.items():
            torch.testing.assert_close(net.g[name][e].view(parameter.shape), parameter.grad, rtol=1e-9, atol=1e-12)
        for ours, theirs in zip(net.logits(x), plain.logits(x[e]), strict=True):
            torch.testing.assert_close(ours[e].T, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("learner", ["bp", "bp_deepsup", "dtg_ff"])
def test_smoothed_labels_equal_autograd(learner: str) -> None:
    net = stack(config(learner, label_smoothing=0.2))
    x, y = batch()
    net.gradients(x, y)
    for e in range(net.E):
        plain = PlainMLP(net, e)
        torch.stack(
            [torch.nn.functional.cross_entropy(z, y[e], label_smoothing=0.2) for z in plain.logits(x[e])]
        ).sum().backward()
        for name, parameter in plain.by_name().items():
            torch.testing.assert_close(net.g[name][e].view(parameter.shape), parameter.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "learner",
    ["bp", "bp_deepsup", "dtg_ff", "local_ce", "deeperforward", "fa", "usf", "dfa", "sdfa", "drtp", "random_trunk"],
)
@pytest.mark.slow
def test_training_with_clipping_equals_plain_adam(learner: str) -> None:
    """Thirty steps of Adam with per-layer clipping, against `torch.optim.Adam` and `clip_grad_norm_` on one network."""
    net = stack(config(learner, clip=0.05))
    plain = [PlainMLP(net, e) for e in range(net.E)]
    ours = torch.optim.Adam([net.parameters], lr=0.01, fused=True)
    theirs = [torch.optim.Adam([p for p in m.parameters() if p.requires_grad], lr=0.01) for m in plain]
    for step in range(30):
        x, y = batch(seed=step)
        net.gradients(x, y)
        net.clip(0.05)
        ours.step()
        for e, (module, optimizer) in enumerate(zip(plain, theirs, strict=True)):
            optimizer.zero_grad()
            module.backward(x[e], y[e])
            for layer in range(L):
                torch.nn.utils.clip_grad_norm_(module.layer_parameters(layer), 0.05)
            optimizer.step()
    for e, module in enumerate(plain):
        for name, parameter in module.by_name().items():
            torch.testing.assert_close(net.p[name][e].view(parameter.shape), parameter.data, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("learner", [name for name in [*ON_MLP, *COMBINATIONS] if parse(name).gradient == "local"])
def test_no_gradient_crosses_a_layer(learner: str) -> None:
    """Change one layer's head: a local learner's gradients on every other layer must not move by a single bit."""
    x, y = batch()
    for layer in range(L):
        base, changed = stack(config(learner)), stack(config(learner))
        changed.p[f"R{layer}"].mul_(3.0)
        base.gradients(x, y)
        changed.gradients(x, y)
        for name, gradient in base.g.items():
            assert torch.equal(gradient, changed.g[name]) == (not name.endswith(str(layer))), (layer, name)


def test_global_gradients_do_cross_layers() -> None:
    x, y = batch()
    base, changed = stack(config("bp_deepsup")), stack(config("bp_deepsup"))
    changed.p[f"R{L - 1}"].mul_(3.0)
    base.gradients(x, y)
    changed.gradients(x, y)
    assert not torch.equal(base.g["W0"], changed.g["W0"])


def test_learners_of_a_seed_start_alike() -> None:
    """Hidden weights are shared by every learner; a learned readout of the factorial starts from the fixed one's
    draw.
    """
    nets = {name: stack(config(name)) for name in ("bp", "bp_deepsup", "dtg_ff", "dtg_ff[readout=learned]")}
    for net in nets.values():
        for layer in range(L):
            assert torch.equal(net.p[f"W{layer}"], nets["bp"].p[f"W{layer}"])
    assert torch.equal(nets["dtg_ff"].p["R0"], nets["dtg_ff[readout=learned]"].p["R0"])
    assert not torch.equal(nets["dtg_ff"].p["R0"], nets["bp_deepsup"].p["R0"])
    assert torch.equal(nets["bp"].p[f"R{L - 1}"], nets["bp_deepsup"].p[f"R{L - 1}"])


@pytest.mark.parametrize(("scale", "expected"), [("unit", 1.0), ("rsqrt_width", 128**-0.5), ("rsqrt_K", 50**-0.5)])
def test_readout_scale(scale: str, expected: float) -> None:
    learner = (
        Sweep.of({"source": "synthetic", "K": 50, "learners": "dtg_ff", "readout_scale": scale}).cells()[0].algorithm
    )
    net = MLPStack([(0, 0)], K=50, inputs=32, net=MLPSpec(), learner=learner)
    assert float(net.p["R0"].std()) == pytest.approx(expected, rel=0.05)
    assert float(net.p["c0"].std()) == pytest.approx(expected, rel=0.4)


def test_counts_follow_the_papers_accounting() -> None:
    """By hand, for 32-128-128-128-128 and K = 10: backbone 53,760, a head 1,290."""
    size = {"K": 10, "inputs": 32, "net": MLPSpec(), "batch": 256}
    count = {name: counts(**size, learner=row.plain()) for name, row in TABLE.items() if name in ON_MLP}
    assert count["bp"]["parameters"] == 53_760 + 1_290
    assert count["bp_ensemble"]["parameters"] == 4 * (53_760 + 1_290)
    assert count["bp_deepsup"]["parameters"] == 53_760 + 4 * 1_290
    assert (count["dtg_ff"]["parameters"], count["dtg_ff"]["buffers"]) == (53_760 + 4, 4 * 1_290)
    hidden, head = 32 * 128 + 3 * 128 * 128, 128 * 10
    assert count["bp"]["flops_step"] == 2 * 256 * (2 * hidden + 3 * 128 * 128 + 3 * head)
    assert count["dtg_ff"]["flops_step"] == 2 * 256 * (2 * hidden + 2 * 4 * head)
    assert count["dtg_ff"]["flops_predict"] == 2 * (hidden + 4 * head)


@pytest.mark.parametrize("learner", ON_MLP)
def test_counted_parameters_are_those_of_the_net(learner: str) -> None:
    row = config(learner)
    trained = sum(
        view[0].numel()
        for view in stack(row).p.values()
        if view.untyped_storage().nbytes() == stack(row).parameters.nbytes
    )
    expected = counts(K=K, inputs=D, net=MLPSpec(width=H, depth=L), batch=B, learner=row)["parameters"]
    assert trained * row.members == expected
