"""Which layer's loss reaches which layer's parameters, by the gradients that the trainer's own code gives."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from functools import singledispatch
from string import ascii_letters

import torch
import xarray as xr
from torch import Tensor, nn

from kaxis.measure.subject import Subject
from kaxis.spec.learner import DIRECT, TableLearner
from kaxis.spec.rules import RuleError, authors_code
from kaxis.train.conv import ConvStack
from kaxis.train.dense import DenseStack
from kaxis.train.precision import cpu_matmul, one_thread
from kaxis.train.rule import RuleStack
from kaxis.train.stack import Stack
from kaxis.train.step import gradients

__all__ = ["locality", "pattern"]

Norms = dict[str, dict[str, float]]

WAYS = {
    "fa": ", through fixed random weights in the place of those above it: not local",
    "usf": ", through the signs of the weights above it: not local",
    "dfa": ", sent to each directly: not local",
    "sdfa": ", by its sign, sent to each directly: not local",
}
"""How one loss reaches every layer."""

LOSS, CHANGE = "loss of", "change of"
"""What the rows are: losses, with the norms of their gradients, or layers whose numbers are changed, with how far each
layer's step then moves.
"""


def locality(subject: Subject) -> xr.DataArray:
    """Norm of the gradient of every loss in every layer's parameters, on one batch of random images.

    Parameters
    ----------
    subject : Subject

    Returns
    -------
    DataArray, dims (loss, layer)
        Exactly 0 where a loss does not reach; 0 too below a layer whose every unit is silent on the batch, so take some
        images and some width. A conv net's losses are separated by autograd inside the step, the MLP's by running its
        closed-form step with one head at a time, a rule's by its ``losses(x, y)``; without it a rule has the one row
        ``total``. A rule with an ``update`` has no loss: its rows are layers whose numbers are changed by a tenth, its
        columns how far each layer's step then moves, and ``attrs["rows"]`` says so. A layer's parameters are its
        weights, biases, head and temperature; ``attrs["pattern"]`` names the shape.

    Examples
    --------
    >>> from kaxis.measure.subject import subject
    >>> locality(subject(net="mlp", learners="bp_deepsup", batch=16)).attrs["pattern"]
    'each loss reaches its own layer and those below'
    """
    with one_thread(), cpu_matmul():
        stack = subject.stack("cpu", steps=1)
        norms = _norms_of(stack)
    layers = list(dict.fromkeys(layer for row in norms.values() for layer in row))
    values = [[row[layer] for layer in layers] for row in norms.values()]
    learner = subject.cell.algorithm
    gradient = learner.gradient if isinstance(learner, TableLearner) else ""
    out = xr.DataArray(values, coords={"loss": list(norms), "layer": layers}, dims=("loss", "layer"))
    rows = CHANGE if isinstance(stack, RuleStack) and stack.updates else LOSS
    out = out.assign_attrs(learner=subject.cell.learner, net=subject.cell.net.name, gradient=gradient, rows=rows)
    return out.assign_attrs(pattern=pattern(out))


def pattern(matrix: xr.DataArray) -> str:
    """The matrix in words; a loss and the parameters of one layer have the same name."""
    reached = {
        str(loss): {str(layer) for layer in matrix.layer.values if float(matrix.sel(loss=loss, layer=layer)) > 0}
        for loss in matrix.loss.values
    }
    if matrix.attrs.get("rows") == CHANGE:
        order = list(map(str, matrix.layer.values))
        above = [k for k in order if any(k in reached[j] for j in order[order.index(k) + 1 :])]
        if above:
            return f"the steps of {', '.join(above)} hang on layers above them: not local"
        return "no layer's step hangs on a layer above it"
    if all(layers == {loss} for loss, layers in reached.items()):
        alone = "; of a layer only its head is trained" if matrix.attrs.get("gradient") == "none" else ""
        return f"each loss reaches its own layer alone{alone}"
    everything = set(map(str, matrix.layer.values))
    if set(reached) == {"total"}:
        return "its loss comes in one piece, so what each layer's reaches is not told; give the rule losses(x, y)"
    how = WAYS.get(str(matrix.attrs.get("gradient", "")), "")
    if len(reached) == 1 and set(*reached.values()) == everything:
        return f"one loss reaches every layer{how}"
    if reached.get("target") == everything:
        return "the target reaches every layer; the one loss reaches the last head alone"
    numbered = {loss: layers for loss, layers in reached.items() if loss.isdigit()}
    if numbered == reached and all(layers == {str(i) for i in range(int(k) + 1)} for k, layers in numbered.items()):
        return "each loss reaches its own layer and those below"
    beyond = [loss for loss, layers in reached.items() if layers != {loss}]
    if numbered and beyond and all(layers == {loss} for loss, layers in numbered.items()):
        return (
            f"each layer's loss reaches its own layer alone, but {' and '.join(beyond)} reaches "
            f"{_listed(reached, beyond)}"
        )
    return "losses reach several layers"


def _listed(reached: Mapping[str, set[str]], losses: Iterable[str]) -> str:
    return ", ".join(sorted(set().union(*(reached[loss] for loss in losses))))


@singledispatch
def _norms_of(stack: Stack) -> Norms:
    """Norms of each loss's gradient by layer."""
    raise NotImplementedError(type(stack).__name__)


@_norms_of.register
def _of_conv(stack: ConvStack) -> Norms:
    net = stack.nets[0]
    groups: dict[str, list[Tensor]] = {str(i): [*own] for i, own in net.groups().items()}
    if net.concat:
        groups["concat"] = groups.pop(str(len(net.plan)))
    x, y = stack.batches.one(next(stack.batches.draw(0)), 0)
    norms: Norms = {}

    if stack.learner.gradient in DIRECT:
        gradients(net, x, y, None, lambda i: None)
        heads = {id(p) for p in (*net.heads.parameters(), *net.alphas.parameters())}
        return _sent(
            stack.learner.gradient,
            {i: [(id(p) in heads, p.grad) for p in own if p.grad is not None] for i, own in groups.items()},
        )

    def look(name: str, loss: Tensor) -> None:
        norms[name] = _norms(loss, groups)

    gradients(net, x, y, None, lambda i: None, local_step=stack.train.local_step, look=look)
    return norms


def _sent(kind: str, gradients_of: Mapping[str, list[tuple[bool, Tensor]]]) -> Norms:
    """Where the one loss is the last head's and layers get what is sent to them: of a head or not, and each gradient.

    Targets (DRTP) are no loss: they have a row of their own.
    """
    rows: Norms = {}
    last = list(gradients_of)[-1]
    for layer, own in gradients_of.items():
        for of_head, gradient in own:
            row = rows.setdefault(
                "target" if kind == "drtp" and not of_head else last, dict.fromkeys(gradients_of, 0.0)
            )
            row[layer] += float(gradient.square().sum())
    return {name: {layer: value**0.5 for layer, value in row.items()} for name, row in rows.items()}


@_norms_of.register
def _of_rule(stack: RuleStack) -> Norms:
    groups: dict[str, list[Tensor]] = {}
    for name, parameter in stack.module.named_parameters():
        groups.setdefault(_layer_of(name), []).append(parameter)
    x, y = stack.batches.one(next(stack.batches.draw(0)), 0)
    module, rule = stack.module.train(), stack.rule
    with authors_code(rule):
        if stack.updates:
            return _moved(module, x, y)
        losses = module.losses(x, y) if hasattr(module, "losses") else {"total": module.loss(x, y)}
    if not isinstance(losses, Mapping) or not losses:
        raise RuleError(f"rule '{rule.name}': losses(x, y) is to give names with their losses")
    for name, loss in losses.items():
        if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad or not loss.isfinite():
            raise RuleError(
                f"rule '{rule.name}': its loss '{name}' is to be one finite number that hangs on a parameter"
            )
    return {str(name): _norms(loss, groups) for name, loss in losses.items()}


def _moved(module: nn.Module, x: Tensor, y: Tensor) -> Norms:
    """How much the step of each layer moves when the numbers of one layer do: what an update that has no loss hangs on.

    Measured, since no gradient tells: every layer's numbers are changed by a tenth in turn.
    """

    def step(changed: str = "") -> dict[str, Tensor]:
        own = copy.deepcopy(module)
        with torch.no_grad():
            for p in (p for name, p in own.named_parameters() if _layer_of(name) == changed):
                p.mul_(1.1).add_(0.01)
        before = {name: p.detach().clone() for name, p in own.named_parameters()}
        torch.manual_seed(0)
        own.update(x, y)  # type: ignore[operator]
        found: dict[str, list[Tensor]] = {}
        for name, p in own.named_parameters():
            moved = p.detach() - before[name] - (0 if p.grad is None else p.grad)
            found.setdefault(_layer_of(name), []).append(moved.flatten())
        return {layer: torch.cat(parts) for layer, parts in found.items()}

    was = step()
    return {one: {k: float((v - was[k]).norm()) for k, v in step(one).items()} for one in was}


def _layer_of(name: str) -> str:
    """The layer that a parameter belongs to, by the number in its name."""
    number = re.search(r"(?:^|\.)(\d+)(?:\.|$)", name)
    return number[1] if number else name.split(".")[0]


def _norms(loss: Tensor, groups: Mapping[str, list[Tensor]]) -> dict[str, float]:
    everything = [p for own in groups.values() for p in own]
    found = torch.autograd.grad(loss, everything, retain_graph=True, allow_unused=True)
    by_id = {id(p): g for p, g in zip(everything, found, strict=True)}
    return {
        name: sum(float(g.square().sum()) for p in own if (g := by_id[id(p)]) is not None) ** 0.5
        for name, own in groups.items()
    }


@_norms_of.register
def _of_mlp(stack: DenseStack) -> Norms:
    net = stack.net
    one = stack.batches.one(next(stack.batches.draw(0)), 0)
    x, y = (t.expand(net.E, *t.shape).contiguous() for t in one)  # every member sees the same
    norms: Norms = {}
    if net.direct:
        net.gradients(x, y)
        own: dict[str, list[tuple[bool, Tensor]]] = {str(i): [] for i in range(net.depth)}
        for name, g in net.g.items():
            own[name.lstrip(ascii_letters)].append((name[0] not in "Wb", g))
        return _sent(net.learner.gradient, own)
    for loss in tuple(net.headed):
        net.headed = range(loss, loss + 1)
        assert net.parameters.grad is not None
        net.parameters.grad.zero_()
        net.gradients(x, y)
        squares = {str(layer): 0.0 for layer in range(net.depth)}
        for name, g in net.g.items():
            squares[name.lstrip(ascii_letters)] += float(g.square().sum())
        norms[str(loss)] = {layer: value**0.5 for layer, value in squares.items()}
    return norms
