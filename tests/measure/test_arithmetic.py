"""Arithmetic."""

from __future__ import annotations

import pytest

from kaxis.measure.audit import audit
from kaxis.measure.cost import cost_of
from kaxis.measure.subject import Subject, subjects
from kaxis.nets.plan import conv_counts, counts
from kaxis.spec.net import MLPSpec
from tests.measure.shapes import published

VGG8 = [(3, 128, 32), (128, 256, 32), (256, 256, 16), (256, 512, 16), (512, 512, 8), (512, 512, 4), (512, 512, 2)]


VGG11 = [
    (3, 64, 224),
    (64, 128, 112),
    (128, 256, 56),
    (256, 256, 56),
    (256, 512, 28),
    (512, 512, 28),
    (512, 512, 14),
    (512, 512, 14),
]


def macs(layers: list[tuple[int, int, int]]) -> int:
    return sum(9 * a * b * side * side for a, b, side in layers)


def test_flops_agree_with_hand_counts() -> None:
    head = 512 * 10  # the last layer's
    for net, size, layers in (("vgg8", 32, VGG8), ("vgg11", 224, VGG11)):
        (bp, *_) = subjects(net=net, size=size, learners=["bp"], batch=4)
        forward = macs(layers)
        first = 9 * layers[0][0] * layers[0][1] * layers[0][2] ** 2  # nothing goes back to the images
        cost = cost_of(bp)
        assert cost.flops_predict == 2 * (forward + head)
        assert cost.flops_step == 2 * (3 * forward - first + 3 * head)
    assert macs(VGG8) // 10**6 == 956  # 957 with what is rounded: 956.8


@pytest.mark.parametrize("learner", ["bp", "bp_deepsup", "dtg_ff", "dtg_ff[readout=learned]", "bp_concat"])
def test_flops_agree_with_the_closed_formula(learner: str) -> None:
    *_, subject = subjects(net="vgg8", width=0.25, learners=[learner], batch=8)
    cell = subject.cell
    one = conv_counts(K=10, size=32, batch=1, net=cell.net, learner=cell.algorithm)
    plain = Subject("", subject.cell, 32)
    if learner.startswith("bp"):
        (plain, *_) = subjects(net="vgg8", width=0.25, learners=[learner], batch=8)
    cost = cost_of(plain)
    assert (cost.flops_step, cost.flops_predict) == (one["flops_step"], one["flops_predict"])


@pytest.mark.parametrize("learner", ["bp", "bp_ensemble", "bp_deepsup", "dtg_ff", "dtg_ff[readout=learned]"])
def test_an_mlps_flops_agree_with_the_closed_formula(learner: str) -> None:
    (subject,) = subjects(net="mlp", size=20, learners=[learner], batch=16)
    size = {"K": 10, "inputs": 20, "net": MLPSpec()}
    one = counts(**size, batch=1, learner=subject.cell.algorithm)
    cost = cost_of(subject)
    assert (cost.flops_step, cost.flops_predict) == (one["flops_step"], one["flops_predict"])


@pytest.mark.slow
def test_doing_things_twice_is_counted_twice() -> None:
    flops = {name: cost_of(s).flops_step for name, s in published(width=0.125, batch=4).items()}
    assert flops["bp, 4 parts"] == flops["bp"]
    assert flops["bp, checkpointed"] == pytest.approx(flops["bp"] * 4 / 3, rel=0.01)
    assert flops["dtg_ff, naive"] == pytest.approx(flops["dtg_ff, interleaved"] * 3 / 2, rel=0.01)


@pytest.mark.slow
def test_label_scans_grow_with_the_classes_and_heads_hardly_do() -> None:
    rows = audit(net="mlp", K=[10, 200], learners=["dtg_ff", "ff", "ff_hybrid"])
    for key in ("flops_predict", "predict_bytes"):
        few, many = ({r["learner"]: r[key] for r in rows if r["K"] == K} for K in (10, 200))
        growth = {name: many[name] / few[name] for name in few}
        assert growth["ff"] > 15
        assert growth["dtg_ff"] < 3
        assert growth["ff_hybrid"] < 3
