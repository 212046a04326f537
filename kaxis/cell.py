"""A cell: one (source, K, learner, seed) under one configuration, and the name of its record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kaxis.sources.catalog import source_label

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

    def __str__(self) -> str:
        return f"{self.source} K={self.K} {self.learner} seed {self.seed}"
