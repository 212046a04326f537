"""A cell: one (source, K, learner, seed) under one configuration, and the name of its record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kaxis.sources.catalog import source_label
from kaxis.sources.knobs import fine_classes
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

    @property
    def source(self) -> str:
        return source_label(self.config["source"])

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
    def id(self) -> str:
        """The hash of the configuration: the name of the cell's record."""
        return hashlib.sha256(json.dumps(self.config, sort_keys=True).encode()).hexdigest()[:20]

    @property
    def conv(self) -> bool:
        """Whether its net sees images."""
        return bool(self.config["net"]["name"] != "mlp")

    @property
    def rule(self) -> bool:
        """Whether its learner is code (`kaxis.rules`)."""
        return "rule" in self.config["learner"]

    @cached_property
    def streams(self) -> dict[str, int | str]:
        """Which streams the cell draws from, each with its key: K where it is redrawn at every K, else "shared".

        `init`, `head`, `readout` and `order` are further keyed by member, the first three by layer too.

        Examples
        --------
        >>> from kaxis.leg import Leg
        >>> Leg.of({"source": "digits", "K": 3, "learners": "bp"}).cells()[0].streams
        {'classes': 'shared', 'init': 'shared', 'head': 3, 'order': 'shared'}
        """
        config, K = self.config, self.K
        source, learner = config["source"], config["learner"]
        used: dict[str, int | str] = {}
        if source["name"] == "synthetic":
            key = SHARED if source["nested_teacher"] else fine_classes(source, K)
            used |= dict.fromkeys(("inputs", "teacher"), key)
            if source["label_noise"]:
                used["label_noise"] = key
            if source.get("superclasses"):
                used["superclasses"] = key
            if "balance" in source or "margin" in source:
                used["pool"] = key
            if source.get("labels", "fine").startswith("merge:"):
                used["merge"] = SHARED
            if source.get("holdout"):
                used["holdout"] = SHARED
        else:
            if source["labels"].startswith("merge:"):
                used["merge"] = SHARED
            if not source["classes"]:
                used["classes"] = SHARED
            if source["per_class"] or source["train_total"]:
                used["sample"] = SHARED
            if source.get("holdout"):
                used["holdout"] = SHARED
        if self.rule:
            used |= {"init": SHARED, "rule": K, "order": SHARED}
            return used | ({"augment": SHARED} if self.conv else {})
        drawn = learner["readout"] == "fixed" or learner["start"] == "draw"
        used |= {"init": SHARED, "readout" if drawn else "head": K, "order": SHARED}
        if self.conv:
            if "concat" in (learner["heads"], learner["inference"]):
                used["concat"] = K
            used |= {"augment": SHARED, "dropout": SHARED}
        return used

    def __str__(self) -> str:
        return f"{self.source} K={self.K} {self.learner} seed {self.seed}"
