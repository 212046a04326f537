"""Published rules that are code, each against its equations written down once more."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kaxis.errors import KaxisError
from kaxis.learners.hcl_ff import coarse, contrastive, nodes
from kaxis.learners.predsim import similarity
from kaxis.learners.softhebb import plastic
from kaxis.measure.locality import locality
from kaxis.measure.subject import subject
from kaxis.nets.maps import over_channels
from kaxis.nets.start import Start
from kaxis.spec.net import VGGSpec
from kaxis.spec.rules import BUILT_IN, rule
from kaxis.spec.sweep import Sweep
from kaxis.train.loop import train
from tests.helpers import ROOT

PREDSIM = str(ROOT / "docs" / "predsim.py")
K, INPUTS, WIDTH, DEPTH, B = 4, 6, 8, 3, 10


def built(name: str, activation: str = "relu", steps: int = 9, **settings: float) -> Any:
    torch.manual_seed(3)
    start = Start(1, 0, K, INPUTS, WIDTH, DEPTH, "cpu", steps=steps, activation=activation)
    made = BUILT_IN[name]
    return made.build(start, **{**made.settings, **settings}).double()


def batch(*shape: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(B, *(shape or (INPUTS,)), generator=g, dtype=torch.float64)
    return x, torch.randint(0, K, (B,), generator=g)


def grads(module: nn.Module) -> list[Tensor | None]:
    return [p.grad for p in module.parameters()]


def test_similarity_is_the_published_formula() -> None:
    """Element by element: centred per sample, of maps the unbiased standard deviation of each channel first."""
    x = torch.randn(5, 7, dtype=torch.float64)
    centred = x - x.mean(1, keepdim=True)
    for i in range(5):
        for j in range(5):
            cosine = (centred[i] @ centred[j]) / (centred[i].norm() * centred[j].norm())
            assert similarity(x)[i, j].item() == pytest.approx(float(cosine), rel=1e-6)
    maps = torch.randn(5, 7, 4, 4, dtype=torch.float64)
    spread = torch.stack([torch.stack([maps[b, c].std() for c in range(7)]) for b in range(5)])
    torch.testing.assert_close(similarity(maps), similarity(spread))
    few = torch.randn(5, 3, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(similarity(few), similarity(few.flatten(1)))


@pytest.mark.parametrize("batchnorm", [0.0, 1.0])
def test_predsim_on_an_mlp_is_its_equations(batchnorm: float) -> None:
    net = built("predsim", batchnorm=batchnorm)
    assert all(not head.weight.any() for head in net.heads)
    for head in net.heads:
        nn.init.normal_(head.weight)
    x, y = batch()
    wanted, h = similarity(F.one_hot(y, K).double()), x
    for i in range(DEPTH):
        z = net.hidden[i](h.detach())
        if batchnorm:
            z = (z - z.mean(0)) / (z.var(0, unbiased=False) + 1e-5).sqrt()
        a = torch.relu(z)
        own = 0.99 * ((similarity(a @ net.maps[i].weight.T) - wanted) ** 2).mean()
        own = own + 0.01 * F.cross_entropy(net.heads[i](a), y)
        torch.testing.assert_close(net.losses(x, y)[str(i)], own, rtol=1e-9, atol=1e-12)
        h = a
    torch.testing.assert_close(net.losses(x, y)["out"], F.cross_entropy(net.out(h), y))


def test_predsim_on_a_conv_net_is_its_equations() -> None:
    torch.manual_seed(3)
    start = Start.conv(1, 0, K, size=16, net=VGGSpec(width=0.05, dropout=0.0), norm="layernorm", device="cpu")
    net = BUILT_IN["predsim"].build(start, **BUILT_IN["predsim"].settings).double()
    x, y = batch(3, 16, 16)
    wanted, h = similarity(F.one_hot(y, K).double()), x
    losses = net.losses(x, y)
    for i in range(7):
        z = F.conv2d(h.detach(), net.hidden[i].weight, net.hidden[i].bias, padding=1)
        z = (z - z.mean((0, 2, 3), keepdim=True)) / (z.var((0, 2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
        a = torch.relu(z)
        alike = similarity(F.conv2d(a, net.maps[i].weight, padding=1))
        said = F.cross_entropy(net.heads[i](net.reads[i](a)), y)
        torch.testing.assert_close(losses[str(i)], 0.99 * F.mse_loss(alike, wanted) + 0.01 * said)
        a = F.avg_pool2d(a, 2) if i in (1, 3, 4, 5) else a
        h = F.layer_norm(a.permute(0, 2, 3, 1), (a.shape[1],)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("first", [0.0, 1.0])
def test_pepita_steps_are_its_equations(first: float) -> None:
    """Sample by sample, in outer products."""
    net = built("pepita", first_error=first)
    x, y = batch()
    net.update(x, y)
    want = [torch.zeros_like(p) for layer in [*net.hidden, net.out] for p in (layer.weight, layer.bias)]

    def up(v: Tensor) -> list[Tensor]:
        out = [v]
        for layer in net.hidden:
            out.append(torch.relu(layer.weight @ out[-1] + layer.bias))
        return out

    def error(h: Tensor, k: int) -> Tensor:
        return torch.softmax(net.out.weight @ h + net.out.bias, 0) - F.one_hot(torch.tensor(k), K)

    with torch.no_grad():
        for v, k in zip(x, y.tolist(), strict=True):
            one = up(v)
            e = error(one[-1], k)
            two = up(v + net.B @ e)
            last = e if first else error(two[-1], k)
            for i, d in enumerate([*(a - b for a, b in zip(one[1:], two[1:], strict=True)), last]):
                want[2 * i] += torch.outer(d, two[i]) / B
                want[2 * i + 1] += d / B
    for p, w in zip([p for layer in [*net.hidden, net.out] for p in (layer.weight, layer.bias)], want, strict=True):
        torch.testing.assert_close(p.grad, w)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_predictive_coding_steps_are_autograds(activation: str) -> None:
    net = built("predictive_coding", activation, settling=7, rate=0.1)
    f = torch.tanh if activation == "tanh" else torch.relu
    x, y = batch()
    net.update(x, y)
    ours = grads(net)
    target = F.one_hot(y, K).double()

    def energy(states: list[Tensor]) -> Tensor:
        below, E = [x, *states], torch.zeros((), dtype=torch.float64)
        for i, layer in enumerate(net.hidden):
            E = E + (states[i] - f(layer(below[i]))).square().sum() / 2
        return E + (target - net.out(states[-1])).square().sum() / 2

    states, h = [], x
    for layer in net.hidden:
        h = f(layer(h)).detach()
        states.append(h)
    for _ in range(7):
        states = [s.detach().requires_grad_() for s in states]
        slopes = torch.autograd.grad(energy(states), states)
        states = [s - 0.1 * g for s, g in zip(states, slopes, strict=True)]
    theirs = torch.autograd.grad(energy([s.detach() for s in states]) / B, list(net.parameters()))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("auxiliary", [0, 1, 2])
def test_layerwise_trains_one_layer_after_another(auxiliary: int) -> None:
    net = built("layerwise", steps=9, auxiliary=auxiliary)
    assert [sum(isinstance(m, nn.Linear) for m in head) for head in net.heads] == [auxiliary + 1] * DEPTH
    x, y = batch()
    for turn in (0, 0, 0, 1, 1, 1, 2, 2, 2, 2):
        net.zero_grad()
        net.loss(x, y).backward()
        moved = [any(p.grad is not None for p in group) for group in net.groups()]
        assert moved == [i == turn for i in range(DEPTH)]


def test_the_contrastive_loss_is_its_sum() -> None:
    """Pair by pair (Khosla et al. 2020, equation 2), a row without another of its class counting as 0."""
    z, y = F.normalize(batch(5)[0]), torch.tensor([0, 0, 0, 1, 1, 2, 1, 0, 1, 1])
    total = 0.0
    for i in range(B):
        others = [j for j in range(B) if j != i]
        same = [j for j in others if y[j] == y[i]]
        below = sum(math.exp(float(z[i] @ z[j]) / 0.3) for j in others)
        total -= sum(math.log(math.exp(float(z[i] @ z[j]) / 0.3) / below) for j in same) / max(len(same), 1)
    assert contrastive(z, y, 0.3).item() == pytest.approx(total / B)


def test_a_tree_of_classes_goes_from_coarse_to_fine() -> None:
    """Two pairs of like classes and one alone: the pairs are told apart first, then what is in them."""
    like = torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 0.1, 0], [0, 1, 0.1], [0, 0, -1]])
    assert nodes(like, 1).tolist() == [[0, 1, 2, 3, 4]]
    first, *between, last = (len(set(level)) for level in nodes(like, 3).tolist())
    assert (first, last) == (2, 5)
    assert all(2 <= n <= 5 for n in between)
    for coarser, finer in pairwise(nodes(like, 3).tolist()):
        assert len(set(zip(coarser, finer, strict=True))) == len(set(finer))  # a finer node lies in one coarser
    level = nodes(like, 3)[1]
    z = torch.randn(4, 5)
    for node in range(int(level.max()) + 1):
        torch.testing.assert_close(coarse(z, level)[:, node], z[:, level == node].mean(1))


@pytest.mark.parametrize("conv", [False, True])
def test_hcl_ff_is_its_equations(conv: bool) -> None:
    """Groups of 3, 2, 2 channels and the like by slices; the tree comes after its share of the steps."""
    size, made = (3, 16, 16) if conv else (INPUTS,), BUILT_IN["hcl_ff"]
    torch.manual_seed(3)
    if conv:
        vgg = VGGSpec(width=0.1, dropout=0.0)
        start = Start.conv(1, 0, K, size=16, net=vgg, norm="layernorm", device="cpu", steps=6)
    else:
        start = Start(1, 0, K, INPUTS, WIDTH + 1, DEPTH, "cpu", steps=6)
    net = made.build(start, **{**made.settings, "share": 0.5, "units": 5, "contrast": 0.7}).double()
    x, y = batch(*size)
    for step in range(5):
        total = net.loss(x, y)
        net.done -= 1  # what that step saw
        tree = nodes(net.out.weight.detach(), start.depth)
        assert torch.equal(net.levels, tree if step > 2 else torch.arange(K).repeat(start.depth, 1))
        temperature = 0.8 if step == 0 else 0.1 + 0.05 * (1 + math.cos(math.pi * (step / 6 - 0.05) / 0.95))
        assert net.temperature == pytest.approx(temperature)
        losses, h = net.losses(x, y), x
        torch.testing.assert_close(total, torch.stack([*losses.values()]).sum())
        for i, layer in enumerate(net.hidden):
            a = torch.relu(layer(h.detach()))
            parts = a.tensor_split(bounds(a.shape[1]), 1)
            z = torch.stack([p.flatten(1).mean(1) for p in parts], 1)
            n = torch.cat([grouped(p) for p in parts], 1)
            of = net.levels[i]
            means = torch.stack([z[:, of == k].mean(1) for k in range(int(of.max()) + 1)], 1)
            p = net.projections[i][0](net.reads[i](n))
            p = (p - p.mean(0)) / (p.var(0, unbiased=False) + 1e-5).sqrt()
            alike = contrastive(p / p.norm(dim=1, keepdim=True), y, temperature)
            torch.testing.assert_close(losses[str(i)], F.cross_entropy(means, of[y]) + 0.7 * alike)
            torch.testing.assert_close(net.logits(x)[i], z)
            if conv and i in (1, 3, 4, 5):
                a = F.avg_pool2d(a, 2)
            h = torch.cat([grouped(p) for p in a.tensor_split(bounds(a.shape[1]), 1)], 1)
        torch.testing.assert_close(losses["out"], F.cross_entropy(net.out(net.reads[-1](n)), y))
        net.done += 1


def test_hcl_ff_that_has_diverged_keeps_the_classes_apart() -> None:
    """A tree of weights that are no numbers is none: the cell ends as diverged, not with an error of its own."""
    net = built("hcl_ff", steps=2, share=0.5)
    with torch.no_grad():
        net.out.weight.fill_(torch.nan)
    for _ in range(2):
        net.loss(*batch())
    assert torch.equal(net.levels, torch.arange(K).repeat(DEPTH, 1))


def test_a_group_of_one_unit_is_normalised_to_nothing() -> None:
    """Of one sample too."""
    rows = torch.randn(1, 5)
    assert not over_channels(rows, "groupnorm", 5).any()
    assert over_channels(rows, "groupnorm", 4)[:, :2].abs().round(decimals=2).tolist() == [[1, 1]]


def bounds(channels: int) -> list[int]:
    """Where K groups of channels end, the larger ones first."""
    return [sum(channels // K + (j < channels % K) for j in range(k)) for k in range(1, K)]


def grouped(part: Tensor) -> Tensor:
    one = part.flatten(1)
    return ((one - one.mean(1, keepdim=True)) / (one.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()).view_as(part)


def direction(x: Tensor, W: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """SoftHebb's rule, one vector of inputs after another: weighted inputs, and the sum of the steps."""
    out, said = torch.zeros_like(W), []
    for v in x:
        u = W @ v
        y = -torch.softmax(temperature * u, 0)
        y[u.argmax()] *= -1
        out += torch.outer(y, v) - (y * u)[:, None] * W
        said.append(u)
    return torch.stack(said), out / out.abs().max()


def test_softhebb_steps_are_its_equations() -> None:
    """On vectors; and on maps, where each patch is one."""
    net = built("softhebb", steps=8, rate=0.5)
    net.train()
    x, y = batch()
    assert [abs(float(layer.weight.detach().norm(dim=1).mean()) - 25) < 10 for layer in net.hidden] == [True] * DEPTH
    before = [layer.weight.detach().clone() for layer in net.hidden]
    net.update(x, y)
    for W, layer, rate, temperature, power in zip(
        before, net.hidden, (0.08, 0.005, 0.01), (1, 0.65, 0.25), (0.7, 1.4, 1), strict=True
    ):
        x = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
        u, step = direction(x, W, temperature)
        own = 0.5 * rate * (W.norm(dim=1, keepdim=True) - 1).abs().sqrt()
        torch.testing.assert_close(layer.weight.detach(), W + own * step)
        x = torch.relu(u - u.mean(1, keepdim=True)) ** power
    maps, _ = batch(3, 6, 6)
    W = torch.randn(5, 3, 3, 3, dtype=torch.float64)
    patches = F.unfold(maps, 3, padding=1).transpose(1, 2).flatten(0, 1)
    _, step = direction(patches, W.flatten(1), 0.65)
    torch.testing.assert_close(plastic(maps, F.conv2d(maps, W, padding=1), W, 0.65).flatten(1), step)


def test_softhebb_has_two_phases() -> None:
    """First the layers learn and no label is seen, then the classifier alone."""
    net = built("softhebb", steps=4)
    x, y = batch()
    for step in range(4):
        net.zero_grad()
        net.train()
        before = [layer.weight.detach().clone() for layer in net.hidden]
        net.update(x, y)
        moved = [not torch.equal(b, layer.weight) for b, layer in zip(before, net.hidden, strict=True)]
        assert moved == [step < 2] * DEPTH
        assert (net.out.weight.grad is None) == (step < 2)
    net.zero_grad()
    net.eval()
    F.cross_entropy(net.logits(x)[0], y).backward()
    wanted = net.out.weight.grad.clone()
    net.update(x, y)
    torch.testing.assert_close(net.out.weight.grad, wanted)


@pytest.mark.parametrize("name", ["predsim", "pepita", "predictive_coding", "softhebb", "layerwise", "hcl_ff"])
def test_each_trains_both_ways_and_a_seed_repeats_itself(name: str) -> None:
    for activation in ("relu", "tanh") if name != "softhebb" else ("relu",):
        small = {"source": "digits", "K": 3, "seeds": 0, "steps": 30, "width": 16, "depth": 2, "activation": activation}
        (cell,) = Sweep.of({**small, "learners": [name]}).cells()
        (one,), _ = train([cell])
        assert one["status"] == "done"
        assert one["metrics"] == train([cell])[0][0]["metrics"]


def test_what_steps_hang_on_is_measured() -> None:
    for name in ("pepita", "predictive_coding"):
        matrix = locality(subject(net="mlp", learners=name, batch=16))
        assert matrix.attrs["rows"] == "change of"
        assert str(matrix.attrs["pattern"]).endswith("hang on layers above them: not local")
    matrix = locality(subject(net="mlp", learners="softhebb", batch=16))
    assert not str(matrix.attrs["pattern"]).endswith("not local")
    for name in ("predsim", "layerwise", "hcl_ff"):
        matrix = locality(subject(net="mlp", learners=name, batch=16))
        assert matrix.attrs["pattern"] == "each loss reaches its own layer alone"


def test_a_rule_for_mlps_is_refused_on_a_conv_net() -> None:
    with pytest.raises(KaxisError, match="learner 'pepita': trains the mlp, not vgg8"):
        Sweep.of({"source": "cifar10", "net": "vgg8", "learners": ["pepita"]})


def test_a_file_of_rules_may_have_a_name_of_the_packages() -> None:
    """Its code is that of the sweep that names it; other sweeps go on with the package's."""
    mine = Sweep.of({"source": "digits", "rules": [PREDSIM], "learners": ["predsim"]}).cells()[0]
    ours = Sweep.of({"source": "digits", "learners": ["predsim"]}).cells()[0]
    assert (ours.config["learner"]["code"], len(mine.config["learner"]["code"])) == ("kaxis", 16)
    with pytest.raises(KaxisError, match="rule 'predsim': the table has a learner of that name"):
        rule("predsim")(nn.Module)  # in a session no sweep could say which is meant
    with pytest.raises(KaxisError, match="learner 'predsim\\[batchnorm=0\\]': 'batchnorm' is not"):
        Sweep.of({"source": "digits", "rules": [PREDSIM], "learners": ["predsim[batchnorm=0]"]})
