"""Learners of the package that are code, by name: where each stands and what may be set in brackets, known without
torch.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["CODED", "LADDER", "Coded", "Setting"]


class Setting(NamedTuple):
    """A number that may be set in brackets: its default and what it may be."""

    default: float
    least: float = 0.0
    most: float = math.inf
    whole: bool = False

    def __contains__(self, value: object) -> bool:
        number = float(str(value))
        return self.least <= number <= self.most and (not self.whole or number.is_integer())

    def __str__(self) -> str:
        end = " or more" if math.isinf(self.most) else f" to {self.most:g}"
        return f"a {'whole ' if self.whole else ''}number, {self.least:g}{end}"


@dataclass(frozen=True)
class Coded:
    """A row.

    Parameters
    ----------
    place : str
        Module and class.
    settings : mapping of str to Setting
        What may be set in brackets.
    kind : mapping
        What else makes it.
    code : str
        A record names the code that made it: raised where what the learner does changes.
    mlp : bool
        Whether it is for MLPs alone.
    grouped : bool
        Whether it works in K groups of channels.
    about : str
        What it is, in a line.
    """

    place: str
    settings: Mapping[str, Setting] = field(default_factory=dict)
    kind: Mapping[str, Any] = field(default_factory=dict)
    code: str = "kaxis"
    mlp: bool = True
    grouped: bool = False
    about: str = ""

    @property
    def build(self) -> Callable[..., Any]:
        """How one is built: by name, since it needs torch and stands in a room above."""

        def built(start: Any, **settings: Any) -> Any:
            module, _, name = self.place.partition(":")
            return getattr(importlib.import_module(module), name)(start, **self.kind, **settings)

        return built


def _rung(about: str, settings: Mapping[str, Setting], **kind: Any) -> Coded:
    # What a threshold means and where ff_bn normalises changed with version 0.2.
    code = "kaxis-2" if "threshold" in settings else "kaxis"
    return Coded("kaxis.learners.ladder:Ladder", settings, kind, code, about=about)


_PAPERS = {"learned": True, "mean": True}
LADDER: dict[str, Coded] = {
    "ff": _rung("Forward-Forward, sum(a^2) against a threshold", {"threshold": Setting(0.15)}),
    "ff_bn": _rung("ff with BatchNorm everywhere", {"threshold": Setting(0.15)}, everywhere=True),
    "ff_mean": _rung("ff with mean(a^2)", {"threshold": Setting(0.15)}, mean=True),
    "ff_symba": _rung("ff_mean with SymBa's loss", {"alpha": Setting(4.0, least=1e-3)}, mean=True),
    "ff_margin": _rung("ff_mean with a learned margin", {}, **_PAPERS),
    "ff_hybrid": _rung(
        "ff_margin with a classifier on all layers but the last",
        {"weight": Setting(1.0)},
        **_PAPERS,
        classifier="plain",
    ),
    "ff_hybrid_ln": _rung(
        "ff_hybrid with LayerNorm before the classifier", {"weight": Setting(1.0)}, **_PAPERS, classifier="layernorm"
    ),
    "ff_hybrid_bn": _rung(
        "ff_hybrid with BatchNorm on the way to the classifier",
        {"weight": Setting(1.0)},
        **_PAPERS,
        classifier="batchnorm",
    ),
}
"""The Forward-Forward MLPs (`kaxis.learners.ladder`). Each differs from the one that it is compared with in one thing:
ff_bn and ff_mean from ff, ff_symba and ff_margin from ff_mean, ff_hybrid from ff_margin, the last two from
ff_hybrid."""

CODED: dict[str, Coded] = {
    **LADDER,
    "predsim": Coded(
        "kaxis.learners.predsim:PredSim",
        {"beta": Setting(0.99, most=1), "batchnorm": Setting(1.0, most=1, whole=True)},
        mlp=False,
        about="local similarity matching",
    ),
    "pepita": Coded(
        "kaxis.learners.pepita:Pepita",
        {"scale": Setting(0.05), "first_error": Setting(0.0, most=1, whole=True)},
        about="PEPITA",
    ),
    "predictive_coding": Coded(
        "kaxis.learners.predictive_coding:PredictiveCoding",
        {"settling": Setting(20.0, least=1, whole=True), "rate": Setting(0.1)},
        about="predictive coding",
    ),
    "softhebb": Coded(
        "kaxis.learners.softhebb:SoftHebb",
        {"rate": Setting(1.0), "radius": Setting(25.0, least=1e-3), "share": Setting(0.5, most=0.99)},
        code="kaxis-2",  # before, it took a step on the two samples by which a rule's heads are counted
        mlp=False,
        about="SoftHebb",
    ),
    "layerwise": Coded(
        "kaxis.learners.layerwise:Layerwise",
        {"auxiliary": Setting(1.0, most=2, whole=True), "units": Setting(128.0, least=1, whole=True)},
        mlp=False,
        about="greedy layerwise training",
    ),
    "hcl_ff": Coded(
        "kaxis.learners.hcl_ff:HCLFF",
        {
            "contrast": Setting(1.0),
            "share": Setting(1 / 6, least=1e-3, most=1),
            "units": Setting(128.0, least=1, whole=True),
        },
        mlp=False,
        grouped=True,
        about="HCL-FF",
    ),
}
