"""What a learner that is code is built from: sizes, layers and initial numbers of the seed, on an MLP or on a conv net
alike.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kaxis.nets.draws import linear
from kaxis.nets.maps import convolution, flat, grid_means, over_channels
from kaxis.nets.plan import Layer, layers
from kaxis.spec.net import VGGSpec
from kaxis.streams import stream

__all__ = ["Start"]


class Start:
    """What a rule is built from. Layer i is ``hidden(i)``, `nonlinearity`, ``read(i)`` for what its head reads,
    ``up(i)`` for what goes up.

    Attributes
    ----------
    K, depth : int
        Classes; hidden layers.
    inputs : int
        Numbers a sample has, of images their channels.
    width : int
        Units of an MLP's hidden layers; of a conv net 0, since its layers differ: see `channels`.
    device : str
    steps : int
        Steps of the whole training.
    activation : str
        Name of the net's nonlinearity; `asked` says whether the rule has taken it.
    """

    def __init__(
        self,
        seed: int,
        member: int,
        K: int,
        inputs: int,
        width: int,
        depth: int,
        device: str,
        *,
        steps: int = 0,
        activation: str = "relu",
    ) -> None:
        self.inputs, self.width, self.depth, self.K, self.device = inputs, width, depth, K, device
        self.steps, self.activation, self.asked = steps, activation, False
        self._seed, self._member = seed, member
        self._plan: list[Layer] = []
        self._norm, self._dropout = "none", 0.0

    @classmethod
    def conv(
        cls, seed: int, member: int, K: int, *, size: int, net: VGGSpec, norm: str, device: str, steps: int = 0
    ) -> Start:
        """For a conv net on images of `size` pixels."""
        plan = layers(net, size)
        made = cls(seed, member, K, plan[0].inputs, 0, len(plan), device, steps=steps, activation=net.activation)
        made._plan, made._norm, made._dropout = plan, norm, net.dropout
        return made

    @property
    def nonlinearity(self) -> nn.Module:
        """The net's, which follows each hidden layer."""
        self.asked = True
        return nn.Tanh() if self.activation == "tanh" else nn.ReLU()

    def channels(self, layer: int) -> int:
        """Units of hidden layer 0 .. depth - 1, of a conv net its channels."""
        return self._plan[layer].channels if self._plan else self.width

    def features(self, layer: int) -> int:
        """How many numbers a sample has after ``read(layer)``."""
        return self._plan[layer].goodness if self._plan else self.width

    def hidden(self, layer: int) -> nn.Module:
        """Hidden layer 0 .. depth - 1 as every other learner of the seed starts it: a `torch.nn.Linear`, of a conv net
        a `torch.nn.Conv2d`.
        """
        if not self._plan:
            inputs = self.inputs if layer == 0 else self.width
            return self._linear(f"init/{self._member}/{layer}", "shared", inputs, self.width)
        return convolution(self._seed, self._member, layer, self._plan[layer]).to(self.device)

    def read(self, layer: int) -> nn.Module:
        """From an activation to the vector that a head reads, `features` long: of a conv net the pooled maps, of an
        MLP the activation.
        """
        return Read(self._plan[layer].goodness_side) if self._plan else nn.Identity()

    def up(self, layer: int, norm: str = "") -> nn.Module:
        """From an activation to the next layer's input, as for every learner: of a conv net pooling, normalisation and
        dropout, of an MLP nothing. A rule with a normalisation of its own names it.

        It detaches nothing: that is the rule's to do.
        """
        if not self._plan:
            return self.normalisation(norm or "none")
        return Up(self._plan[layer].pool, norm or self._norm, self._dropout, self.K)

    def normalisation(self, norm: str) -> nn.Module:
        """One of those that the option ``norm`` names, over the channels of an activation."""
        return Up(False, norm, 0.0, self.K) if norm != "none" else nn.Identity()

    def linear(self, purpose: str, inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
        """A further layer, drawn as `torch.nn.Linear` is, from a stream of the purpose's name."""
        return self._linear(f"rule/{self._member}/{purpose}", self.K, inputs, outputs, bias)

    def _linear(self, purpose: str, key: object, inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
        made = nn.Linear(inputs, outputs, bias, device=self.device)
        W, b = linear(stream(self._seed, purpose, key), outputs, inputs)
        with torch.no_grad():
            made.weight.copy_(torch.from_numpy(W))
            if bias:
                made.bias.copy_(torch.from_numpy(b[:, 0]))
        return made


class Read(nn.Module):
    """Means over a grid of `side` x `side`, flattened as they lie in memory."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, a_BCSS: Tensor) -> Tensor:
        return flat(grid_means(a_BCSS, self.side))


class Up(nn.Module):
    """Average pooling, normalisation over channels (the second axis) without weights, dropout."""

    def __init__(self, pool: bool, norm: str, dropout: float, K: int) -> None:
        super().__init__()
        self.pool, self.norm, self.dropout, self.K = pool, norm, dropout, K

    def forward(self, a_BC: Tensor) -> Tensor:
        x = F.avg_pool2d(a_BC, 2) if self.pool else a_BC
        x = over_channels(x.movedim(1, -1), self.norm, self.K)
        return F.dropout(x, self.dropout, self.training).movedim(-1, 1)
