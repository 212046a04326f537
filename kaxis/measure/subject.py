"""What an audit looks at: the trainer's own step, on random images of any size and number of classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kaxis.errors import KaxisError
from kaxis.measure.options import Asked
from kaxis.spec.cell import Cell
from kaxis.spec.learner import DIRECT, TableLearner
from kaxis.spec.learners import parse
from kaxis.spec.sweep import Sweep

if TYPE_CHECKING:
    from kaxis.train.stack import Stack

__all__ = ["PUBLISHED", "Subject", "subject", "subjects"]

PUBLISHED: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("bp", {}),
    ("bp", {"accumulate": 4}),
    ("bp", {"activation_checkpointing": True}),
    ("bp_deepsup", {}),
    ("dtg_ff", {"local_step": "naive"}),
    ("dtg_ff", {"local_step": "summed"}),
    ("dtg_ff", {"local_step": "interleaved"}),
)
"""The paper's comparison, with checkpointing and the summed losses between its ends (ours). How many parts the paper's
accumulation took is not legible; four unless asked for."""

MLPS = ("bp", "bp_ensemble", "bp_deepsup", "dtg_ff", "ff", "ff_hybrid")
HOW = {"accumulate": "{} parts", "activation_checkpointing": "checkpointed", "local_step": "{}"}


@dataclass(frozen=True)
class Subject:
    """One configuration of an audit.

    Parameters
    ----------
    name : str
        Learner, and how its step is worked.
    cell : Cell
        Its configuration; the source is a stand-in, images are random.
    inputs : int
        Side of the images in pixels; for the MLP, features.
    rules : tuple of str
        Files of rules that its learner needs.
    """

    name: str
    cell: Cell
    inputs: int
    rules: tuple[str, ...] = ()

    @property
    def conv(self) -> bool:
        return self.cell.conv

    @property
    def rule(self) -> bool:
        return self.cell.rule

    @property
    def batch(self) -> int:
        return self.cell.training.batch_size

    @property
    def unit(self) -> int:
        """What a batch must be a multiple of: its parts, of two images where they are normalised by the batch."""
        learner, training = self.cell.algorithm, self.cell.training
        alone = isinstance(learner, TableLearner) and not learner.batch_statistics
        return training.parts * (1 if alone else 2)

    def at_batch(self, batch: int) -> Subject:
        return replace(self, cell=self.cell.retrained(batch_size=batch))

    def stack(self, device: str, *, steps: int, noise: bool = True) -> Stack:
        """The trainer's networks, optimizers and data for this configuration, good for so many steps; without `noise`
        the images are left blank.
        """
        from kaxis.sources.task import Task
        from kaxis.spec.rules import load_rules
        from kaxis.train.batches import CHUNK
        from kaxis.train.loop import stack_of

        load_rules(self.rules)
        # One chunk of a conv net's, which takes a while; eight of an MLP's, as a test set has.
        n_test = max(8, 512 * 32 * 32 // self.inputs**2) if self.conv else 8 * CHUNK
        n, rng = self.batch + n_test, np.random.default_rng(0)
        x: np.ndarray[Any, Any]
        shape: tuple[int, ...] = (n, self.inputs)
        if self.conv:
            shape = (n, self.inputs, self.inputs, 3)
            x = rng.integers(0, 256, shape, dtype=np.uint8) if noise else np.zeros(shape, np.uint8)
        else:
            x = rng.standard_normal(shape, dtype=np.float32) if noise else np.zeros(shape, np.float32)
        y = np.arange(n) % self.cell.K
        train, test = np.arange(self.batch), np.arange(self.batch, n)
        facts = {"n_train": self.batch, "n_test": n_test}
        task = Task(x, train, y[train], test, y[test], facts, statistics=((0.5,) * 3, (0.25,) * 3))
        networks = [(0, member) for member in range(self.cell.algorithm.members)]
        cell = self.cell.retrained(steps=steps)  # batches are drawn ahead, but no further
        return stack_of([cell], networks, {0: task}, device)


def subjects(asked: Asked | None = None, **options: Any) -> list[Subject]:
    """The configurations to set side by side, K by K.

    Parameters
    ----------
    asked : Asked, optional
        Or its fields as keywords.

    Raises
    ------
    KaxisError
        For a value that does not fit.

    Examples
    --------
    >>> [s.name for s in subjects(net="vgg8", learners=["dtg_ff"])]
    ['dtg_ff, naive', 'dtg_ff, summed', 'dtg_ff, interleaved']
    """
    own = asked or Asked.of(options)
    return [_subject(own, K, learner, how) for K in own.K for learner, how in _ways(own)]


def subject(**options: Any) -> Subject:
    """One learner as a run trains it: on whole batches, local ones interleaved.

    Examples
    --------
    >>> subject(net="mlp", learners="dtg_ff").name
    'dtg_ff'
    """
    own = Asked.of(options)
    if not own.learners:
        raise KaxisError("subject: name a learner")
    return _subject(own, own.K[0], own.learners[0], {})


def _ways(own: Asked) -> list[tuple[str, Mapping[str, Any]]]:
    from kaxis.spec.rules import load_rules

    load_rules(own.rules)
    if own.net == "mlp":
        return [(name, {}) for name in own.learners or MLPS]
    if not own.learners:
        out = list(PUBLISHED)
    else:
        out = []
        for name in own.learners:
            if parse(name).rule is not None:  # most take whole batches
                out += [(name, {})]
            elif parse(name).gradient in ("none", *DIRECT):
                out += [(name, {}), (name, {"accumulate": 4})]
            elif parse(name).gradient == "local":
                out += [(name, {"local_step": way}) for way in ("naive", "summed", "interleaved")]
            else:
                out += [(name, {}), (name, {"accumulate": 4}), (name, {"activation_checkpointing": True})]
    return [(name, {**how, "accumulate": own.parts} if "accumulate" in how else how) for name, how in out]


def _subject(own: Asked, K: int, learner: str, how: Mapping[str, Any]) -> Subject:
    options: dict[str, Any] = {"net": own.net, "learners": [learner], "rules": list(own.rules), "steps": 1, **how}
    optional = {"batch_size": own.batch, "width": own.width, "depth": own.depth, "precision": own.precision}
    options |= {k: v for k, v in optional.items() if v is not None}
    if own.net != "mlp":
        # A set without a size of its own stands in: images come from `Subject.stack`, and K classes of it are never
        # looked up.
        options |= {"source": "imagenet100", "size": own.inputs, "K": [2], "augment": ["none"]}
    else:
        options |= {"source": "synthetic", "input_dim": own.inputs, "K": [K], "n_train": max(K, 20_000)}
    cell = Sweep.of(options).cells()[0]
    name = ", ".join([cell.learner, *(HOW[k].format(v) for k, v in how.items())])
    return Subject(name, Cell({**cell.config, "K": K}), own.inputs, own.rules)
