"""Random streams: every draw of a cell comes from a generator keyed by what it is for, never from a global one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from kaxis.sources.knobs import fine_classes

__all__ = ["SHARED", "keys", "stream"]

SHARED = "shared"
"""Key of a stream that a seed's cells share along K."""


def stream(seed: int, purpose: str, key: object = SHARED) -> np.random.Generator:
    """The generator of one purpose in one replicate.

    Parameters
    ----------
    seed : int
        Root seed of the replicate.
    purpose : str
        What is drawn, e.g. ``"teacher"`` or ``"order/0"``.
    key : object
        The number of classes K for streams redrawn at every K, else `SHARED`.

    Examples
    --------
    >>> a, b = stream(0, "order"), stream(0, "order")
    >>> bool(a.random() == b.random())
    True
    >>> bool(stream(0, "order").random() == stream(0, "teacher", 5).random())
    False
    """
    digest = hashlib.blake2b(f"kaxis/{seed}/{purpose}/{key}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def keys(config: Mapping[str, Any]) -> dict[str, int | str]:
    """Which streams a cell draws from, each with its key: K where it is redrawn at every K, else "shared".

    `init`, `head`, `readout` and `order` are further keyed by member, the first three by layer too.

    Examples
    --------
    >>> from kaxis.leg import Leg
    >>> keys(Leg.of({"source": "digits", "K": 3, "learners": "bp"}).cells()[0].config)
    {'classes': 'shared', 'init': 'shared', 'head': 3, 'order': 'shared'}
    """
    source, learner, K = config["source"], config["learner"], config["K"]
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
    if "rule" in learner:
        return used | {"init": SHARED, "rule": K, "order": SHARED}
    drawn = learner["readout"] == "fixed" or learner["start"] == "draw"
    used |= {"init": SHARED, "readout" if drawn else "head": K, "order": SHARED}
    if config["net"]["name"] != "mlp":
        if "concat" in (learner["heads"], learner["inference"]):
            used["concat"] = K
        used |= {"augment": SHARED, "dropout": SHARED}
    return used
