"""E multilayer perceptrons of one shape, trained side by side with a closed-form backward pass.

Shape suffixes: E networks, B batch, D input features, H hidden units, K classes. Activations are feature-major
(`a_EHB`), weights `[E, out, in]`, so that every product is one `baddbmm` without a transposed copy.

Layer l: a = relu(W h + b), h the normalised activation below. Head of layer l: logits = R g / T + c with g = a^power.
The loss is the sum over heads of the mean cross-entropy (paper, DTG-FF and BP-DeepSup); `gradient="local"` stops
each head's gradient at its own layer. Feedback alignment puts fixed weights B in the place of W and R on the way back;
its direct forms give layer l the gradient B_l^T e, e the last head's error, its sign, or the target.

Why no autograd: half the elementwise passes and no graph to build, see `benchmarks/`; the tests compare every switch
with a plain autograd network in float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from kaxis.nets import normalise
from kaxis.nets.draws import network
from kaxis.spec.learner import DIRECT, FEEDBACK, TableLearner
from kaxis.spec.net import MLPSpec

__all__ = ["MLPStack"]

ALIGN = 16  # floats: a cache line, so that the optimizer's vector loop has no scalar tail, which would round otherwise


class MLPStack:
    """A stack of E networks that share a learner and a shape, and nothing else.

    Parameters
    ----------
    networks : sequence of (seed, member)
        Each network draws its weights from its own streams.
    K, inputs : int
        Classes, input features.
    net : MLPSpec
        Hidden units and layers.
    learner : TableLearner
        Its switches and settings.
    device : torch.device
    dtype : torch.dtype
        float64 for comparisons; float32 otherwise.

    Attributes
    ----------
    parameters : Tensor, shape (P,)
        Every trained number of the stack in one flat tensor, `parameters.grad` beside it.
    """

    def __init__(
        self,
        networks: Sequence[tuple[int, int]],
        *,
        K: int,
        inputs: int,
        net: MLPSpec,
        learner: TableLearner,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        width, depth = net.width, net.depth
        self.E, self.K, self.width, self.depth, self.learner = len(networks), K, width, depth, learner
        self.squared = learner.power == "2"
        self.learned_t = learner.temperature == "learned"
        self.learned_readout = learner.readout == "learned"
        self.local, self.direct, self.trunk = learner.gradient == "local", learner.gradient in DIRECT, learner.trunk
        self.tanh = net.activation == "tanh"
        self.headed = range(depth) if learner.heads == "every" else range(depth - 1, depth)
        fan_in = [inputs] + [width] * (depth - 1)

        sizes: dict[str, tuple[int, ...]] = {}
        for layer in range(depth):
            if self.trunk:
                sizes[f"W{layer}"] = (self.E, width, fan_in[layer])
                sizes[f"b{layer}"] = (self.E, width, 1)
            if layer in self.headed and self.learned_readout:
                sizes[f"R{layer}"] = (self.E, K, width)
                if learner.bias == "yes":
                    sizes[f"c{layer}"] = (self.E, K, 1)
            if layer in self.headed and self.learned_t:
                sizes[f"alpha{layer}"] = (self.E, 1, 1)
        total = sum(_padded(size) for size in sizes.values())
        self.parameters = torch.nn.Parameter(torch.zeros(total, device=device, dtype=dtype))
        self.parameters.grad = torch.zeros_like(self.parameters)
        flat, grad = self.parameters.detach(), self.parameters.grad
        self.p: dict[str, Tensor] = {}
        self.g: dict[str, Tensor] = {}
        start = 0
        for name, size in sizes.items():
            stop = start + int(np.prod(size))
            self.p[name], self.g[name] = flat[start:stop].view(size), grad[start:stop].view(size)
            start += _padded(size)
        for i, (seed, member) in enumerate(networks):
            for name, draw in network(seed, member, K, fan_in, width, self.headed, learner).items():
                if name not in self.p:
                    self.p[name] = torch.empty(self.E, *draw.shape, device=device, dtype=dtype)
                self.p[name][i] = torch.from_numpy(draw)
        self._buffers: dict[tuple[str, int], Tensor] = {}

    # ---- forward -------------------------------------------------------------------------------------------------

    def _out(self, name: str, rows: int, batch: int) -> Tensor:
        """A buffer that is reused from step to step."""
        key = (name, batch)
        if key not in self._buffers:
            self._buffers[key] = self.parameters.new_empty(self.E, rows, batch)
        return self._buffers[key]

    def temperature(self, layer: int) -> Tensor:
        """T of one layer, shape (E, 1, 1)."""
        low, high = self.learner.t_min, self.learner.t_max
        return low + (high - low) * _sigmoid(self.p[f"alpha{layer}"])

    def _layer(self, layer: int, h_EDB: Tensor) -> Tensor:
        out = self._out(f"a{layer}", self.width, h_EDB.shape[2])
        z = torch.baddbmm(self.p[f"b{layer}"], self.p[f"W{layer}"], h_EDB, out=out)
        return z.tanh_() if self.tanh else z.relu_()

    def _goodness(self, a_EHB: Tensor) -> Tensor:
        return torch.mul(a_EHB, a_EHB, out=self._out("goodness", *a_EHB.shape[1:])) if self.squared else a_EHB

    def _readout(self, layer: int) -> Tensor:
        """R / T, shape (E, K, H): dividing the small matrix is cheaper than dividing the goodness."""
        R = self.p[f"R{layer}"]
        return R / self.temperature(layer) if self.learned_t else R

    def _back(self, name: str) -> Tensor:
        """What an error goes back through where the weights are ``W1``, or the readout ``R3``."""
        gradient = self.learner.gradient
        if gradient == "fa":
            return self.p[f"B{name[1:] if name[0] == 'W' else self.depth}"]
        own = self.p[name]
        if gradient == "usf":  # with the standard deviation of Xavier's start (biotorch)
            return own.sign().mul_((2 / (own.shape[1] + own.shape[2])) ** 0.5)
        return own

    def activations(self, x_EBD: Tensor) -> Iterator[Tensor]:
        """Every layer's activation, shape (E, H, B), from the lowest up, in buffers that the next batch overwrites."""
        h = x_EBD.transpose(1, 2)
        for layer in range(self.depth):
            a = self._layer(layer, h)
            yield a
            h, _ = normalise.forward(self.learner.norm, a, self.K)

    @torch.no_grad()
    def readouts(self) -> dict[int, Tensor]:
        """R / T of every head, shape (E, K, H): for many batches they are worth computing once."""
        return {layer: self._readout(layer) for layer in self.headed}

    @torch.no_grad()
    def logits(self, x_EBD: Tensor, readouts: Mapping[int, Tensor] | None = None) -> list[Tensor]:
        """Logits of every head, each of shape (E, K, B), from the lowest layer up."""
        R, out = self.readouts() if readouts is None else readouts, []
        below: Tensor | None = None
        for above, a in enumerate(chain(self.activations(x_EBD), (None,))):
            # A head is worked once the layer above has seen the activation, which may then be squared in its place.
            if below is not None and above - 1 in R:
                g = below.mul_(below) if self.squared else below
                out.append(torch.baddbmm(self.p[f"c{above - 1}"], R[above - 1], g))
            below = a
        return out

    # ---- backward ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def gradients(self, x_EBD: Tensor, y_EB: Tensor) -> None:
        """Write the gradient of one batch's loss into ``parameters.grad``.

        Parameters
        ----------
        x_EBD : Tensor, shape (E, B, D)
        y_EB : Tensor of int64, shape (E, B)
        """
        norm = self.learner.norm
        h = x_EBD.transpose(1, 2)
        inputs, activations, scales = [], [], []
        below: list[Tensor | None] = [None] * self.depth
        for layer in range(self.depth):
            a = self._layer(layer, h)
            if layer in self.headed:
                da = below[layer] = self._head_gradients(layer, a, y_EB)
                if self.local and da is not None:
                    self._layer_gradients(layer, a, h, da)
            inputs.append(h)
            activations.append(a)
            h, scale = normalise.forward(norm, a, self.K)
            scales.append((h, scale))
        if self.local or not self.trunk:
            return
        if self.direct:
            for layer in range(self.depth):
                self._layer_gradients(layer, activations[layer], inputs[layer], self._sent(layer, y_EB))
            return
        dz: Tensor | None = None
        for layer in reversed(range(self.depth)):
            a, onto = activations[layer], below[layer]
            if dz is not None:
                W = self._back(f"W{layer + 1}").transpose(1, 2)
                if norm == "none" and onto is not None:
                    onto.baddbmm_(W, dz)
                else:
                    dh = torch.bmm(W, dz, out=self._out(f"dh{layer % 2}", self.width, a.shape[2]))
                    dh = normalise.backward(norm, dh, *scales[layer])
                    onto = dh if onto is None else onto.add_(dh)
            if onto is None:  # no loss here or above
                continue
            dz = self._layer_gradients(layer, a, inputs[layer], onto)

    def _sent(self, layer: int, y_EB: Tensor) -> Tensor:
        """What the last head, whose error lies in its buffer, sends to a layer directly, shape (E, H, B)."""
        batch = y_EB.shape[1]
        e = self._out("d", self.K, batch)
        if self.learner.gradient == "sdfa":
            e = e.sign().div_(batch)
        elif self.learner.gradient == "drtp":
            e = e.new_zeros(e.shape).scatter_(1, y_EB[:, None, :], 1 / batch)
        return torch.bmm(self.p[f"B{layer}"].transpose(1, 2), e, out=self._out("da", self.width, batch))

    def _head_gradients(self, layer: int, a_EHB: Tensor, y_EB: Tensor) -> Tensor | None:
        """Gradients of a head; returns the loss's gradient on the layer's activation, shape (E, H, B), where one goes
        there.
        """
        batch = a_EHB.shape[2]
        g = self._goodness(a_EHB)
        R_over_T = self._readout(layer)
        bias = self.p[f"c{layer}"]
        logits = torch.baddbmm(bias, R_over_T, g, out=self._out("logits", self.K, batch))
        # By hand: torch's softmax along any but the last dimension takes one exponential at a time.
        d = torch.sub(logits, logits.amax(1, keepdim=True), out=self._out("d", self.K, batch)).exp_()
        d /= d.sum(1, keepdim=True)
        soft = self.learner.label_smoothing
        if soft:
            d -= soft / self.K
        d.scatter_add_(1, y_EB[:, None, :], d.new_full((1, 1, 1), soft - 1.0).expand(self.E, 1, batch))
        d /= batch
        if self.learned_readout:
            torch.bmm(d, g.transpose(1, 2), out=self.g[f"R{layer}"])
            if f"c{layer}" in self.g:
                torch.sum(d, 2, keepdim=True, out=self.g[f"c{layer}"])
            if self.learned_t:
                self.g[f"R{layer}"] /= self.temperature(layer)
        if self.learned_t:
            # d loss / dT = -sum(d * R g / T) / T, and R g / T is logits - bias.
            s = _sigmoid(self.p[f"alpha{layer}"])
            span = self.learner.t_max - self.learner.t_min
            logits.sub_(bias).mul_(d)
            d_t = -logits.sum((1, 2), keepdim=True) / self.temperature(layer)
            self.g[f"alpha{layer}"].copy_(d_t * span * s * (1 - s))
        if self.direct or not self.trunk:
            return None
        back = self._back(f"R{layer}") if self.learner.gradient in FEEDBACK else R_over_T
        if self.squared:  # d a^2 = 2 a da; the 2 goes to the small matrix
            back = 2 * back
        name = "da" if self.local else f"da{layer}"  # a local layer is done with it before the next one starts
        da = torch.bmm(back.transpose(1, 2), d, out=self._out(name, self.width, batch))
        return da.mul_(a_EHB) if self.squared else da

    def _layer_gradients(self, layer: int, a_EHB: Tensor, h_EDB: Tensor, da_EHB: Tensor) -> Tensor:
        """Gradients of W and b from that of the activation, which is overwritten by that of the pre-activation."""
        dz = da_EHB
        if self.tanh:
            dz.addcmul_(dz, a_EHB.square(), value=-1)
        elif not (self.local and self.squared):  # there da is a multiple of a, 0 already where a is
            dz = torch.ops.aten.threshold_backward.grad_input(da_EHB, a_EHB, 0, grad_input=da_EHB)
        torch.bmm(dz, h_EDB.transpose(1, 2), out=self.g[f"W{layer}"])
        torch.sum(dz, 2, keepdim=True, out=self.g[f"b{layer}"])
        return dz

    @torch.no_grad()
    def clip(self, largest: float) -> None:
        """Scale down each layer's gradient (its weights, head and temperature) whose norm exceeds `largest`, network
        by network.
        """
        for layer in range(self.depth):
            group = [self.g[f"{name}{layer}"] for name in ("W", "b", "R", "c", "alpha") if f"{name}{layer}" in self.g]
            if not group:
                continue
            # One after the other: torch adds five rows in an order that hangs on how many networks there are.
            norm = sum((g.flatten(1).square().sum(1) for g in group), torch.zeros(1, device=group[0].device)).sqrt()
            factor = (largest / (norm + 1e-6)).clamp(max=1.0)[:, None, None]
            for g in group:
                g *= factor


def _sigmoid(x: Tensor) -> Tensor:
    """In parts of 16 networks: of 32 or more numbers torch rounds some otherwise."""
    return torch.cat([torch.sigmoid(part) for part in x.split(16)]) if len(x) > 16 else torch.sigmoid(x)


def _padded(size: tuple[int, ...]) -> int:
    return -(-int(np.prod(size)) // ALIGN) * ALIGN
