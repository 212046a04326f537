"""A cell: one (source, K, learner, seed) under one configuration, and the name of its record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from kaxis.spec.images import ImageSpec, source_spec
from kaxis.spec.learner import DIRECT, CodeLearner, TableLearner, learner_spec
from kaxis.spec.net import MLPSpec, VGGSpec, net_spec
from kaxis.spec.teacher import TeacherSpec
from kaxis.spec.training import ConvTraining, MLPTraining, training_spec
from kaxis.streams import SHARED

__all__ = ["FORMAT", "Cell"]

FORMAT = 1
"""Raised when the meaning of a configuration changes, so that old records are never taken for new ones."""


@dataclass(frozen=True)
class Cell:
    """One (source, K, learner, seed) under one configuration.

    Parameters
    ----------
    config : dict
        Everything that decides the cell's numbers, as JSON.
    """

    config: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        *,
        source: Mapping[str, Any],
        K: int,
        seed: int,
        learner: Mapping[str, Any],
        net: Mapping[str, Any],
        train: Mapping[str, Any],
    ) -> Cell:
        """From the parts of a configuration."""
        return cls(
            {"format": FORMAT, "source": source, "K": K, "seed": seed, "learner": learner, "net": net, "train": train}
        )

    @property
    def source(self) -> str:
        """The canonical string of where its data come from."""
        return self.data.label

    @property
    def K(self) -> int:
        return int(self.config["K"])

    @property
    def learner(self) -> str:
        return str(self.config["learner"]["name"])

    @property
    def seed(self) -> int:
        return int(self.config["seed"])

    @cached_property
    def data(self) -> TeacherSpec | ImageSpec:
        return source_spec(self.config["source"])

    @cached_property
    def net(self) -> MLPSpec | VGGSpec:
        return net_spec(self.config["net"])

    @cached_property
    def training(self) -> MLPTraining | ConvTraining:
        return training_spec(self.config["train"], conv=self.conv)

    @cached_property
    def algorithm(self) -> TableLearner | CodeLearner:
        return learner_spec(self.config["learner"])

    @cached_property
    def id(self) -> str:
        """The hash of the configuration: the name of the cell's record."""
        return hashlib.sha256(json.dumps(self.config, sort_keys=True).encode()).hexdigest()[:20]

    @property
    def conv(self) -> bool:
        """Whether its net sees images."""
        return bool(self.config["net"]["name"] != "mlp")

    @property
    def rule(self) -> bool:
        """Whether its learner is code (`kaxis.spec.rules`)."""
        return "rule" in self.config["learner"]

    @cached_property
    def candidates(self) -> tuple[Cell, ...]:
        """Of a tuned cell those that it chooses from; else none."""
        each = self.config["learner"].get("candidates", ())
        return tuple(Cell({**self.config, "learner": learner}) for learner in each)

    @property
    def unknown_code(self) -> bool:
        """Whether its learner is code whose file was not read, so that the cell is none that could be trained."""
        return isinstance(self.algorithm, CodeLearner) and not self.algorithm.code

    @property
    def size(self) -> int:
        """Side of the images that its conv net sees, in pixels."""
        assert isinstance(self.data, ImageSpec)
        return self.data.side

    def trained_alike(self, *, across_seeds: bool) -> str:
        """The configuration as text without what training does not depend on: name, inference, members, and perhaps
        the seed.
        """
        learner = {k: v for k, v in self.config["learner"].items() if k not in ("name", "inference", "members")}
        seed = None if across_seeds else self.seed
        return json.dumps({**self.config, "seed": seed, "learner": learner}, sort_keys=True)

    def retrained(self, **changes: Any) -> Cell:
        """The cell with other values in its training."""
        return Cell({**self.config, "train": replace(self.training, **changes).config()})

    @cached_property
    def streams(self) -> dict[str, int | str]:
        """Which streams the cell draws from, each with its key: K where it is redrawn at every K, else "shared".

        All but those of the data and `augment` are further keyed by member, those of weights by layer too.

        Examples
        --------
        >>> from kaxis.spec.sweep import Sweep
        >>> Sweep.of({"source": "digits", "K": 3, "learners": "bp"}).cells()[0].streams
        {'classes': 'shared', 'init': 'shared', 'head': 3, 'order': 'shared'}
        """
        K, algorithm = self.K, self.algorithm
        used = self.data.streams(K)
        if isinstance(algorithm, CodeLearner):
            used |= {"init": SHARED, "rule": K, "order": SHARED}
            return used | ({"augment": SHARED} if self.conv else {})
        used |= {"init": SHARED}
        used |= {"readout" if algorithm.drawn else "head": K} if algorithm.readout != "groups" else {}
        used |= {"order": SHARED}
        if algorithm.gradient == "fa":
            used |= {"feedback": SHARED, "feedback_head": K}
        elif algorithm.gradient in DIRECT:
            used |= {"feedback": K}
        if self.conv:
            used |= {"concat": K} if algorithm.concat else {}
            used |= {"augment": SHARED, "dropout": SHARED}
        return used

    def __str__(self) -> str:
        return f"{self.source} K={self.K} {self.learner} seed {self.seed}"
