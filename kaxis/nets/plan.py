"""The layers of the conv nets (what of them is the paper's: `kaxis.spec.net`), and the arithmetic of all nets, known
without torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kaxis.spec.cell import Cell
from kaxis.spec.learner import DIRECT, TableLearner
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
    full_width, pools = net.shape
    out, inputs, side = [], 3, size
    for i, (full, c) in enumerate(zip(full_width, net.channels, strict=True)):
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
    trunk = _Trunk(
        forward=[p.macs for p in plan],
        numbers=sum(p.channels * (9 * p.inputs + 1) for p in plan),
        weights=sum(p.channels * 9 * p.inputs for p in plan[1:]),
        units=sum(p.channels * p.side**2 for p in plan),
    )
    classifier = K * (concat + 1) + 2 * concat if concat else 0
    out = _counts(K, trunk, goodness, learner, batch)
    out["parameters"] += learner.members * classifier
    out["flops_step"] += learner.members * 2 * 3 * K * concat * batch
    out["flops_predict"] += learner.members * 2 * K * concat
    return out


@dataclass(frozen=True)
class _Trunk:
    """Multiply-adds of each hidden layer, lowest first; trained numbers in all; weights above the first layer; units
    that have an activation.
    """

    forward: list[int]
    numbers: int
    weights: int
    units: int


def _counts(K: int, trunk: _Trunk, read: list[int], learner: TableLearner, batch: int) -> dict[str, int]:
    """Of a trunk with heads that read so many features each."""
    heads, product = K * (sum(read) + len(read) * (learner.bias == "yes")), K * sum(read)
    learned, gradient = learner.readout == "learned", learner.gradient
    parameters = heads * learned + len(read) * (learner.temperature == "learned")
    buffers = K * (sum(read) + len(read)) * (learner.readout == "fixed")
    macs, forward = sum(trunk.forward) + product * (1 + learned), sum(trunk.forward)
    if learner.trunk:
        parameters += trunk.numbers
        macs += forward  # of the weights' gradients
    else:
        buffers += trunk.numbers
    if gradient in DIRECT:
        macs += K * trunk.units
        buffers += K * trunk.units
    elif learner.trunk:
        macs += product
        macs += sum(trunk.forward[1:]) if gradient != "local" else 0
        buffers += (trunk.weights + product) * (gradient == "fa")
    members = learner.members
    return {
        "parameters": members * parameters,
        "buffers": members * buffers,
        "flops_step": members * 2 * macs * batch,
        "flops_predict": members * 2 * (forward + product),
    }


def counts(*, K: int, inputs: int, net: MLPSpec, batch: int, learner: TableLearner) -> dict[str, int]:
    """Parameters, buffers and arithmetic of a cell, by the paper's accounting.

    DTG-FF trains the backbone and one temperature a layer, its readouts are buffers, as are feedback alignment's
    backward weights; an ensemble is its members with their heads. FLOPs are those of matrix products (2 a
    multiply-add), of one training step and of one prediction.

    Examples
    --------
    >>> from kaxis.spec.learners import TABLE
    >>> n = counts(K=10, inputs=32, net=MLPSpec(), batch=256, learner=TABLE["dtg_ff"].plain())
    >>> n["parameters"], n["buffers"]
    (53764, 5160)
    """
    width, depth = net.width, net.depth
    forward = [width * n for n in [inputs] + [width] * (depth - 1)]
    trunk = _Trunk(forward, sum(forward) + width * depth, sum(forward[1:]), width * depth)
    return _counts(K, trunk, [width] * (depth if learner.heads == "every" else 1), learner, batch)


def cell_counts(cell: Cell, inputs: int, learner: TableLearner | None = None) -> dict[str, int]:
    """Those of a cell on `inputs` features, or of a conv net images of so many pixels a side; of its own learner, which
    is of the table, or of another.
    """
    of = learner or cell.algorithm
    assert isinstance(of, TableLearner)
    shape: dict[str, Any] = {"K": cell.K, "batch": cell.training.batch_size, "learner": of}
    if isinstance(cell.net, VGGSpec):
        return conv_counts(**shape, net=cell.net, size=inputs)
    return counts(**shape, net=cell.net, inputs=inputs)
