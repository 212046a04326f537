"""The student: its shape, and what each kind of net is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BeforeValidator

from kaxis.errors import KaxisError, hint
from kaxis.spec.options import Float, Option, Spec

__all__ = ["NETS", "MLPSpec", "NetSpec", "VGGSpec", "net_kind", "net_spec"]

NETS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "vgg8": ((128, 256, 256, 512, 512, 512, 512), (1, 3, 4, 5)),
    "vgg11": ((64, 128, 256, 256, 512, 512, 512, 512), (0, 1, 3, 5, 7)),
    "vgg13": ((64, 64, 128, 128, 256, 256, 512, 512, 512, 512), (1, 3, 5, 7, 9)),
}
"""Of the conv nets the channels of each convolution, and the layers (from 0) that end in a 2 x 2 average pool.

VGG8 is the paper's; of VGG11 it prints channels and the first pool, of VGG13 the name alone: their other pools, and all
of VGG13, are ours.
"""

DEPTH_ONLY_CHANNELS = 256

Name = Annotated[
    str,
    Option(
        "the student: mlp, vgg8, vgg11, vgg13",
        "the same; VGG8 in full, of VGG11 its channels and first pool, of VGG13 the name",
        "`mlp`",
    ),
]


def _whole(value: object) -> object:
    """Said in words: a width of 0.5 is meant for a conv net."""
    try:
        whole = float(str(value)).is_integer()
    except ValueError:
        return value
    if not whole:
        raise ValueError("a whole number of units for the net 'mlp'")
    return int(float(str(value)))


@dataclass(frozen=True, kw_only=True)
class NetSpec(Spec):
    """A net by its name."""

    conv: ClassVar[bool]
    """Whether it sees images."""

    name: Name
    activation: Annotated[
        Literal["relu", "tanh"],
        Option("the hidden layers' nonlinearity", "ReLU; `tanh` is what sDFA and DRTP were published with"),
    ] = "relu"

    UNNAMED: ClassVar[Mapping[str, Any]] = {"activation": "relu"}


@dataclass(frozen=True, kw_only=True)
class MLPSpec(NetSpec):
    """Hidden layers of one width (`kaxis.nets.mlp`)."""

    conv: ClassVar[bool] = False

    name: Name = "mlp"
    width: Annotated[
        int,
        BeforeValidator(_whole),
        Ge(1),
        Le(65_536),
        Option("mlp: units of a hidden layer; vgg: multiplies the channels", "the same"),
    ] = 128
    depth: Annotated[int, Ge(1), Le(1_000), Option("mlp: hidden layers", "the same")] = 4

    @property
    def least(self) -> int:
        """Units of the narrowest layer."""
        return self.width


@dataclass(frozen=True, kw_only=True)
class VGGSpec(NetSpec):
    """Convolutions of 3 x 3 (`kaxis.nets.plan`)."""

    conv: ClassVar[bool] = True

    name: Name = "vgg8"
    width: Annotated[
        Float, Gt(0), Le(65_536), Option("mlp: units of a hidden layer; vgg: multiplies the channels", "the same")
    ] = 1.0
    depth_only: Annotated[
        bool, Option("vgg: every layer as wide (256) and four pools, so that nets differ by depth alone")
    ] = False
    dropout: Annotated[float, Ge(0), Lt(1), Option("vgg: between layers", "0.1")] = 0.1

    @property
    def shape(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Channels at width 1, and the layers that end in a pool: with `depth_only` four, spread evenly over the depth
        (ours).
        """
        channels, pools = NETS[self.name]
        n = len(channels)
        if self.depth_only:
            return (DEPTH_ONLY_CHANNELS,) * n, tuple((i + 1) * n // 5 - 1 for i in range(4))
        return channels, pools

    @property
    def channels(self) -> tuple[int, ...]:
        """Of each layer."""
        return tuple(max(1, round(full * self.width)) for full in self.shape[0])

    @property
    def least(self) -> int:
        """Channels of the narrowest layer."""
        return min(self.channels)

    def check(self, size: int) -> None:
        """KaxisError if the pools cannot divide images of `size` x `size` pixels."""
        pools = len(self.shape[1])
        if size < 2**pools or size % 2**pools:
            raise KaxisError(f"size = {size}: {self.name} halves its maps {pools} times; take a multiple of {2**pools}")


def net_kind(name: str) -> type[MLPSpec] | type[VGGSpec]:
    """Whose options a net has.

    Raises
    ------
    KaxisError
        For a name that there is not.
    """
    if name not in ("mlp", *NETS):
        raise KaxisError(f"net = {name}: not {hint(name, ['mlp', *NETS])}")
    return VGGSpec if name in NETS else MLPSpec


def net_spec(config: Mapping[str, Any]) -> MLPSpec | VGGSpec:
    """The ``net`` part of a configuration."""
    return (MLPSpec if config["name"] == "mlp" else VGGSpec).restored(config)
