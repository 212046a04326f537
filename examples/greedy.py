"""Every layer learns by itself, from a classifier with a hidden layer of its own: a rule for any net.

kaxis run digits --K 3 5 --steps 1000 --rules examples/greedy.py --learners bp_deepsup greedy
kaxis run cifar100 --net vgg8 --size 16 --width 0.125 --epochs 2 --K 10 --rules examples/greedy.py --learners greedy
"""

from torch import Tensor, nn
from torch.nn import functional as F

import kaxis


@kaxis.rule("greedy", units=64)
class Greedy(nn.Module):
    def __init__(self, start, units: float) -> None:
        super().__init__()
        self.layers, n, self.act = nn.ModuleList(), int(units), start.nonlinearity
        for i in range(start.depth):
            into, out = start.linear(f"into/{i}", start.features(i), n), start.linear(f"out/{i}", n, start.K)
            head = nn.Sequential(start.read(i), into, nn.ReLU(), out)
            self.layers.append(nn.ModuleDict({"hidden": start.hidden(i), "up": start.up(i), "head": head}))

    def logits(self, x: Tensor) -> list[Tensor]:
        out = []
        for layer in self.layers:
            a = self.act(layer["hidden"](x))
            out.append(layer["head"](a))
            x = layer["up"](a.detach())  # nothing reaches the layer below
        return out

    def losses(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        return {str(i): F.cross_entropy(z, y) for i, z in enumerate(self.logits(x))}

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return sum(self.losses(x, y).values())

    def groups(self) -> list[list[nn.Parameter]]:
        return [list(layer.parameters()) for layer in self.layers]  # each with an optimizer and a clip of its own
