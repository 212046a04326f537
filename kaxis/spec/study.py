"""What one command runs: sweeps and a plan of analysis, from flags or from a study file."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from kaxis.errors import KaxisError, hint
from kaxis.spec.cell import Cell
from kaxis.spec.cluster import Cluster
from kaxis.spec.learners import parse
from kaxis.spec.options import integers, read_toml
from kaxis.spec.rule_config import written_down
from kaxis.spec.sweep import Sweep
from kaxis.spec.table import OPTIONS

__all__ = ["Plan", "Study", "check_split"]


TABLES = ("sweep", "plan", "small", "cluster", "leg")
"""Of a study file; sweeps were legs before version 0.2."""


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
    effect: float | None = None
    """What would be too small to matter, in the contrast's units (`kaxis run --until-clear`)."""
    spread: float | None = None
    """Of a seed's number, fixed before the seeds are seen."""
    max_seeds: int | None = None
    block: int | None = None

    @classmethod
    def of(cls, options: object) -> Plan:
        """A checked plan from a table of options."""
        if not isinstance(options, Mapping):
            raise KaxisError(f"plan = {options}: write a [plan] table")
        allowed = [f.name for f in fields(cls)]
        for key in options:
            if key not in allowed:
                raise KaxisError(f"plan: '{key}' is not {hint(key, allowed)}")
        plan = cls(**{key: _planned(key, value) for key, value in options.items()})
        if bool(plan.low) != bool(plan.high):
            raise KaxisError("plan: low and high go together")
        check_split(plan.low, plan.high)
        plan = replace(plan, learner=parse(plan.learner).name, baseline=parse(plan.baseline).name)
        if plan.learner == plan.baseline:
            raise KaxisError(f"plan: learner and baseline are both '{plan.learner}'; their difference is 0")
        return plan


def _planned(key: str, value: Any) -> Any:
    """A value of a plan, checked."""
    if key in ("low", "high"):
        return integers(value)
    if key in ("learner", "baseline"):
        return str(value)
    whole = key in ("max_seeds", "block")
    right = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not (right and 0 < value < math.inf):
        raise KaxisError(f"plan: {key} = {value}: a {'whole number' if whole else 'number'} above 0")
    return value if whole else float(value)


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
    cluster: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """What a batch system is asked for: how a study is run is no part of it."""

    @classmethod
    def of(cls, name: str, options: Mapping[str, Any], *, part: bool = False) -> Study:
        """From one flat table of options, with ``sweep`` (a list of tables that change it) and ``plan``; as `part` of
        a study it may lack the learners of the plan.

        Raises
        ------
        KaxisError
            For an option or value that there is not.
        """
        shared = dict(options)
        tables, asked = _tables(shared), shared.pop("plan", None)
        sweeps = tuple(Sweep.of({**shared, **table}) for table in tables)  # which make the names of rules known
        plan = Plan.of(asked) if asked is not None else None
        if plan:
            trained = {learner for sweep in sweeps for learner in sweep.learners}
            for one in (plan.learner, plan.baseline):
                if one not in trained and not part:
                    raise KaxisError(f"plan: {one} is in no sweep, which train {hint(one, sorted(trained))}")
            known_K = {k for sweep in sweeps for k in sweep.K}
            if absent := [k for k in (*plan.low, *plan.high) if k not in known_K]:
                raise KaxisError(f"plan: K = {absent[0]} is in no sweep")
        return cls(name, sweeps, plan)

    @classmethod
    def restored(cls, name: str, spec: Mapping[str, Any]) -> Study:
        """From what `as_dict` gave, without asking the disk for the images of a set of your own."""
        sweeps = tuple(Sweep.restored(table, spec.get("rules")) for table in spec["leg"])
        return cls(name, sweeps, Plan.of(spec["plan"]) if spec["plan"] is not None else None)

    @classmethod
    def load(cls, path: str | Path, changes: Mapping[str, Any] | None = None, *, small: bool = False) -> Study:
        """From a study file; `changes` (flags) go over every sweep.

        With `small` the file's ``[small]`` table goes over every sweep first (its own ``sweep`` and ``plan`` replace
        the file's): the same question at a size for two cores.

        Raises
        ------
        KaxisError
            If the file cannot be read, is no TOML, or asks for what there is not.
        """
        path = Path(path)
        try:
            options = read_toml(path)
        except KaxisError as error:
            raise KaxisError(f"study file {error}") from None
        if "audit" in options:
            raise KaxisError(f"study file {path}: a file of audits, nothing to train; type: kaxis audit {path}")
        name, reduced, cluster = path.stem, options.pop("small", None), options.pop("cluster", {})
        try:
            if unknown := [key for key in options if key not in (*OPTIONS, *TABLES)]:
                raise KaxisError(f"'{unknown[0]}' is not {hint(unknown[0], [*TABLES[:4], *OPTIONS])}")
            if isinstance(reduced, dict) and (unknown := [key for key in reduced if key not in (*OPTIONS, *TABLES)]):
                raise KaxisError(f"[small]: '{unknown[0]}' is not {hint(unknown[0], [*TABLES[:2], *OPTIONS])}")
            tables = _tables(options)
            if small:
                if not isinstance(reduced, dict):
                    raise KaxisError("has no [small] table")
                name = f"{name}-small"
                tables = _tables(reduced, "small.") if {"sweep", "leg"} & reduced.keys() else tables
                options["plan"] = reduced.pop("plan", options.get("plan"))
                tables = [{**table, **reduced} for table in tables]
            if not isinstance(cluster, dict):
                raise KaxisError("cluster: write a [cluster] table")
            Cluster.of(cluster, {})
            changed = {**options, "sweep": [{**table, **(changes or {})} for table in tables]}
            study = cls.of(name, changed, part="learners" in (changes or {}))
            return replace(study, cluster=cluster)
        except KaxisError as error:
            raise KaxisError(f"study file {path}: {error}") from None
        except RecursionError:
            raise KaxisError(f"study file {path}: nested too deeply") from None

    @property
    def rules(self) -> tuple[str, ...]:
        """Files of rules that its sweeps need."""
        return tuple(dict.fromkeys(file for sweep in self.sweeps for file in sweep.rules))

    @property
    def written_rules(self) -> dict[str, dict[str, Any]]:
        """The learners of these files as they are now."""
        return written_down(name for sweep in self.sweeps if sweep.rules for name in sweep.learners)

    def cells(self) -> list[Cell]:
        """The distinct cells of all sweeps, in order."""
        return list(self._cells)

    @cached_property
    def _cells(self) -> tuple[Cell, ...]:
        return tuple({cell.id: cell for sweep in self.sweeps for cell in sweep.cells()}.values())

    def as_dict(self) -> dict[str, Any]:
        """Options with every default spelt out; ``Study.of(name, ...)`` takes them back."""
        said = {k: v for k, v in asdict(self.plan).items() if v is not None} if self.plan else None
        plan = json.loads(json.dumps(said))
        return {"leg": [sweep.as_dict() for sweep in self.sweeps], "plan": plan}


def _tables(options: dict[str, Any], place: str = "") -> list[Mapping[str, Any]]:
    """The ``[[sweep]]`` tables (``[[leg]]`` before version 0.2), taken out; without any, one that changes nothing.

    Raises
    ------
    KaxisError
        If they are no tables, or there are some of either name.
    """
    names = [name for name in ("sweep", "leg") if name in options]
    if len(names) == 2:
        raise KaxisError(f"{place}sweep and {place}leg: two names for the same; write [[{place}sweep]]")
    tables = options.pop(names[0]) if names else [{}]
    if not isinstance(tables, (list, tuple)) or not tables or not all(isinstance(t, Mapping) for t in tables):
        raise KaxisError(f"{place}{names[0]}: write one or more [[{place}sweep]] tables")
    return list(tables)
