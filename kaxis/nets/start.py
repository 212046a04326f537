"""What a learner that is code is built from."""

from __future__ import annotations

import torch

from kaxis.nets.draws import linear
from kaxis.streams import stream

__all__ = ["Start"]


class Start:
    """What a rule is built from: sizes, and initial numbers from the seed's own streams.

    Attributes
    ----------
    inputs, width, depth, K : int
    device : str
    """

    def __init__(self, seed: int, member: int, K: int, inputs: int, width: int, depth: int, device: str) -> None:
        self.inputs, self.width, self.depth, self.K, self.device = inputs, width, depth, K, device
        self._seed, self._member = seed, member

    def hidden(self, layer: int) -> torch.nn.Linear:
        """Hidden layer 0 .. depth - 1 as every other learner of the seed starts it."""
        n = self.inputs if layer == 0 else self.width
        return self._linear(f"init/{self._member}/{layer}", "shared", n, self.width)

    def linear(self, purpose: str, inputs: int, outputs: int) -> torch.nn.Linear:
        """A further layer, drawn as `torch.nn.Linear` is, from a stream of the purpose's name."""
        return self._linear(f"rule/{self._member}/{purpose}", self.K, inputs, outputs)

    def _linear(self, purpose: str, key: object, inputs: int, outputs: int) -> torch.nn.Linear:
        made = torch.nn.Linear(inputs, outputs, device=self.device)
        W, b = linear(stream(self._seed, purpose, key), outputs, inputs)
        with torch.no_grad():
            made.weight.copy_(torch.from_numpy(W))
            made.bias.copy_(torch.from_numpy(b[:, 0]))
        return made
