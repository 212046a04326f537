"""How does the difference between two learning algorithms move with the number of classes K?

The public names; each is imported when it is first used, so that ``import kaxis`` costs nothing.

>>> import kaxis
>>> study = kaxis.Study.of("try", {"source": "digits", "K": [3, 5], "seeds": "0-4", "steps": 1000})
>>> len(study.cells())
40
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "Cell": "cell",
    "KaxisError": "errors",
    "Learner": "learners",
    "Leg": "leg",
    "Store": "store.records",
    "Study": "study",
    "audit": "measure.audit",
    "build_cube": "store.cube",
    "conflict": "stats.across",
    "contrast": "stats.contrasts",
    "cube_from_rows": "stats.tidy",
    "diagnose": "measure.diagnose",
    "diagnose_rows": "measure.diagnose",
    "differential": "stats.across",
    "equivalence": "stats.effects",
    "estimate": "stats.arrays",
    "factorial": "stats.factorial",
    "gap": "stats.effects",
    "layers": "stats.effects",
    "load_cube": "store.cube",
    "load_task": "sources.load",
    "locality": "measure.locality",
    "paired": "stats.effects",
    "published": "reference",
    "rankings": "stats.rankings",
    "read_csv": "stats.tidy",
    "register": "learners",
    "rows": "stats.rows",
    "rule": "rules",
    "run": "execute",
    "slope_checks": "stats.contrasts",
    "slope_steps": "stats.contrasts",
    "subject": "measure.subject",
    "subjects": "measure.subject",
    "tuned": "stats.tuning",
    "verdicts": "stats.verdict",
}

__all__ = [
    "Cell",
    "KaxisError",
    "Learner",
    "Leg",
    "Store",
    "Study",
    "audit",
    "build_cube",
    "conflict",
    "contrast",
    "cube_from_rows",
    "diagnose",
    "diagnose_rows",
    "differential",
    "equivalence",
    "estimate",
    "factorial",
    "gap",
    "layers",
    "load_cube",
    "load_task",
    "locality",
    "paired",
    "published",
    "rankings",
    "read_csv",
    "register",
    "rows",
    "rule",
    "run",
    "slope_checks",
    "slope_steps",
    "subject",
    "subjects",
    "tuned",
    "verdicts",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"kaxis.{_HOME[name]}"), name)
    raise AttributeError(f"module 'kaxis' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
