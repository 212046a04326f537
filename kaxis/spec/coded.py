"""Learners of the package that are code, by name: where each stands and what may be set in brackets, known without
torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["CODED", "LADDER", "Coded"]


@dataclass(frozen=True)
class Coded:
    """A row.

    Parameters
    ----------
    place : str
        Module and class.
    settings : mapping of str to float
        What may be set in brackets, with defaults.
    kind : mapping
        What else makes it.
    code : str
        A record names the code that made it: raised where what the learner does changes.
    mlp : bool
        Whether it is for MLPs alone.
    grouped : bool
        Whether it works in K groups of channels.
    """

    place: str
    settings: Mapping[str, float] = field(default_factory=dict)
    kind: Mapping[str, Any] = field(default_factory=dict)
    code: str = "kaxis"
    mlp: bool = True
    grouped: bool = False

    @property
    def build(self) -> Callable[..., Any]:
        """How one is built: by name, since it needs torch and stands in a room above."""

        def built(start: Any, **settings: Any) -> Any:
            module, _, name = self.place.partition(":")
            return getattr(importlib.import_module(module), name)(start, **self.kind, **settings)

        return built


def _rung(settings: Mapping[str, float], **kind: Any) -> Coded:
    # What a threshold means and where ff_bn normalises changed with version 0.2.
    code = "kaxis-2" if "threshold" in settings else "kaxis"
    return Coded("kaxis.learners.ladder:Ladder", settings, kind, code)


_PAPERS = {"learned": True, "mean": True}
LADDER: dict[str, Coded] = {
    "ff": _rung({"threshold": 0.15}),
    "ff_bn": _rung({"threshold": 0.15}, everywhere=True),
    "ff_mean": _rung({"threshold": 0.15}, mean=True),
    "ff_symba": _rung({"alpha": 4.0}, mean=True),
    "ff_margin": _rung({}, **_PAPERS),
    "ff_hybrid": _rung({"weight": 1.0}, **_PAPERS, classifier="plain"),
    "ff_hybrid_ln": _rung({"weight": 1.0}, **_PAPERS, classifier="layernorm"),
    "ff_hybrid_bn": _rung({"weight": 1.0}, **_PAPERS, classifier="batchnorm"),
}
"""The Forward-Forward MLPs (`kaxis.learners.ladder`). Each differs from the one that it is compared with in one thing:
ff_bn and ff_mean from ff, ff_symba and ff_margin from ff_mean, ff_hybrid from ff_margin, the last two from
ff_hybrid."""

CODED: dict[str, Coded] = {
    **LADDER,
    "predsim": Coded("kaxis.learners.predsim:PredSim", {"beta": 0.99, "batchnorm": 1.0}, mlp=False),
    "pepita": Coded("kaxis.learners.pepita:Pepita", {"scale": 0.05, "first_error": 0.0}),
    "predictive_coding": Coded("kaxis.learners.predictive_coding:PredictiveCoding", {"settling": 20.0, "rate": 0.1}),
    "softhebb": Coded(  # before, it took a step on the two samples by which a rule's heads are counted
        "kaxis.learners.softhebb:SoftHebb", {"rate": 1.0, "radius": 25.0, "share": 0.5}, code="kaxis-2", mlp=False
    ),
    "layerwise": Coded("kaxis.learners.layerwise:Layerwise", {"auxiliary": 1.0, "units": 128.0}, mlp=False),
    "hcl_ff": Coded(
        "kaxis.learners.hcl_ff:HCLFF", {"contrast": 1.0, "share": 1 / 6, "units": 128.0}, mlp=False, grouped=True
    ),
}
