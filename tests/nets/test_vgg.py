"""The conv nets: shapes, agreement with plain PyTorch, locality, and the ways of computing one step."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from kaxis.nets import fused
from kaxis.nets.draws import group_means
from kaxis.nets.maps import flat, grid_means
from kaxis.nets.plan import conv_counts, layers
from kaxis.nets.vgg import VGG
from kaxis.spec.net import VGGSpec
from kaxis.train.schedule import cosine
from kaxis.train.step import gradients
from tests.nets.vgg import ROWS, SIZE, K, a_cell, batch, build, by_hand, masks, same, taken


@pytest.mark.parametrize("learner", ROWS)
def test_every_learner_agrees_with_plain_pytorch(learner: str) -> None:
    net = build(learner, width=0.1)
    net.float()  # heads compute in float32; so do the comparison's
    x, y = batch(dtype=torch.float32)
    same(taken(net, x, y, masks(net)), by_hand(net, x, y, masks(net)), tolerance=2e-4)


@pytest.mark.parametrize("learner", ["bp", "bp_deepsup", "dtg_ff", "fa", "usf", "dfa", "sdfa", "drtp"])
def test_through_tanh_every_learner_agrees_with_plain_pytorch(learner: str) -> None:
    net = build(learner, torch.float32, activation="tanh")
    x, y = batch(dtype=torch.float32)
    same(taken(net, x, y, masks(net)), by_hand(net, x, y, masks(net)), tolerance=2e-4)


def test_heads_of_groups_are_means_of_channels_and_pixels() -> None:
    """Of 20 channels at K = 5 four each; of 10 at K = 4 three, three, two and two."""
    for channels, classes in ((20, 5), (10, 4)):
        a = torch.randn(2, channels, 8, 8)
        R = torch.from_numpy(group_means(classes, channels, 4)).float()
        means = torch.stack([part.mean((1, 2, 3)) for part in a.tensor_split(classes, 1)], 1)
        torch.testing.assert_close(flat(grid_means(a, 2)) @ R.T, means)


def test_a_trunk_that_is_not_trained_stays_as_it_was_drawn() -> None:
    (cell,) = (a_cell("random_trunk"),)
    net = build("random_trunk", torch.float32)
    before = [conv.weight.clone() for conv in net.convs]
    x, y = batch(dtype=torch.float32)
    groups = net.groups()
    optimizers = {i: torch.optim.AdamW(own, lr=0.1, weight_decay=0.5) for i, own in groups.items()}
    gradients(net, x, y, None, lambda i: optimizers[i].step())
    assert all(torch.equal(conv.weight, was) for conv, was in zip(net.convs, before, strict=True))
    count = conv_counts(K=K, size=SIZE, batch=1, net=cell.net, learner=cell.algorithm)
    assert count["parameters"] == sum(p.numel() for own in groups.values() for p in own)


VARIANTS = [
    *ROWS[:7],
    "dtg_ff[power=1]",
    "dtg_ff[goodness=scalar]",
    "dtg_ff[goodness_norm=batchnorm]",
    "dtg_ff[norm=rmsnorm]",
    "bp_deepsup[norm=none]",
    "bp_deepsup[power=2]",
    "dtg_ff[norm=groupnorm]",
    "bp_deepsup[norm=rmsnorm_sample]",
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


@pytest.mark.parametrize("tanh", [False, True])
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("used", [u for u in product([False, True], repeat=3) if any(u)])
def test_the_pass_back_through_a_fused_layer_is_autograds(
    used: tuple[bool, bool, bool], squared: bool, tanh: bool
) -> None:
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
    ours = torch.autograd.grad(whole(fused.layer(*leaves, head=2, squared=squared, pool=True, tanh=tanh)), leaves)
    leaves = [t.double().requires_grad_() for t in (x, W, b)]
    a = (torch.tanh if tanh else F.relu)(F.conv2d(*leaves, padding=1))
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


@pytest.mark.parametrize("learner", ["bp_deepsup", "dtg_ff", "bp_concat", "bp", "mono_forward", "fa", "dfa"])
def test_counted_parameters_are_those_there_are(learner: str) -> None:
    c = a_cell(learner)
    net = build(learner)
    count = conv_counts(K=K, size=SIZE, batch=1, net=c.net, learner=c.algorithm)
    assert count["parameters"] == sum(p.numel() for p in net.parameters() if p.requires_grad)
    fixed = 0 if c.algorithm.bias == "no" else sum(p.numel() for p in net.heads.parameters() if not p.requires_grad)
    assert count["buffers"] == fixed + sum(b.numel() for b in net.buffers() if not c.algorithm.concat)


@pytest.mark.parametrize("depth", ["vgg8", "vgg11", "vgg13"])
def test_depth_only_nets_are_equally_wide_and_end_at_one_size(depth: str) -> None:
    plan = layers(VGGSpec(name=depth, depth_only=True), 32)
    assert {p.channels for p in plan} == {256}
    assert sum(p.pool for p in plan) == 4
    assert plan[-1].side == 2


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
