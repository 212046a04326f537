"""What one command runs: sweeps and a plan of analysis, from flags or from a study file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from kaxis.errors import KaxisError, hint
from kaxis.spec.cell import Cell
from kaxis.spec.learners import parse
from kaxis.spec.options import integers, read_toml
from kaxis.spec.sweep import Sweep

__all__ = ["Plan", "Study", "check_split"]


@dataclass(frozen=True)
class Plan:
    """The primary question, written before the run: which difference, and its contrast along K.

    Without `low` and `high` the contrast is the slope on log K; with both, the mean effect over the high K
    minus that over the low K. Never part of a cell's identity.
    """

    learner: str = "dtg_ff"
    baseline: str = "bp_deepsup"
    low: tuple[int, ...] = ()
    high: tuple[int, ...] = ()

    @classmethod
    def of(cls, options: object) -> Plan:
        """A checked plan from a table of options."""
        if not isinstance(options, Mapping):
            raise KaxisError(f"plan = {options}: write a [plan] table")
        allowed = [f.name for f in fields(cls)]
        for key in options:
            if key not in allowed:
                raise KaxisError(f"plan: '{key}' is not {hint(key, allowed)}")
        values: dict[str, Any] = {k: integers(v) if k in ("low", "high") else str(v) for k, v in options.items()}
        plan = cls(**values)
        if bool(plan.low) != bool(plan.high):
            raise KaxisError("plan: low and high go together")
        check_split(plan.low, plan.high)
        for name in (plan.learner, plan.baseline):
            parse(name)
        return plan


def check_split(low: Sequence[int], high: Sequence[int]) -> None:
    """Refuse a low-high contrast in which a K appears twice."""
    if twice := [k for k, count in Counter([*low, *high]).items() if count > 1]:
        raise KaxisError(f"low {list(low)} and high {list(high)}: K = {twice[0]} appears twice")


@dataclass(frozen=True)
class Study:
    """Sweeps and a plan: what one command runs. Without a plan no contrast of it is primary.

    Examples
    --------
    >>> study = Study.of("digits", {"source": "digits", "K": "3 5", "seeds": "0-1", "learners": ["bp"]})
    >>> [str(cell) for cell in study.cells()][:2]
    ['digits K=3 bp seed 0', 'digits K=3 bp seed 1']
    """

    name: str
    sweeps: tuple[Sweep, ...]
    plan: Plan | None = None

    @classmethod
    def of(cls, name: str, options: Mapping[str, Any]) -> Study:
        """From one flat table of options, with ``leg`` (a list of tables that change it) and ``plan``."""
        shared = {k: v for k, v in options.items() if k not in ("leg", "plan")}
        legs = options.get("leg", [{}])
        if not isinstance(legs, (list, tuple)) or not legs or not all(isinstance(leg, Mapping) for leg in legs):
            raise KaxisError("leg: write one or more [[leg]] tables")
        plan = Plan.of(options["plan"]) if options.get("plan") is not None else None
        study = cls(name, tuple(Sweep.of({**shared, **leg}) for leg in legs), plan)
        known_K = {k for sweep in study.sweeps for k in sweep.K}
        if plan and (absent := [k for k in (*plan.low, *plan.high) if k not in known_K]):
            raise KaxisError(f"plan: K = {absent[0]} is in no leg")
        return study

    @classmethod
    def restored(cls, name: str, spec: Mapping[str, Any]) -> Study:
        """From what `as_dict` gave, without asking the disk for the images of a set of your own."""
        plan = Plan.of(spec["plan"]) if spec["plan"] is not None else None
        return cls(name, tuple(Sweep.restored(leg) for leg in spec["leg"]), plan)

    @classmethod
    def load(cls, path: Path, changes: Mapping[str, Any] | None = None, *, small: bool = False) -> Study:
        """From a study file; `changes` (flags) go over every leg.

        With `small` the file's ``[small]`` table goes over every leg first (its own ``leg`` and ``plan`` replace the
        file's): the same question at a size for two cores.
        """
        try:
            options = read_toml(path)
        except KaxisError as error:
            raise KaxisError(f"study file {error}") from None
        if "audit" in options:
            raise KaxisError(f"study file {path}: a file of audits, nothing to train; type: kaxis audit {path}")
        name, reduced = path.stem, options.pop("small", None)
        legs = options.get("leg", [{}])
        try:
            if not isinstance(legs, list) or not all(isinstance(leg, dict) for leg in legs):
                raise KaxisError("leg: write one or more [[leg]] tables")
            if small:
                if not isinstance(reduced, dict):
                    raise KaxisError("has no [small] table")
                name = f"{name}-small"
                legs = reduced.pop("leg", legs)
                options["plan"] = reduced.pop("plan", options.get("plan"))
                if not isinstance(legs, list) or not all(isinstance(leg, dict) for leg in legs):
                    raise KaxisError("small: write its legs as [[small.leg]] tables")
                legs = [{**leg, **reduced} for leg in legs]
            return cls.of(name, {**options, "leg": [{**leg, **(changes or {})} for leg in legs]})
        except KaxisError as error:
            raise KaxisError(f"study file {path}: {error}") from None
        except RecursionError:
            raise KaxisError(f"study file {path}: nested too deeply") from None

    @property
    def rules(self) -> tuple[str, ...]:
        """Files of rules that its sweeps need."""
        return tuple(dict.fromkeys(file for sweep in self.sweeps for file in sweep.rules))

    def cells(self) -> list[Cell]:
        """The distinct cells of all legs, in order."""
        return list(self._cells)

    @cached_property
    def _cells(self) -> tuple[Cell, ...]:
        return tuple({cell.id: cell for sweep in self.sweeps for cell in sweep.cells()}.values())

    def as_dict(self) -> dict[str, Any]:
        """Options with every default spelt out; ``Study.of(name, ...)`` takes them back."""
        plan = json.loads(json.dumps(asdict(self.plan))) if self.plan else None
        return {"leg": [sweep.as_dict() for sweep in self.sweeps], "plan": plan}
