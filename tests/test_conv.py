"""The conv nets: shapes, agreement with plain PyTorch, locality, and the ways of computing one step."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, product
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from kaxis.nets import fused
from kaxis.nets.plan import conv_counts, layers
from kaxis.nets.vgg import VGG
from kaxis.spec.cell import Cell
from kaxis.spec.net import VGGSpec
from kaxis.spec.sweep import Sweep
from kaxis.train.schedule import cosine
from kaxis.train.step import gradients

K, SIZE = 5, 32
ROWS = [
    "bp",
    "bp_concat",
    "bp_deepsup",
    "dtg_ff",
    "local_ce",
    "dtg_ff[inference=concat]",
    "bp_deepsup[inference=concat]",
]


def a_cell(learner: str, **options: Any) -> Cell:
    return Sweep.of(
        {"source": "cifar10", "K": K, "net": "vgg8", "width": 0.05, "learners": learner, **options}
    ).cells()[0]


def build(learner: str, dtype: torch.dtype = torch.float64, size: int = SIZE, **options: Any) -> VGG:
    c = a_cell(learner, **options)
    return VGG(0, 0, K=K, size=size, net=c.net, learner=c.algorithm, concat=c.algorithm.concat).to(dtype)


def batch(n: int = 6, dtype: torch.dtype = torch.float64, size: int = SIZE) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    x = torch.randn(n, 3, size, size, generator=g, dtype=dtype).to(memory_format=torch.channels_last)
    return x, torch.randint(0, K, (n,), generator=g)


def masks(net: VGG) -> Callable[[int, Tensor], Tensor]:
    """Dropout by a generator of its own for each layer, so that order does not matter."""

    def mask(i: int, like: Tensor) -> Tensor:
        g = torch.Generator().manual_seed(100 + i)
        return (torch.rand(like.shape, generator=g, dtype=torch.float64) < 0.8).to(like.dtype) / 0.8

    return mask


def ignore(i: int) -> None:
    pass


class Plain(nn.Module):
    """The same network as its paper describes it: autograd, one expression a line, no sharing of code."""

    def __init__(self, net: VGG) -> None:
        super().__init__()
        self.net = net

    def losses(self, x: Tensor, y: Tensor, mask: Callable[[int, Tensor], Tensor]) -> list[Tensor]:
        net, row, out, gap = self.net, self.net.learner, [], []
        for i, conv in enumerate(net.convs):
            if row.gradient == "local":
                x = x.detach()
            a = torch.relu(F.conv2d(x, conv.weight, conv.bias, padding=1))
            if str(i) in net.heads:
                g = a**2 if row.power == "2" else a
                side = {0: 4, 1: 2, 2: 2}.get(i, 1)
                g = F.adaptive_avg_pool2d(g, side).permute(0, 2, 3, 1).reshape(len(x), -1)
                if row.temperature == "learned":
                    g = g / (0.5 + 1.5 * torch.sigmoid(net.alphas[str(i)]))
                head = net.heads[str(i)]
                out.append(F.cross_entropy(g @ head.weight.T + head.bias, y))
            gap.append(a.mean((2, 3)))
            x = F.avg_pool2d(a, 2) if i in (1, 3, 4, 5) else a
            x = F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2]).permute(0, 3, 1, 2)
            if i < 6:
                x = x * mask(i, x)
        if net.concat is not None:
            features = torch.cat(gap[1:], 1)
            if row.heads != "concat":
                features = features.detach()
            centred = features - features.mean(0)
            features = (
                centred / (features.var(0, unbiased=False) + 1e-5).sqrt() * net.concat[0].weight + net.concat[0].bias
            )
            out.append(F.cross_entropy(net.concat[1](features * mask(7, features)), y, label_smoothing=0.1))
        return out


def by_hand(net: VGG, x: Tensor, y: Tensor, mask: Callable[[int, Tensor], Tensor]) -> list[Tensor | None]:
    trained = [p for p in net.parameters() if p.requires_grad]
    return list(torch.autograd.grad(torch.stack(Plain(net).losses(x, y, mask)).sum(), trained, allow_unused=True))


def taken(net: VGG, x: Tensor, y: Tensor, mask: Any, **how: Any) -> list[Tensor | None]:
    net.zero_grad(set_to_none=True)
    gradients(net, x, y, mask, how.pop("done", ignore), **how)
    return [p.grad for p in net.parameters() if p.requires_grad]


def same(a: list[Tensor | None], b: list[Tensor | None], tolerance: float = 1e-9) -> None:
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        if one is None or other is None:
            assert one is other or (one if other is None else other).abs().max() == 0  # type: ignore[union-attr]
        else:
            torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance * float(other.abs().max()) + 1e-15)


@pytest.mark.parametrize("learner", ROWS)
def test_every_learner_agrees_with_plain_pytorch(learner: str) -> None:
    net = build(learner)
    net.float()  # heads compute in float32; so do the comparison's
    x, y = batch(dtype=torch.float32)
    same(taken(net, x, y, masks(net)), by_hand(net, x, y, masks(net)), tolerance=2e-4)


VARIANTS = [
    *ROWS,
    "dtg_ff[power=1]",
    "dtg_ff[goodness=scalar]",
    "dtg_ff[goodness_norm=batchnorm]",
    "dtg_ff[norm=rmsnorm]",
    "bp_deepsup[norm=none]",
    "bp_deepsup[power=2]",
]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("size", [16, 32])
@pytest.mark.parametrize("learner", VARIANTS)
def test_fused_layers_are_the_plain_ones_to_rounding(learner: str, size: int, precision: str) -> None:
    net = build(learner, torch.float32, size)
    x, y = batch(dtype=torch.float32, size=size)
    how = {"precision": precision, "local_step": "summed"}
    ours, plain = (taken(net, x, y, masks(net), kernels=kernels, **how) for kernels in ("fused", "plain"))
    same(ours, plain, tolerance=2e-5 if precision == "float32" else 0.05)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("used", [u for u in product([False, True], repeat=3) if any(u)])
def test_the_pass_back_through_a_fused_layer_is_autograds(used: tuple[bool, bool, bool], squared: bool) -> None:
    """Whichever of the activation, its head's mean and its pooled map have a gradient."""
    draw = torch.Generator().manual_seed(0)
    x, W, b, *weights = (
        torch.randn(shape, generator=draw)
        for shape in ((3, 4, 8, 8), (6, 4, 3, 3), (6,), (3, 6, 8, 8), (3, 6, 2, 2), (3, 6, 4, 4))
    )
    x = x.to(memory_format=torch.channels_last)

    def whole(outs: tuple[Tensor | None, ...]) -> Tensor:
        return torch.stack([(o * w).sum() for o, w, u in zip(outs, weights, used, strict=True) if u]).sum()  # type: ignore[operator]

    leaves = [t.clone().requires_grad_() for t in (x, W, b)]
    ours = torch.autograd.grad(whole(fused.layer(*leaves, head=2, squared=squared, pool=True)), leaves)
    leaves = [t.double().requires_grad_() for t in (x, W, b)]
    a = F.relu(F.conv2d(*leaves, padding=1))
    g, p = F.avg_pool2d(a**2 if squared else a, 4), F.avg_pool2d(a, 2)
    for one, other in zip(ours, torch.autograd.grad(whole((a, g, p)), leaves), strict=True):
        torch.testing.assert_close(one, other.float(), rtol=1e-4, atol=1e-5)


@given(
    keep=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**62),
    shape=st.sampled_from([(3, 5), (200, 500), (2, 3, 5, 5), (40, 8, 16, 16)]),
)
def test_masks_of_16_bits_keep_the_share_asked_for(keep: float, seed: int, shape: tuple[int, ...]) -> None:
    like = torch.empty(shape)
    if len(shape) == 4:
        like = like.to(memory_format=torch.channels_last)
    mask = fused.kept(like, keep, torch.Generator().manual_seed(seed))
    assert mask.shape == like.shape
    assert mask.stride() == like.stride()
    share = round(keep * 2**16) / 2**16
    assert set(mask.unique().tolist()) <= {0.0, torch.tensor(1.0).div(share).item()}
    if mask.numel() > 50_000:
        spread = (share * (1 - share) / mask.numel()) ** 0.5
        assert abs(float((mask > 0).double().mean()) - share) < 6 * spread
    assert torch.equal(mask, fused.kept(like, keep, torch.Generator().manual_seed(seed)))


def test_cells_from_before_the_fused_form_are_known_as_they_were() -> None:
    assert "kernels" not in a_cell("bp", kernels="plain").config["train"]
    assert a_cell("bp").config["train"]["kernels"] == "fused"


def test_vgg8_has_the_published_shape() -> None:
    plan = layers(VGGSpec(name="vgg8"), 32)
    assert [p.goodness for p in plan] == [2048, 1024, 1024, 512, 512, 512, 512]
    assert sum(p.channels for p in plan[1:]) == 2560
    assert round(sum(p.macs for p in plan) / 1e6) == 957
    c = a_cell("bp", width=1)
    net = VGG(0, 0, K=10, size=32, net=c.net, learner=c.algorithm, concat=True)
    assert net.concat is not None
    assert net.concat[1].in_features == 2560
    heads = VGG(0, 0, K=10, size=32, net=c.net, learner=a_cell("dtg_ff", width=1).algorithm, concat=False).heads
    assert [h.in_features for h in heads.values()] == [2048, 1024, 1024, 512, 512, 512, 512]


def test_vgg11_at_224_costs_what_the_hand_count_says() -> None:
    c = a_cell("bp", net="vgg11", width=1)

    def giga(name: str) -> float:
        learner = a_cell(name, net="vgg11", width=1).algorithm
        return conv_counts(K=100, size=224, batch=1, net=c.net, learner=learner)["flops_step"] / 1e9

    assert giga("bp") == pytest.approx(44.7, abs=0.1)
    assert giga("dtg_ff") == pytest.approx(29.9, abs=0.1)


@pytest.mark.parametrize("learner", ["bp_deepsup", "dtg_ff", "bp_concat", "bp"])
def test_counted_parameters_are_those_there_are(learner: str) -> None:
    c = a_cell(learner)
    net = build(learner)
    count = conv_counts(K=K, size=SIZE, batch=1, net=c.net, learner=c.algorithm)
    assert count["parameters"] == sum(p.numel() for p in net.parameters() if p.requires_grad)
    assert count["buffers"] == sum(p.numel() for p in net.heads.parameters() if not p.requires_grad)


@pytest.mark.parametrize("depth", ["vgg8", "vgg11", "vgg13"])
def test_depth_only_nets_are_equally_wide_and_end_at_one_size(depth: str) -> None:
    plan = layers(VGGSpec(name=depth, depth_only=True), 32)
    assert {p.channels for p in plan} == {256}
    assert sum(p.pool for p in plan) == 4
    assert plan[-1].side == 2


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
    optimizers = [torch.optim.SGD(group, lr=0.1) for group in net.groups()]
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
    layered = [torch.optim.AdamW(group, lr=0.01, fused=True) for group in many.groups()]
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


def test_cosine_falls_from_the_rate_to_the_floor() -> None:
    rates = [cosine(t, 100, 1e-3, 1e-5) for t in range(101)]
    assert rates[0] == pytest.approx(1e-3)
    assert rates[-1] == pytest.approx(1e-5)
    assert all(a > b for a, b in pairwise(rates))


def test_goodness_options_change_what_heads_read() -> None:
    scalar = build("dtg_ff", goodness="scalar", dtype=torch.float32)
    assert all(head.in_features == 1 for head in scalar.heads.values())
    normed = build("dtg_ff", goodness_norm="batchnorm", dtype=torch.float32)
    x, y = batch(dtype=torch.float32)
    taken(normed, x, y, None)
    assert all(bn.num_batches_tracked == 1 for bn in normed.goodness_norms.values())
    columns = build("dtg_ff", readout_scale="columns", dtype=torch.float32)
    for head in columns.heads.values():
        torch.testing.assert_close(head.weight.norm(dim=0), torch.ones(head.in_features))
