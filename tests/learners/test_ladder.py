"""The Forward-Forward MLPs against plain references, and what must not leak."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from kaxis.errors import KaxisError
from kaxis.learners.ladder import Ladder, first_layer_for_every_label
from kaxis.nets.start import Start
from kaxis.spec.coded import LADDER
from kaxis.spec.rules import RULES
from kaxis.spec.sweep import Sweep
from kaxis.train.loop import train

START = (0, 0, 3, 7, 5, 3, "cpu")  # seed, member, K, inputs, width, depth


def module(name: str, **settings: float) -> Ladder:
    torch.manual_seed(0)
    made = RULES[name].build(Start(*START), **{**RULES[name].settings, **settings})
    assert isinstance(made, Ladder)
    return made


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    return torch.randn(6, 7, generator=rng), torch.tensor([0, 1, 2, 2, 1, 0])


def goodness_by_hand(
    m: Ladder, x: np.ndarray, label: np.ndarray, *, mean: bool, norm: bool = False
) -> list[np.ndarray]:
    """Each layer's goodness with a label (one-hot rows) over the first inputs, in numpy."""
    h = np.concatenate([label * np.abs(x[:, 3:]).max(1, keepdims=True), x[:, 3:]], 1)
    out = []
    for layer in m.layers:
        W, b = (p.detach().numpy().astype(float) for p in layer.parameters())
        a = np.maximum(h @ W.T + b, 0)
        if norm:
            a = (a - a.mean(0)) / np.sqrt(a.var(0) + 1e-5)
        out.append((a**2).mean(1) if mean else (a**2).sum(1))
        h = a / (np.sqrt((a**2).mean(1, keepdims=True)) + 1e-6)
    return out


@pytest.mark.parametrize("name", ["ff", "ff_mean", "ff_margin", "ff_bn"])
def test_layer_losses_by_hand(name: str, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    m = module(name)
    torch.manual_seed(3)
    loss = float(m.loss(x, y).detach())
    torch.manual_seed(3)
    wrong = ((y + torch.randint(1, 3, y.shape)) % 3).numpy()
    assert (wrong != y.numpy()).all()
    mean = name in ("ff_mean", "ff_margin")
    up, down = (
        goodness_by_hand(m, x.numpy().astype(float), np.eye(3)[label], mean=mean, norm=name == "ff_bn")
        for label in (y.numpy(), wrong)
    )
    # A learned margin starts at the first batch's mean goodness; a fixed one is so much a unit, of which there are 5.
    margins = [g.mean() for g in up] if name == "ff_margin" else [0.15 if mean else 0.15 * 5] * 3
    expected = sum(
        np.log1p(np.exp(t - p)).mean() + np.log1p(np.exp(n - t)).mean()
        for p, n, t in zip(up, down, margins, strict=True)
    )
    assert loss == pytest.approx(expected, rel=1e-4)


def test_symba_has_no_margin(batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    m = module("ff_symba")
    torch.manual_seed(3)
    loss = float(m.loss(x, y).detach())
    torch.manual_seed(3)
    wrong = ((y + torch.randint(1, 3, y.shape)) % 3).numpy()
    up, down = (goodness_by_hand(m, x.numpy().astype(float), np.eye(3)[i], mean=True) for i in (y.numpy(), wrong))
    expected = sum(np.log1p(np.exp(-4 * (p - n))).mean() for p, n in zip(up, down, strict=True))
    assert loss == pytest.approx(expected, rel=1e-4)


def test_the_margin_starts_at_the_goodness_when_that_is_large(batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    m = module("ff_margin")
    with torch.no_grad():
        m.layers[0].weight.mul_(100)
    m.loss(x, y)
    assert m.theta is not None
    g = goodness_by_hand(m, x.numpy().astype(float), np.eye(3)[y.numpy()], mean=True)[0].mean()
    assert g > 20
    assert m.theta[0].item() == pytest.approx(g, rel=1e-4)
    before = [theta.item() for theta in m.theta]
    m.loss(x + 1, y)
    assert [theta.item() for theta in m.theta] == before  # the first batch's, once


def test_layers_are_local_but_for_the_classifier(batch: tuple[Tensor, Tensor]) -> None:
    """By gradients: a later layer's margin loss does not reach the first; the hybrid's classifier does."""
    x, y = batch
    for name, reaches in (("ff_margin", False), ("ff_hybrid", True)):
        torch.manual_seed(0)
        whole, short = (RULES[name].build(Start(*START[:5], depth, "cpu"), **RULES[name].settings) for depth in (3, 2))
        grads = []
        for m in (whole, short):
            torch.manual_seed(5)
            m.loss(x, y).backward()
            grads.append(m.layers[0].weight.grad)
        assert torch.allclose(*grads, atol=1e-7) != reaches
        last = whole.layers[2].weight.grad
        assert last is not None
        assert last.abs().sum() > 0


def test_every_labels_first_layer_in_one_pass(batch: tuple[Tensor, Tensor]) -> None:
    x, _ = batch
    m = module("ff")
    made = first_layer_for_every_label(m.layers[0], x, 3)
    for k in range(3):
        label = F.one_hot(torch.full((6,), k), 3).float()
        assert torch.allclose(made[:, k], m.layers[0](m.overlay(x, label)), atol=1e-5)


def test_prediction_is_the_label_of_highest_goodness_above_the_first_layer(batch: tuple[Tensor, Tensor]) -> None:
    x, _ = batch
    m = module("ff")
    (score,) = m.eval().logits(x)
    for k in range(3):
        by_hand = goodness_by_hand(m, x.numpy().astype(float), np.eye(3)[np.full(6, k)], mean=False)
        assert score[:, k].detach().numpy() == pytest.approx(by_hand[1] + by_hand[2], rel=1e-4)


@pytest.mark.parametrize("name", ["ff_hybrid", "ff_hybrid_ln", "ff_hybrid_bn"])
def test_classifiers_by_hand_and_no_label_leaks(name: str, batch: tuple[Tensor, Tensor]) -> None:
    x, _ = batch
    m = module(name).eval()
    (z,) = m.logits(x)
    h = np.concatenate(
        [np.full((6, 3), 1 / 3) * np.abs(x.numpy()[:, 3:]).max(1, keepdims=True), x.numpy()[:, 3:]], 1
    ).astype(float)
    read = []
    for layer in m.layers[:-1]:
        W, b = (p.detach().numpy() for p in layer.parameters())
        a = np.maximum(h @ W.T + b, 0)
        read.append(
            a / math.sqrt(1 + 1e-5) if name == "ff_hybrid_bn" else a
        )  # BatchNorm before any training: mean 0, variance 1
        h = a / (np.sqrt((a**2).mean(1, keepdims=True)) + 1e-6)
    features = np.concatenate(read, 1)
    if name == "ff_hybrid_ln":
        features = (features - features.mean(1, keepdims=True)) / np.sqrt(features.var(1, keepdims=True) + 1e-5)
    assert m.head is not None
    H, c = (p.detach().numpy() for p in m.head.parameters())
    assert z.detach().numpy() == pytest.approx(features @ H.T + c, rel=1e-3, abs=1e-4)
    other = x.clone()
    other[:, :3] = 0.01  # what a label would be written over
    assert torch.allclose(m.logits(other)[0], z, atol=1e-5)


@pytest.mark.parametrize("name", list(LADDER))
def test_each_rung_learns_digits(name: str) -> None:
    options = {"source": "digits", "K": 3, "seeds": 0, "steps": 150, "width": 32, "depth": 3, "learners": [name]}
    (cell,) = Sweep.of(options).cells()
    (result,), _ = train([cell])
    assert result["status"] == "done"
    if name == "ff_bn":  # normalised, the right label's goodness is a wrong one's: the published failure
        assert result["metrics"]["test_accuracy"] < 0.5
    else:
        assert result["metrics"]["test_accuracy"] > 0.7  # chance is .34
    assert cell.config["learner"]["code"] == ("kaxis-2" if name in ("ff", "ff_bn", "ff_mean") else "kaxis")


def test_what_the_ladder_cannot_do_is_one_line() -> None:
    with pytest.raises(
        KaxisError, match=r"K = 9: a label over the first inputs needs more than K of them, there are 7"
    ):
        RULES["ff"].build(Start(0, 0, 9, 7, 5, 3, "cpu"), threshold=2.0)
    with pytest.raises(KaxisError, match="all hidden layers but the last"):
        RULES["ff_hybrid"].build(Start(0, 0, 3, 7, 5, 1, "cpu"), weight=1.0)
    with pytest.raises(KaxisError, match="did you mean 'weight'"):
        Sweep.of({"source": "digits", "learners": ["ff_hybrid[wieght=2]"]})
