"""Local similarity and prediction losses (Nokland & Eidnes 2019, arXiv 1901.06656) as a rule of one's own, for the MLP.

kaxis run digits --K 3 5 10 --rules docs/predsim.py --learners bp_deepsup predsim "predsim[beta=0]"
"""

from torch import Tensor, nn
from torch.nn import functional as F

import kaxis


@kaxis.rule("predsim", beta=0.99)
class PredSim(nn.Module):
    """Every hidden layer learns by itself: beta x similarity loss + (1 - beta) x cross-entropy of its own classifier.

    The similarity loss matches the cosine similarities between a batch's features, after one linear map, with those between its
    one-hot labels (their equations 1 to 4).
    """

    def __init__(self, start, beta: float) -> None:
        super().__init__()
        self.beta, self.K, layers = beta, start.K, range(start.depth)
        self.hidden = nn.ModuleList(start.hidden(i) for i in layers)
        self.maps = nn.ModuleList(start.linear(f"map/{i}", start.width, start.width) for i in layers)
        self.heads = nn.ModuleList(start.linear(f"head/{i}", start.width, start.K) for i in layers)

    def activations(self, x: Tensor):
        for layer in self.hidden:
            x = F.relu(layer(x.detach()))  # nothing reaches the layer below
            yield x

    def losses(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        wanted = similarity(F.one_hot(y, self.K).to(x.dtype))
        out = {}
        for i, (a, to, head) in enumerate(zip(self.activations(x), self.maps, self.heads, strict=True)):
            alike = F.mse_loss(similarity(to(a)), wanted)
            out[str(i)] = self.beta * alike + (1 - self.beta) * F.cross_entropy(head(a), y)
        return out

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return sum(self.losses(x, y).values())

    def logits(self, x: Tensor) -> list[Tensor]:
        return [head(a) for a, head in zip(self.activations(x), self.heads, strict=True)]


def similarity(x: Tensor) -> Tensor:
    """Cosine similarity between the rows of a batch, each centred on its own mean."""
    centred = x - x.mean(1, keepdim=True)
    unit = centred / (centred.norm(dim=1, keepdim=True) + 1e-8)
    return unit @ unit.T
