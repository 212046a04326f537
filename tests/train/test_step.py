"""The step of a conv net: what a loss reaches, ways of working a batch, memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kaxis.nets.vgg import VGG
from kaxis.train.step import gradients
from tests.nets.vgg import K, batch, build, ignore, masks, same, taken


@pytest.mark.parametrize("learner", ["dtg_ff", "local_ce", "dtg_ff[power=1]", "dtg_ff[goodness=scalar]"])
def test_no_loss_reaches_another_layer(learner: str) -> None:
    net = build(learner, torch.float32)
    x, y = batch(dtype=torch.float32)
    h = x
    for i in range(len(net.plan)):
        net.zero_grad(set_to_none=True)
        a = net.activation(i, h)
        h = net.onward(i, a.detach(), None) if i + 1 < len(net.plan) else a
        F.cross_entropy(net.head(i, a), y).backward()
        own = {id(p) for p in net.groups()[i]}
        assert any(p.grad is not None and p.grad.abs().max() > 0 for p in net.groups()[i])
        for p in net.parameters():
            assert id(p) in own or p.grad is None
    # and so in the trainer's own step, all layers at once: turning one head's loss off leaves every other gradient as
    # it was
    whole = taken(net, x, y, None)
    with torch.no_grad():
        net.heads["3"].weight.zero_()
    without = taken(net, x, y, None)
    trained = [p for p in net.parameters() if p.requires_grad]
    third = {id(p) for p in net.groups()[3]}
    for p, one, other in zip(trained, whole, without, strict=True):
        if id(p) not in third:
            assert one is not None
            assert torch.equal(one, other)  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("learner", ["dtg_ff", "local_ce", "dtg_ff[inference=concat]"])
def test_summed_and_interleaved_losses_give_the_same_gradients(learner: str, precision: str) -> None:
    net = build(learner, torch.float32)
    x, y = batch(dtype=torch.float32)
    how = {"precision": precision}
    same(taken(net, x, y, masks(net), local_step="summed", **how), taken(net, x, y, masks(net), **how), tolerance=1e-6)


def test_the_naive_step_equals_the_interleaved_one_when_nothing_is_learned() -> None:
    """At learning rate 0 the output computed after the step is the one before it."""
    net = build("dtg_ff", torch.float32)
    x, y = batch(dtype=torch.float32)
    same(taken(net, x, y, masks(net), local_step="naive"), taken(net, x, y, masks(net)), tolerance=0)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_naive_step_feeds_the_next_layer_from_after_the_step(precision: str) -> None:
    """With a step between, the naive gradients are those of a net whose lower layer has stepped already."""
    x, y = batch(dtype=torch.float32)
    net, ahead = build("dtg_ff", torch.float32), build("dtg_ff", torch.float32)
    optimizers = [torch.optim.SGD(group, lr=0.1) for group in net.groups().values()]
    caught: dict[int, Tensor] = {}

    def done(i: int) -> None:
        caught[i] = net.convs[i].weight.grad.clone()
        optimizers[i].step()

    gradients(net, x, y, None, done, local_step="naive", precision=precision)
    taken(ahead, x, y, None, precision=precision)
    with torch.no_grad():
        for p in ahead.groups()[0]:
            p -= 0.1 * p.grad
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        first = ahead.activation(0, x).detach()
        a = ahead.activation(1, ahead.onward(0, first, None))
        logits = ahead.head(1, a)
    ahead.zero_grad()
    F.cross_entropy(logits, y).backward()
    torch.testing.assert_close(caught[1], ahead.convs[1].weight.grad)


@pytest.mark.parametrize("learner", ["bp", "bp_deepsup", "bp_concat"])
def test_checkpointed_activations_give_the_same_gradients(learner: str) -> None:
    net = build(learner, torch.float32)
    x, y = batch(dtype=torch.float32)
    same(taken(net, x, y, masks(net), checkpointing=True), taken(net, x, y, masks(net)), tolerance=0)


@pytest.mark.parametrize("learner", ["bp", "bp_deepsup", "dtg_ff"])
def test_accumulated_parts_add_up_to_the_batch(learner: str) -> None:
    """Without batch statistics; to rounding, since sums are taken in another order."""
    net = build(learner, torch.float32)
    x, y = batch(dtype=torch.float32)
    whole = taken(net, x, y, None)
    net.zero_grad(set_to_none=True)
    for part in (slice(0, 3), slice(3, 6)):
        gradients(net, x[part], y[part], None, ignore, share=0.5)
    same([p.grad for p in net.parameters() if p.requires_grad], whole, tolerance=1e-4)


@pytest.mark.parametrize("learner", ["dtg_ff", "bp_deepsup"])
def test_one_adamw_over_all_layers_equals_one_a_layer(learner: str) -> None:
    one, many = build(learner, torch.float32), build(learner, torch.float32)
    x, y = batch(dtype=torch.float32)
    single = torch.optim.AdamW([p for p in one.parameters() if p.requires_grad], lr=0.01, fused=True)
    layered = [torch.optim.AdamW(group, lr=0.01, fused=True) for group in many.groups().values()]
    for _ in range(3):
        taken(one, x, y, None)
        single.step()
        taken(many, x, y, None)
        for optimizer in layered:
            optimizer.step()
    for p, q in zip(one.parameters(), many.parameters(), strict=True):
        assert torch.equal(p, q)


def kept_bytes(net: VGG, x: Tensor, y: Tensor, **how: Any) -> int:
    """The most bytes of activations that autograd holds at once, parameters left out."""
    own = {p.untyped_storage().data_ptr() for p in net.parameters()}
    alive: dict[int, list[int]] = {}
    most = 0

    class Held:
        def __init__(self, t: Tensor) -> None:
            self.t, self.key = t, t.untyped_storage().data_ptr()
            if self.key not in own:
                entry = alive.setdefault(self.key, [t.untyped_storage().nbytes(), 0])
                entry[1] += 1
                nonlocal most
                most = max(most, sum(size for size, _ in alive.values()))

        def __del__(self) -> None:
            if self.key in alive:
                alive[self.key][1] -= 1
                if not alive[self.key][1]:
                    del alive[self.key]

    with torch.autograd.graph.saved_tensors_hooks(Held, lambda held: held.t):
        gradients(net, x, y, None, ignore, **how)
    return most


def test_the_interleaved_step_needs_no_more_memory_for_more_layers() -> None:
    """Equal layers: VGG8 and VGG13 made as wide throughout, at 16 px without pools; global learning does need more."""

    def peak(name: str, learner: str, **how: Any) -> int:
        net = build(learner, torch.float32, net=name, depth_only=True)
        net.plan = [type(p)(p.inputs, p.channels, 16, 1, False) for p in net.plan]
        x, y = batch(dtype=torch.float32, size=16)
        for head in net.heads.values():
            head.weight = nn.Parameter(torch.randn(K, net.plan[-1].channels), requires_grad=False)
        return kept_bytes(net, x, y, **how)

    assert peak("vgg13", "dtg_ff") == peak("vgg8", "dtg_ff")
    assert peak("vgg13", "dtg_ff", local_step="summed") > 1.3 * peak("vgg8", "dtg_ff", local_step="summed")
    assert peak("vgg13", "dtg_ff", local_step="summed") > 5 * peak("vgg13", "dtg_ff")
    assert peak("vgg13", "bp") > 1.3 * peak("vgg8", "bp")


def test_bfloat16_is_near_float32() -> None:
    net = build("dtg_ff", torch.float32)
    x, y = batch(dtype=torch.float32)
    exact = taken(net, x, y, None)
    for one, other in zip(taken(net, x, y, None, precision="bfloat16"), exact, strict=True):
        assert one is not None
        assert other is not None
        assert one.dtype == torch.float32
        assert 0 < float((one - other).norm() / other.norm()) < 0.1
