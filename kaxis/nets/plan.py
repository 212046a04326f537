"""The layers of the conv nets, and the arithmetic of all nets, known without torch.

VGG8 is the paper's (channels, pools, goodness pooling); of VGG11 it prints channels and the first pool, of VGG13 the
name alone: their other pools, and all of VGG13, are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kaxis.spec.cell import Cell
from kaxis.spec.learner import TableLearner
from kaxis.spec.net import MLPSpec, VGGSpec

__all__ = ["Layer", "cell_counts", "conv_counts", "counts", "layers"]

GOODNESS_SIDE = {64: 8, 128: 4, 256: 2, 512: 1}
"""To what side the activation is pooled for its head, by the channels of the net at width 1."""


@dataclass(frozen=True)
class Layer:
    """One convolution: channels in and out, side of its map in pixels, side of its goodness, whether a pool follows."""

    inputs: int
    channels: int
    side: int
    goodness_side: int
    pool: bool

    @property
    def goodness(self) -> int:
        """Length of the pooled vector that the head reads."""
        return self.channels * self.goodness_side**2

    @property
    def macs(self) -> int:
        return self.inputs * self.channels * 9 * self.side**2


def layers(net: VGGSpec, size: int) -> list[Layer]:
    """The layers of a net on images of `size` x `size` pixels.

    Raises
    ------
    KaxisError
        If the pools cannot divide the size.

    Examples
    --------
    >>> eight = layers(VGGSpec(name="vgg8"), 32)
    >>> [layer.goodness for layer in eight]
    [2048, 1024, 1024, 512, 512, 512, 512]
    >>> sum(layer.macs for layer in eight) // 10**6
    956
    """
    net.check(size)
    channels, pools = net.shape
    out, inputs, side = [], 3, size
    for i, full in enumerate(channels):
        c = max(1, round(full * net.width))
        out.append(Layer(inputs, c, side, GOODNESS_SIDE[full], i in pools))
        inputs, side = c, side // 2 if i in pools else side
    return out


def conv_counts(*, K: int, size: int, batch: int, net: VGGSpec, learner: TableLearner) -> dict[str, int]:
    """Parameters, buffers and arithmetic of a cell, counted as `counts` does.

    Examples
    --------
    >>> from kaxis.spec.sweep import Sweep
    >>> def step(name):
    ...     c = Sweep.of({"source": "cifar10", "net": "vgg8", "learners": name}).cells()[0]
    ...     return conv_counts(K=10, size=32, batch=1, net=c.net, learner=c.algorithm)["flops_step"]
    >>> round(step("bp") / 1e9, 2), round(step("dtg_ff") / 1e9, 2)
    (5.73, 3.83)
    """
    plan = layers(net, size)
    every = {"every": plan, "last": plan[-1:], "concat": []}[learner.heads]
    concat = sum(p.channels for p in plan[1:]) if learner.concat else 0
    goodness = [1 if learner.goodness == "scalar" else p.goodness for p in every]
    head_numbers = sum(K * (g + 1) for g in goodness)
    learned = learner.readout == "learned"
    classifier = K * (concat + 1) + 2 * concat if concat else 0
    forward = sum(p.macs for p in plan)
    through = sum(p.macs for p in plan[1:]) if learner.gradient == "global" else 0
    head = K * sum(goodness)
    macs = 2 * forward + through + head * (3 if learned else 2) + 3 * K * concat
    backbone = sum(p.channels * (9 * p.inputs + 1) for p in plan)
    temperatures = len(every) * (learner.temperature == "learned")
    members = learner.members
    return {
        "parameters": members * (backbone + head_numbers * learned + temperatures + classifier),
        "buffers": members * head_numbers * (not learned),
        "flops_step": members * 2 * macs * batch,
        "flops_predict": members * 2 * (forward + head + K * concat),
    }


def counts(*, K: int, inputs: int, net: MLPSpec, batch: int, learner: TableLearner) -> dict[str, int]:
    """Parameters, buffers and arithmetic of a cell, by the paper's accounting.

    DTG-FF trains the backbone and one temperature a layer, its readouts are buffers; an ensemble is its members with
    their heads. FLOPs are those of matrix products (2 a multiply-add), of one training step and of one prediction.

    Examples
    --------
    >>> from kaxis.spec.learners import TABLE
    >>> n = counts(K=10, inputs=32, net=MLPSpec(), batch=256, learner=TABLE["dtg_ff"].plain())
    >>> n["parameters"], n["buffers"]
    (53764, 5160)
    """
    width, depth = net.width, net.depth
    fan_in = [inputs] + [width] * (depth - 1)
    heads = depth if learner.heads == "every" else 1
    head_numbers = heads * K * (width + 1)
    learned = learner.readout == "learned"
    backbone = sum(width * (n + 1) for n in fan_in)
    forward = sum(width * n for n in fan_in)
    head = heads * K * width
    through = sum(width * n for n in fan_in[1:]) if learner.gradient == "global" else 0
    macs = 2 * forward + through + 2 * head + (head if learned else 0)
    members = learner.members
    return {
        "parameters": members * (backbone + head_numbers * learned + heads * (learner.temperature == "learned")),
        "buffers": members * head_numbers * (not learned),
        "flops_step": members * 2 * macs * batch,
        "flops_predict": members * 2 * (forward + head),
    }


def cell_counts(cell: Cell, inputs: int) -> dict[str, int]:
    """Those of a cell whose learner is of the table, on `inputs` features, or of a conv net images of so many pixels a
    side.
    """
    assert isinstance(cell.algorithm, TableLearner)
    shape: dict[str, Any] = {"K": cell.K, "batch": cell.training.batch_size, "learner": cell.algorithm}
    if isinstance(cell.net, VGGSpec):
        return conv_counts(**shape, net=cell.net, size=inputs)
    return counts(**shape, net=cell.net, inputs=inputs)
