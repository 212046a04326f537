"""Training a learner that is code: one network, its module's own loss, under the interface that the loop asks of every kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from kaxis.cell import Cell
from kaxis.errors import KaxisError
from kaxis.nets.start import Start
from kaxis.rules import RULES, RuleError, authors_code
from kaxis.sources.task import Task
from kaxis.streams import stream
from kaxis.train.feed import Feed
from kaxis.train.schedule import step_count
from kaxis.train.stack import CHUNK, Brief

__all__ = ["RuleStack"]


class RuleStack(Brief):
    """One module. Torch's global generator is seeded by the cell, so that dropout and noise depend on it alone.

    Parameters
    ----------
    cells : sequence of Cell
        Of one seed.
    networks : sequence of (seed, member)
        One.
    tasks : dict of int to Task
    device : str
    """

    def __init__(
        self, cells: Sequence[Cell], networks: Sequence[tuple[int, int]], tasks: dict[int, Task], device: str
    ) -> None:
        config = cells[0].config
        self.learner, train, shape = config["learner"], config["train"], config["net"]
        ((seed, member),) = networks
        self.best = train.get("select") == "best"
        made = RULES.get(self.learner["rule"])
        if made is None or made.code != self.learner["code"]:
            raise KaxisError(f"{cells[0]}: its file of rules is not here or has changed; name it with --rules")
        self.rule = made
        self.networks = list(networks)
        self.device, self.feed = device, Feed(networks, tasks, device)
        self.batch, self.inputs = train["batch_size"], self.feed.features.shape[1]
        self.n = len(tasks[seed].y_train)
        self.steps = step_count(train, self.n)
        start = Start(seed, member, cells[0].K, self.inputs, shape["width"], shape["depth"], device)
        torch.manual_seed(int(stream(seed, f"rule/{member}", cells[0].K).integers(2**63)))
        with authors_code(made):
            module = made.build(start, **self.learner["settings"])
            self.module = _checked(module, made.name).to(device)
        trained = [p for p in self.module.parameters() if p.requires_grad]
        if not trained:
            raise RuleError(f"rule '{made.name}': its module has no parameters to train")
        self.optimizers = [[torch.optim.Adam(trained, lr=self.learner["lr"])]]
        rows = self.feed.features[: min(2, len(self.feed.features))]
        with torch.no_grad(), authors_code(made):
            heads = self.module.logits(rows)
        wanted = (len(rows), cells[0].K)
        if not isinstance(heads, (list, tuple)) or not heads or any(getattr(h, "shape", None) != wanted for h in heads):
            raise RuleError(
                f"rule '{made.name}': logits({tuple(rows.shape)}) gave {_shapes(heads)}; a list of {wanted}, one a head, is wanted"
            )
        self.headed = range(len(heads))

    def batches(self, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        return self.feed.batches(self.steps, self.batch, start)

    def state(self) -> dict[str, Any] | None:
        """None for a file of somebody's: what else its module keeps is not known, so it starts anew."""
        if self.rule.file:
            return None
        ((optimizer,),) = self.optimizers
        return {
            "module": self.module.state_dict(),
            "optimizer": optimizer.state_dict(),
            "random": torch.get_rng_state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        ((optimizer,),) = self.optimizers
        self.module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"].cpu())

    def step(self, batch: tuple[Tensor, Tensor]) -> None:
        rows, y = batch
        ((optimizer,),) = self.optimizers
        optimizer.zero_grad()
        with authors_code(self.rule):
            self.module.train()
            loss = self.module.loss(self.feed.features.index_select(0, rows), y[0])
            if not isinstance(loss, Tensor) or loss.numel() != 1:
                raise RuleError(
                    f"rule '{self.rule.name}': loss(x, y) gave {_shapes(loss)}; one number, to be minimised, is wanted"
                )
            if not loss.requires_grad:
                raise RuleError(f"rule '{self.rule.name}': loss(x, y) depends on no parameter")
            loss.backward()
        if self.learner["clip"]:
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.learner["clip"])
        optimizer.step()

    @torch.no_grad()
    def evaluate(self, split: str) -> Iterator[tuple[list[Tensor], list[np.ndarray[Any, Any]]]]:
        with authors_code(self.rule):
            self.module.eval()
        for rows, labels in self.feed.chunks(split, CHUNK):
            with authors_code(self.rule):
                heads = self.module.logits(self.feed.features.index_select(0, rows))
            yield [h.T[None] for h in heads], labels

    def counts(self, learner: dict[str, Any]) -> dict[str, int]:
        """Numbers of the module; FLOPs as torch counts them in one step and one prediction."""
        x = self.feed.features[: self.batch]
        y = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        with authors_code(self.rule), FlopCounterMode(display=False) as step:
            self.module.loss(x, y).backward()
        with torch.no_grad(), authors_code(self.rule), FlopCounterMode(display=False) as predict:
            self.module.logits(x[:1])
        parameters = [p for p in self.module.parameters() if p.requires_grad]
        fixed = [*self.module.buffers(), *(p for p in self.module.parameters() if not p.requires_grad)]
        return {
            "parameters": sum(p.numel() for p in parameters),
            "buffers": sum(b.numel() for b in fixed),
            "flops_step": step.get_total_flops(),
            "flops_predict": predict.get_total_flops(),
        }

    def tensors(self, network: int) -> dict[str, Tensor]:
        return dict(self.module.state_dict())

    def temperatures(self, network: int) -> list[float]:
        return []


def _checked(module: Any, name: str) -> Any:
    if not isinstance(module, torch.nn.Module):
        raise RuleError(f"rule '{name}': builds {type(module).__name__}; a torch.nn.Module is wanted")
    if lacking := [method for method in ("loss", "logits") if not callable(getattr(module, method, None))]:
        raise RuleError(
            f"rule '{name}': {type(module).__name__} has no method '{lacking[0]}'; loss(x, y) and logits(x) are wanted"
        )
    return module


def _shapes(value: Any) -> str:
    """What came instead, in words."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(tuple(v.shape)) if isinstance(v, Tensor) else type(v).__name__ for v in value) or "none"
    return type(value).__name__
