"""What an audit looks at: the trainer's own step, on random images of any size and number of classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kaxis.cell import Cell
from kaxis.errors import KaxisError
from kaxis.learners import parse
from kaxis.leg import Leg

__all__ = ["PUBLISHED", "Subject", "bytes_of", "subjects"]

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

HOW = {
    "accumulate": "{} parts",
    "activation_checkpointing": "checkpointed",
    "local_step": "{}",
}


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
        return bool(self.cell.config["net"]["name"] != "mlp")

    @property
    def batch(self) -> int:
        return int(self.cell.config["train"]["batch_size"])

    @property
    def unit(self) -> int:
        """What a batch must be a multiple of: its parts, of two images where they are normalised by the batch."""
        config = self.cell.config
        learner = config["learner"]
        alone = (
            learner.get("goodness_norm") != "batchnorm" and learner["inference"] != "concat" and "rule" not in learner
        )
        return int(config["train"].get("accumulate", 1)) * (1 if alone else 2)

    def at_batch(self, batch: int) -> Subject:
        config = self.cell.config
        cell = Cell({**config, "train": {**config["train"], "batch_size": batch}})
        return Subject(self.name, cell, self.inputs, self.rules)

    def stack(self, device: str, *, noise: bool = True) -> Any:
        """The trainer's networks, optimizers and data for this configuration; without `noise` the images are left blank."""
        from kaxis.rules import load_rules
        from kaxis.sources.task import Task
        from kaxis.train.loop import kind_of
        from kaxis.train.stack import CHUNK

        load_rules(self.rules)
        # One chunk of a conv net's, which takes a while; eight of an MLP's, as a test set has.
        n_test = max(8, 512 * 32 * 32 // self.inputs**2) if self.conv else 8 * CHUNK
        n, rng = self.batch + n_test, np.random.default_rng(0)
        shape = (n, self.inputs, self.inputs, 3) if self.conv else (n, self.inputs)
        x: np.ndarray[Any, Any]
        if self.conv:
            x = rng.integers(0, 256, shape, dtype=np.uint8) if noise else np.zeros(shape, np.uint8)
        else:
            x = rng.standard_normal(shape, dtype=np.float32)
        y = np.arange(n) % self.cell.K
        train, test = np.arange(self.batch), np.arange(self.batch, n)
        facts = {"n_train": self.batch, "n_test": n_test}
        task = Task(x, train, y[train], test, y[test], facts, statistics=((0.5,) * 3, (0.25,) * 3))
        networks = [(0, member) for member in range(self.cell.config["learner"]["members"])]
        return kind_of(self.cell.config)([self.cell], networks, {0: task}, device)


def subjects(
    *,
    net: str = "vgg8",
    size: int | None = None,
    K: int = 10,
    learners: Sequence[str] = (),
    rules: Sequence[str] = (),
    parts: int = 4,
    **options: Any,
) -> list[Subject]:
    """The configurations to set side by side.

    Parameters
    ----------
    net : str
    size : int, optional
        Side of the images in pixels, 32 by default; for the MLP the number of its inputs, 256 by default.
    K : int
    learners : sequence of str
        Each in every way its step can be worked; by default the seven configurations of `PUBLISHED`, or for the MLP all its learners.
    rules : sequence of str
        Files that define learners.
    parts : int
        Into which accumulation divides a batch.
    options : mapping
        Further options of `kaxis.Leg`: ``batch_size``, ``width``, ``precision`` ...

    Raises
    ------
    KaxisError
        For a value that does not fit, as `kaxis.Leg.of`.

    Examples
    --------
    >>> [s.name for s in subjects(net="vgg8", learners=["dtg_ff"])]
    ['dtg_ff, naive', 'dtg_ff, summed', 'dtg_ff, interleaved']
    """
    conv = net != "mlp"
    side = size if size is not None else 32 if conv else 256
    if side < 2 or K < 2:
        raise KaxisError(f"size = {side}, K = {K}: 2 or more")
    out = []
    for learner, how in _ways(conv, learners):
        how = {**how, "accumulate": parts} if "accumulate" in how else how
        own = {**options, **how, "net": net, "learners": [learner], "rules": list(rules), "steps": 1000}
        if conv:
            # A set without a size of its own stands in: images come from `stack`, and K classes of it are never looked up.
            own |= {"source": "imagenet100", "size": side, "K": [2], "augment": ["none"]}
        else:
            own |= {"source": "synthetic", "input_dim": side, "K": [K], "n_train": max(K, 20_000)}
        cell = Leg.of(own).cells()[0]
        name = ", ".join([cell.learner, *(HOW[k].format(v) for k, v in how.items())])
        out.append(Subject(name, Cell({**cell.config, "K": K}), side, tuple(rules)))
    return out


def _ways(conv: bool, names: Sequence[str]) -> list[tuple[str, Mapping[str, Any]]]:
    if not conv:
        return [(name, {}) for name in names or ("bp", "bp_ensemble", "bp_deepsup", "dtg_ff", "ff", "ff_hybrid")]
    if not names:
        return list(PUBLISHED)
    out: list[tuple[str, Mapping[str, Any]]] = []
    for name in names:
        if parse(name).gradient == "local":
            out += [(name, {"local_step": way}) for way in ("naive", "summed", "interleaved")]
        else:
            out += [(name, {}), (name, {"accumulate": 4}), (name, {"activation_checkpointing": True})]
    return out


UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def bytes_of(text: str) -> int:
    """A size as typed.

    Examples
    --------
    >>> bytes_of("8GB"), bytes_of("1.5 GiB")
    (8000000000, 1610612736)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]+)\s*", text)
    if not match or match[2].lower() not in UNITS:
        raise KaxisError(f"budget '{text}' is not a size such as 8GB, 6.5GiB or 500MB")
    return int(float(match[1]) * UNITS[match[2].lower()])
