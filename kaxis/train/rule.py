"""Training a learner that is code: one network, its module's own loss, on rows of features or on images."""

from __future__ import annotations

import copy
import hashlib
import io
import os
import pickle
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from kaxis.errors import KaxisError
from kaxis.nets.start import Start
from kaxis.sources.task import Task
from kaxis.spec.cell import Cell
from kaxis.spec.learner import CodeLearner
from kaxis.spec.net import VGGSpec
from kaxis.spec.rules import BUILT_IN, RuleError, authors_code, find_rule
from kaxis.streams import stream
from kaxis.train.stack import Heads, Stack, adam

__all__ = ["RuleStack"]


class RuleStack(Stack):
    """One module. Torch's global generator is seeded by the cell, so that dropout and noise depend on it alone."""

    learner: CodeLearner

    def __init__(
        self, cells: Sequence[Cell], networks: Sequence[tuple[int, int]], tasks: dict[int, Task], device: str
    ) -> None:
        super().__init__(cells, networks, tasks, device)
        ((seed, member),) = networks
        made = find_rule(self.learner.rule, self.learner.code)
        if made is None:
            raise KaxisError(f"{cells[0]}: its file of rules is not here or has changed; name it with --rules")
        self.rule = made
        start = self._start(seed, member)
        torch.manual_seed(int(stream(seed, f"rule/{member}", self.K).integers(2**63)))
        with authors_code(made):
            module = made.build(start, **self.learner.settings)
            self.module = _checked(module, made.name).to(device)
        if self.shape.activation != "relu" and not start.asked:
            raise RuleError(f"rule '{made.name}': activation = {self.shape.activation}: it takes no start.nonlinearity")
        self.updates = hasattr(self.module, "update")
        self.descends = not self.updates
        if self.updates and self.train.parts > 1:
            raise RuleError(
                f"rule '{made.name}': accumulate = {self.train.parts}: its update(x, y) takes whole batches"
            )
        if self.updates and self.train.bfloat16:
            raise RuleError(f"rule '{made.name}': precision = bfloat16: its update(x, y) works in float32")
        trained = [p for p in self.module.parameters() if p.requires_grad]
        if not trained:
            raise RuleError(f"rule '{made.name}': its module has no parameters to train")
        with authors_code(made):
            groups = self.module.groups() if hasattr(self.module, "groups") else [trained]
            self.groups = [list(group) for group in groups]
        held, wanted = Counter(id(p) for group in self.groups for p in group), {id(p) for p in trained}
        if lost := {i for i in wanted | held.keys() if held[i] != (i in wanted)}:
            name = next((n for n, p in self.module.named_parameters() if id(p) in lost), "one that is not the module's")
            twice = ", which it holds twice" if max(held[i] for i in lost) > 1 else ""
            raise RuleError(
                f"rule '{made.name}': groups() is to hold each parameter that is trained; look at {name}{twice}"
            )
        with authors_code(made):
            self.optimizers = [[adam(group, self.learner) for group in self.groups]]
        self.headed = range(self._heads(made.name))
        self._plain = _plain(self.module)
        self._own = made is BUILT_IN.get(made.name)  # the package's, which is known to keep nothing else

    def _start(self, seed: int, member: int) -> Start:
        inputs, steps = self.batches.loader.features.shape[1], self.batches.steps  # of an image its side
        if isinstance(self.shape, VGGSpec):
            norm, device = self.learner.norm, self.device
            return Start.conv(seed, member, self.K, size=inputs, net=self.shape, norm=norm, device=device, steps=steps)
        size, activation = (inputs, self.shape.width, self.shape.depth), self.shape.activation
        return Start(seed, member, self.K, *size, self.device, steps=steps, activation=activation)

    def _heads(self, name: str) -> int:
        """How many heads the module has, by its logits for two samples.

        Raises
        ------
        RuleError
            If these are no list of (B, K).
        """
        x = self.batches.sample(2)
        with torch.no_grad(), authors_code(self.rule):
            heads = self.module.logits(x)
        return len(self._looked_at(heads, x))

    def _looked_at(self, heads: Any, x: Tensor, count: int | None = None) -> list[Tensor]:
        """Logits as they are wanted, of `count` heads."""
        wanted = (len(x), self.K)
        fit = isinstance(heads, (list, tuple)) and len(heads) == (count or max(len(heads), 1))
        if not fit or not all(isinstance(h, Tensor) and h.shape == wanted and h.is_floating_point() for h in heads):
            many = "one a head" if count is None else f"{count} as before"
            raise RuleError(
                f"rule '{self.rule.name}': logits({tuple(x.shape)}) gave {_shapes(heads)}; a list of {wanted}, {many}, "
                "is wanted"
            )
        return list(heads)

    def state(self) -> dict[str, Any] | None:
        """None for a module that keeps what a checkpoint would miss: it starts anew."""
        if not self._own and _plain(self.module) != self._plain:
            return None
        cuda = {"cuda": torch.cuda.get_rng_state()} if self.device == "cuda" else {}
        return {
            "module": self.module.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers[0]],
            "random": torch.get_rng_state(),
            "frozen": [name for name, p in self.module.named_parameters() if not p.requires_grad],
            **cuda,
        }

    def load(self, state: dict[str, Any]) -> None:
        self.module.load_state_dict(state["module"])
        for optimizer, was in zip(self.optimizers[0], state["optimizers"], strict=True):
            optimizer.load_state_dict(was)
        torch.set_rng_state(state["random"].cpu())
        frozen = set(state["frozen"])
        for name, p in self.module.named_parameters():
            p.requires_grad_(name not in frozen)
        if "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"].cpu())

    def step(self, batch: Any) -> None:
        lr = self.batches.rate(batch, self.learner.lr)
        for optimizer in self.optimizers[0]:
            optimizer.zero_grad()
            optimizer.param_groups[0]["lr"] = lr
        parts = self.train.parts
        part, total = self.batches.batch // parts, torch.zeros((), device=self.device)
        for k in range(parts):
            total += self._backward(*self.batches.one(batch, 0, slice(k * part, (k + 1) * part)), 1 / parts)
        with authors_code(self.rule):  # whose gradients they are
            for group, optimizer in zip(self.groups, self.optimizers[0], strict=True):
                if self.learner.clip:
                    nn.utils.clip_grad_norm_(group, self.learner.clip)
                optimizer.step()
        self.loss = total

    def _backward(self, x: Tensor, y: Tensor, share: float) -> Tensor:
        """Gradients of a part of a batch, or what the rule makes of it; returns the number to show."""
        if self.updates:
            with authors_code(self.rule):
                self.module.train()
                with self._autocast():
                    said = self.module.update(x, y)
                if said is None:
                    return torch.full((), torch.nan, device=self.device)
                return torch.as_tensor(said, device=self.device).detach().reshape(())
        with authors_code(self.rule):
            self.module.train()
            with self._autocast():
                loss = self.module.loss(x, y)
            if not isinstance(loss, Tensor) or loss.numel() != 1:
                raise RuleError(
                    f"rule '{self.rule.name}': loss(x, y) gave {_shapes(loss)}; one number, to be minimised, is wanted"
                )
            if not loss.requires_grad:
                raise RuleError(f"rule '{self.rule.name}': loss(x, y) depends on no parameter")
            (loss if share == 1 else share * loss).backward()
        return share * loss.detach().reshape(())

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.train.bfloat16)

    @torch.no_grad()
    def evaluate(self, split: str) -> Heads:
        with authors_code(self.rule):
            self.module.eval()
        for (x,), labels in self.batches.seen(split):
            with authors_code(self.rule), self._autocast():
                heads = self.module.logits(x)
            yield [h.T[None] for h in self._looked_at(heads, x, len(self.headed))], labels

    def counts(self, cell: Cell) -> dict[str, int]:
        """Numbers of the module; FLOPs as torch counts them in one step and one prediction."""
        x = self.batches.sample(self.batches.batch)
        y = torch.zeros(len(x), dtype=torch.int64, device=x.device)

        def step() -> None:
            if self.updates:
                copy.deepcopy(self.module).update(x, y)  # which may change it
            else:
                self.module.loss(x, y).backward()

        def predict() -> None:
            with torch.no_grad():
                self.module.logits(x[:1])

        parameters = [p for p in self.module.parameters() if p.requires_grad]
        fixed = [*self.module.buffers(), *(p for p in self.module.parameters() if not p.requires_grad)]
        return {
            "parameters": sum(p.numel() for p in parameters),
            "buffers": sum(b.numel() for b in fixed),
            **_operations("flops_step", step),
            **_operations("flops_predict", predict),
        }

    def first(self) -> nn.Module:
        return self.module.eval()

    def tensors(self, network: int) -> dict[str, Tensor]:
        with authors_code(self.rule):
            return {name: value for name, value in self.module.state_dict().items() if isinstance(value, Tensor)}


def _operations(name: str, work: Callable[[], None]) -> dict[str, int]:
    """Floating-point operations of what has run before; none where torch cannot count them, as beside
    `torch.autograd.grad`.
    """
    try:
        with FlopCounterMode(display=False) as counter:
            work()
    except Exception:
        return {}
    return {name: counter.get_total_flops()}


def _plain(module: nn.Module) -> str:
    """A digest of what a module and those inside it keep beside parameters, buffers and extra state: a checkpoint does
    not hold it.
    """
    digest = hashlib.sha256()
    for name, part in module.named_modules():
        if type(part).get_extra_state is not nn.Module.get_extra_state:
            continue
        own = {k: v for k, v in vars(part).items() if k not in vars(_EMPTY)}
        own |= {k: part._buffers[k] for k in sorted(part._non_persistent_buffers_set)}
        file = io.BytesIO()
        try:
            pickle.dump(own, file)
        except Exception:  # what cannot be written down may change unseen
            file.write(os.urandom(16))
        digest.update(name.encode() + file.getvalue())
    return digest.hexdigest()


_EMPTY = nn.Module()


def _checked(module: Any, name: str) -> Any:
    if not isinstance(module, torch.nn.Module):
        raise RuleError(f"rule '{name}': builds {type(module).__name__}; a torch.nn.Module is wanted")
    learns = "update" if callable(getattr(module, "update", None)) else "loss"
    if lacking := [method for method in (learns, "logits") if not callable(getattr(module, method, None))]:
        raise RuleError(
            f"rule '{name}': {type(module).__name__} has no method '{lacking[0]}'; loss(x, y), or update(x, y), and "
            "logits(x) are wanted"
        )
    return module


def _shapes(value: Any) -> str:
    """What came instead, in words."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(tuple(v.shape)) if isinstance(v, Tensor) else type(v).__name__ for v in value) or "none"
    return type(value).__name__
