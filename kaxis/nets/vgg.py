"""VGG nets whose every layer may have a head: one module for local and global learners.

Shape suffixes: B batch, C channels, S side in pixels, G goodness features, K classes. Layer l: a = relu(conv h + b).
Its head reads the pooled vector of a^power, taken before the layer's own pooling, divided by T. What goes up is
pool -> norm over channels -> dropout. That block is the same for every learner: local ones detach what goes up, nothing
else. What of the nets is the paper's: `kaxis.spec.net`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kaxis.nets import fused
from kaxis.nets.draws import feedback, linear, readout
from kaxis.nets.maps import convolution, flat, grid_means, over_channels
from kaxis.nets.plan import layers
from kaxis.spec.learner import DIRECT, FEEDBACK, TableLearner
from kaxis.spec.net import VGGSpec
from kaxis.streams import SHARED, stream

__all__ = ["CONCAT_DROPOUT", "CONCAT_SMOOTHING", "VGG"]

CONCAT_DROPOUT, CONCAT_SMOOTHING = 0.2, 0.1  # paper, concat inference


class VGG(nn.Module):
    """One network, with the heads that its learner asks for.

    Parameters
    ----------
    seed, member : int
        Whose streams the initial numbers come from.
    K, size : int
        Classes; side of the images in pixels.
    net : VGGSpec
    learner : TableLearner
    concat : bool
        Also train a classifier on the concatenated average-pooled layers from 1 up (paper, concat inference).
    """

    def __init__(
        self,
        seed: int,
        member: int,
        *,
        K: int,
        size: int,
        net: VGGSpec,
        learner: TableLearner,
        concat: bool,
    ) -> None:
        super().__init__()
        self.plan, self.learner, self.dropout, self.K = layers(net, size), learner, net.dropout, K
        self.tanh, self.apart = net.activation == "tanh", learner.apart
        depth = len(self.plan)
        self.headed = {"every": range(depth), "last": range(depth - 1, depth), "concat": range(0)}[learner.heads]
        self.convs = nn.ModuleList(convolution(seed, member, i, layer) for i, layer in enumerate(self.plan))
        self.convs.requires_grad_(learner.trunk)
        self.heads = nn.ModuleDict()
        self.alphas = nn.ParameterDict()
        self.goodness_norms = nn.ModuleDict()
        with torch.no_grad():
            for i in self.headed:
                G = 1 if learner.goodness == "scalar" else self.plan[i].goodness
                head = nn.Linear(G, K)
                R, c = readout(seed, member, i, K, G, learner, channels=min(G, self.plan[i].channels))
                head.weight.copy_(torch.from_numpy(R))
                head.bias.copy_(torch.from_numpy(c[:, 0]))
                head.requires_grad_(learner.readout == "learned")
                if learner.bias == "no":
                    head.bias.requires_grad_(False)
                self.heads[str(i)] = head
                if learner.temperature == "learned":
                    self.alphas[str(i)] = nn.Parameter(torch.zeros(()))
                if learner.goodness_norm == "batchnorm":
                    self.goodness_norms[str(i)] = nn.BatchNorm1d(G, affine=False)
            self.concat: nn.Sequential | None = None
            if concat:
                width = sum(p.channels for p in self.plan[1:])
                W, b = linear(stream(seed, f"concat/{member}", K), K, width)
                last = nn.Linear(width, K)
                last.weight.copy_(torch.from_numpy(W))
                last.bias.copy_(torch.from_numpy(b[:, 0]))
                self.concat = nn.Sequential(nn.BatchNorm1d(width), last)
        self._draw_feedback(seed, member)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def _draw_feedback(self, seed: int, member: int) -> None:
        """Backward weights: of layer i in the shape of its kernels, of the head above all, or from K errors to each
        unit of layer i.
        """
        kind, above = self.learner.gradient, len(self.plan)
        shapes: dict[int, tuple[int, ...]] = {}
        if kind in DIRECT:
            shapes = {i: (self.K, p.channels, p.side, p.side) for i, p in enumerate(self.plan)}
        elif kind == "fa":
            shapes = {i: (p.channels, p.inputs, 3, 3) for i, p in enumerate(self.plan) if i}
            shapes[above] = self.K, self.heads[str(above - 1)].get_parameter("weight").shape[1]
        for i, shape in shapes.items():
            purpose = f"feedback/{member}/{i}" if i < above else f"feedback_head/{member}"
            rng = stream(seed, purpose, SHARED if kind == "fa" and i < above else self.K)
            drawn = torch.from_numpy(feedback(rng, shape[0], math.prod(shape[1:]))).view(shape).float()
            if len(shape) == 4:
                drawn = drawn.contiguous(memory_format=torch.channels_last)
            # drawn anew for each net, so no checkpoint keeps them
            self.register_buffer(f"back{i}", drawn.to(self.device), persistent=False)

    def back(self, i: int) -> Tensor | None:
        """What a gradient goes back through in the place of the kernels of layer i (of the last head, where there is
        no such layer); None for themselves.
        """
        kind = self.learner.gradient
        if kind == "fa" and i:
            return self.get_buffer(f"back{i}")
        if kind != "usf":
            return None
        W = (self.convs[i] if i < len(self.plan) else self.heads[str(i - 1)]).get_parameter("weight").detach()
        return W.sign() * (2 / ((W.shape[0] + W.shape[1]) * W[0, 0].numel())) ** 0.5

    def sent(self, i: int, e_BK: Tensor) -> Tensor:
        """The gradient of layer i's activation (B, C, S, S) that errors, or targets, are sent to it as."""
        B = self.get_buffer(f"back{i}").permute(0, 2, 3, 1)
        return (e_BK @ B.flatten(1)).view(-1, *B.shape[1:]).permute(0, 3, 1, 2)

    def temperature(self, i: int) -> Tensor | float:
        """T of layer i: 1, or learned between t_min and t_max."""
        if str(i) not in self.alphas:
            return 1.0
        low, high = self.learner.t_min, self.learner.t_max
        return low + (high - low) * torch.sigmoid(self.alphas[str(i)])

    def activation(self, i: int, h_BCSS: Tensor) -> Tensor:
        z: Tensor = self.convs[i](h_BCSS)
        return z.tanh() if self.tanh else F.relu(z, inplace=True)

    def goodness(self, i: int, a_BCSS: Tensor) -> Tensor:
        """What a head of layer i would read, before normalisation and temperature: the pooled a^power, or its mean (B,
        1).
        """
        g = a_BCSS * a_BCSS if self.learner.power == "2" else a_BCSS
        if self.learner.goodness == "scalar":
            return g.mean((1, 2, 3))[:, None]
        return flat(grid_means(g, self.plan[i].goodness_side))

    def head(self, i: int, a_BCSS: Tensor) -> Tensor:
        """Logits (B, K) of layer i, in float32 whatever the activation is in."""
        with torch.autocast(a_BCSS.device.type, enabled=False):
            return self._read(i, self.goodness(i, a_BCSS.float()))

    def _read(self, i: int, g_BG: Tensor) -> Tensor:
        if str(i) in self.goodness_norms:
            g_BG = self.goodness_norms[str(i)](g_BG)
        head, T = self.heads[str(i)], self.temperature(i)
        if self.learner.gradient in FEEDBACK and torch.is_grad_enabled():
            back = self.back(i + 1)
            assert back is not None
            W, b = head.get_parameter("weight"), head.get_parameter("bias")
            if self.learner.temperature == "1":
                return fused.linear(g_BG / T, W, b, back)
            # The head and its temperature learn by the loss; what is sent back knows neither.
            sent = fused.linear(g_BG, W.detach(), b.detach(), back)
            own: Tensor = head(g_BG.detach() / T)
            return own + (sent - sent.detach())
        logits: Tensor = head(g_BG / T)
        return logits

    def layer(self, i: int, h_BCSS: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """`activation`, `head` (None without one) and `pooled` in one; a local learner's pooling waits for its
        backward pass.
        """
        layer, headed, device = self.plan[i], i in self.headed, h_BCSS.device.type
        whole = headed and self.learner.goodness == "vector" and layer.side % layer.goodness_side == 0
        side = layer.goodness_side if whole else 0
        a, g, p = self._fused(i, h_BCSS, head=side, pool=layer.pool and not self.apart)
        logits = None
        if g is not None:
            with torch.autocast(device, enabled=False):
                logits = self._read(i, flat(g))
        elif headed:
            logits = self.head(i, a)
        return a, logits, a if p is None else p

    def alone(self, i: int, h_BCSS: Tensor) -> Tensor:
        """`activation` as one operation."""
        return self._fused(i, h_BCSS, head=0, pool=False)[0]

    def _fused(self, i: int, h_BCSS: Tensor, *, head: int, pool: bool) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """`kaxis.nets.fused.layer` in the precision that holds here."""
        device, back = h_BCSS.device.type, self.back(i)
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else h_BCSS.dtype
        return fused.layer(
            h_BCSS.to(dtype),
            *(p.to(dtype) for p in self.convs[i].parameters()),
            head=head,
            squared=self.learner.power == "2",
            pool=pool,
            tanh=self.tanh,
            back=None if back is None else back.to(dtype),
        )

    def onward(self, i: int, a_BCSS: Tensor, mask: Callable[[int, Tensor], Tensor] | None) -> Tensor:
        """The next layer's input; `mask` gives a layer's dropout mask (already divided by the share kept)."""
        return self.normed(i, F.avg_pool2d(a_BCSS, 2) if self.plan[i].pool else a_BCSS, mask)

    def normed(self, i: int, p_BCSS: Tensor, mask: Callable[[int, Tensor], Tensor] | None) -> Tensor:
        """The next layer's input from what is already pooled."""
        kind, x = self.learner.norm, p_BCSS.permute(0, 2, 3, 1)  # channels last, as in memory
        x, own = over_channels(x, kind, self.K), kind != "none"
        if mask is not None and self.dropout:
            drawn = mask(i, p_BCSS).permute(0, 2, 3, 1)
            x = x.mul_(drawn) if own else x * drawn
        return x.permute(0, 3, 1, 2)

    def classify(self, pooled: list[Tensor], mask: Callable[[int, Tensor], Tensor] | None) -> Tensor:
        """Logits (B, K) of the concat classifier from the average-pooled layers 1 and up."""
        assert self.concat is not None
        with torch.autocast(pooled[0].device.type, enabled=False):
            features = self.concat[0](torch.cat(pooled, 1).float())
            if mask is not None:
                features = features * mask(len(self.plan), features)
            logits: Tensor = self.concat[1](features)
            return logits

    def activations(self, x_BCSS: Tensor) -> Iterator[Tensor]:
        """Every layer's activation, without dropout, from the lowest up."""
        h = x_BCSS
        for i in range(len(self.plan)):
            a = self.activation(i, h)
            yield a
            if i + 1 < len(self.plan):
                h = self.onward(i, a, None)

    @torch.no_grad()
    def logits(self, x_BCSS: Tensor) -> list[Tensor]:
        """Every head's logits (B, K) from the lowest layer up, the concat classifier's last. Call in `eval()` mode."""
        out, pooled = [], []
        for i, a in enumerate(self.activations(x_BCSS)):
            if i in self.headed:
                out.append(self.head(i, a))
            if self.concat and i:
                pooled.append(a.mean((2, 3)))
        return out + ([self.classify(pooled, None)] if self.concat else [])

    def groups(self) -> dict[int, list[nn.Parameter]]:
        """Trained parameters of each layer that has some, the concat classifier's last: what each AdamW and each clip
        covers.
        """
        out = {}
        for i, conv in enumerate(self.convs):
            own = [*conv.parameters()]
            if i in self.headed:
                own += [*self.heads[str(i)].parameters()]
                own += [self.alphas[str(i)]] if str(i) in self.alphas else []
            out[i] = [p for p in own if p.requires_grad]
        if self.concat:
            out[len(self.plan)] = [*self.concat.parameters()]
        return {i: own for i, own in out.items() if own}
