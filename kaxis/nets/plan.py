"""The layers of the conv nets, and the arithmetic of all nets, known without torch.

VGG8 is the paper's (channels, pools, goodness pooling); of VGG11 it prints channels and the first pool, of VGG13 the
name alone: their other pools, and all of VGG13, are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kaxis.errors import KaxisError

__all__ = ["NETS", "Layer", "conv_counts", "counts", "layers"]

NETS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "vgg8": ((128, 256, 256, 512, 512, 512, 512), (1, 3, 4, 5)),
    "vgg11": ((64, 128, 256, 256, 512, 512, 512, 512), (0, 1, 3, 5, 7)),
    "vgg13": ((64, 64, 128, 128, 256, 256, 512, 512, 512, 512), (1, 3, 5, 7, 9)),
}
"""Channels of each convolution, and the layers (from 0) that end in a 2 x 2 average pool."""

GOODNESS_SIDE = {64: 8, 128: 4, 256: 2, 512: 1}
"""To what side the activation is pooled for its head, by the channels of the net at width 1."""

DEPTH_ONLY_CHANNELS = 256


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


def layers(net: Mapping[str, Any], size: int) -> list[Layer]:
    """The layers of a net on images of `size` x `size` pixels.

    Parameters
    ----------
    net : mapping
        ``name``, ``width`` (multiplies every layer's channels), ``depth_only`` (every layer as wide, four pools spread
        evenly over the depth, so that nets differ by depth alone; ours).
    size : int

    Raises
    ------
    KaxisError
        If the pools cannot divide the size.

    Examples
    --------
    >>> eight = layers({"name": "vgg8", "width": 1, "depth_only": False}, 32)
    >>> [layer.goodness for layer in eight]
    [2048, 1024, 1024, 512, 512, 512, 512]
    >>> sum(layer.macs for layer in eight) // 10**6
    956
    """
    channels, pools = NETS[net["name"]]
    if net["depth_only"]:
        n = len(channels)
        channels, pools = (DEPTH_ONLY_CHANNELS,) * n, tuple((i + 1) * n // 5 - 1 for i in range(4))
    if size < 2 ** len(pools) or size % 2 ** len(pools):
        raise KaxisError(
            f"size = {size}: {net['name']} halves its maps {len(pools)} times; take a multiple of {2 ** len(pools)}"
        )
    out, inputs, side = [], 3, size
    for i, full in enumerate(channels):
        c = max(1, round(full * net["width"]))
        out.append(Layer(inputs, c, side, GOODNESS_SIDE[full], i in pools))
        inputs, side = c, side // 2 if i in pools else side
    return out


def conv_counts(*, K: int, size: int, batch: int, net: Mapping[str, Any], learner: Mapping[str, Any]) -> dict[str, int]:
    """Parameters, buffers and arithmetic of a cell, counted as `counts` does.

    Examples
    --------
    >>> from kaxis.leg import Leg
    >>> def step(name):
    ...     c = Leg.of({"source": "cifar10", "net": "vgg8", "learners": name}).cells()[0].config
    ...     return conv_counts(K=10, size=32, batch=1, net=c["net"], learner=c["learner"])["flops_step"]
    >>> round(step("bp") / 1e9, 2), round(step("dtg_ff") / 1e9, 2)
    (5.73, 3.83)
    """
    plan = layers(net, size)
    every = {"every": plan, "last": plan[-1:], "concat": []}[learner["heads"]]
    concat = sum(p.channels for p in plan[1:]) if "concat" in (learner["heads"], learner["inference"]) else 0
    goodness = [1 if learner["goodness"] == "scalar" else p.goodness for p in every]
    head_numbers = sum(K * (g + 1) for g in goodness)
    learned = learner["readout"] == "learned"
    classifier = K * (concat + 1) + 2 * concat if concat else 0
    forward = sum(p.macs for p in plan)
    through = sum(p.macs for p in plan[1:]) if learner["gradient"] == "global" else 0
    head = K * sum(goodness)
    macs = 2 * forward + through + head * (3 if learned else 2) + 3 * K * concat
    backbone = sum(p.channels * (9 * p.inputs + 1) for p in plan)
    temperatures = len(every) * (learner["temperature"] == "learned")
    members = learner["members"]
    return {
        "parameters": members * (backbone + head_numbers * learned + temperatures + classifier),
        "buffers": members * head_numbers * (not learned),
        "flops_step": members * 2 * macs * batch,
        "flops_predict": members * 2 * (forward + head + K * concat),
    }


def counts(*, K: int, inputs: int, width: int, depth: int, batch: int, learner: Mapping[str, Any]) -> dict[str, int]:
    """Parameters, buffers and arithmetic of a cell, by the paper's accounting.

    DTG-FF trains the backbone and one temperature a layer, its readouts are buffers; an ensemble is its members with
    their heads. FLOPs are those of matrix products (2 a multiply-add), of one training step and of one prediction.

    Examples
    --------
    >>> from kaxis.learners import TABLE
    >>> n = counts(K=10, inputs=32, width=128, depth=4, batch=256, learner=TABLE["dtg_ff"].switches())
    >>> n["parameters"], n["buffers"]
    (53764, 5160)
    """
    fan_in = [inputs] + [width] * (depth - 1)
    heads = depth if learner["heads"] == "every" else 1
    head_numbers = heads * K * (width + 1)
    learned = learner["readout"] == "learned"
    backbone = sum(width * (n + 1) for n in fan_in)
    forward = sum(width * n for n in fan_in)
    head = heads * K * width
    through = sum(width * n for n in fan_in[1:]) if learner["gradient"] == "global" else 0
    macs = 2 * forward + through + 2 * head + (head if learned else 0)
    members = learner["members"]
    return {
        "parameters": members * (backbone + head_numbers * learned + heads * (learner["temperature"] == "learned")),
        "buffers": members * head_numbers * (not learned),
        "flops_step": members * 2 * macs * batch,
        "flops_predict": members * 2 * (forward + head),
    }
