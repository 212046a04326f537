"""Configurations by the names that users type: conditions on them, and what may not be mixed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from kaxis.errors import KaxisError, hint
from kaxis.spec.cell import Cell
from kaxis.spec.learner import SETTINGS, UNSAID, Switches
from kaxis.spec.learners import TABLE

__all__ = [
    "AXES",
    "Conditions",
    "any_of",
    "check_conditions",
    "conditions_text",
    "flat",
    "flats",
    "matches",
    "refuse_mixtures",
    "unnamed",
]

AXES = ("source", "K", "learner", "seed")
Conditions = Mapping[str, str | Sequence[str]]
"""Values by the names that users type; of several one is enough."""
SWITCHES = (*(f.name for f in fields(Switches)), "rule", "code")


def flat(cell: Cell) -> dict[str, Any]:
    """A configuration's values by the names that users type: options, switches, ``source``, ``K``, ``learner``,
    ``seed``.
    """
    config = cell.config
    learner = {k: v for k, v in config["learner"].items() if k not in ("name", "settings", "tune", "candidates")}
    learner |= config["learner"].get("settings", {})
    tuned = config["learner"].get("tune", {})
    learner |= dict.fromkeys(tuned, "tuned")
    learner["tune"] = " ".join(f"{key}={','.join(values)}" for key, values in tuned.items()) or "none"
    net = {("net" if k == "name" else k): v for k, v in config["net"].items()}
    place = {"source": cell.source, "learner": cell.learner, "K": cell.K, "seed": cell.seed}
    train = {k: " ".join(v) if isinstance(v, list) else v for k, v in config["train"].items()}
    # A configuration leaves out what it has at its default, or what there was not when it was made.
    unnamed = {**cell.net.UNNAMED, **cell.training.UNNAMED, "weight_decay": 0.0}
    defaults = {key: "none" if value is None else value for key, value in unnamed.items()}
    if "rule" not in config["learner"]:
        defaults |= {"label_smoothing": 0.0, **UNSAID}
    return {**defaults, **place, **learner, **net, **train}


def flats(configs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`flat` of many configurations, of which most differ in K and seed alone."""
    known: dict[str, dict[str, Any]] = {}
    out = []
    for config in configs:
        key = json.dumps([v for k, v in config.items() if k not in ("K", "seed")])
        if key not in known:
            known[key] = flat(Cell(dict(config)))
        out.append({**known[key], "K": config["K"], "seed": config["seed"]})
    return out


def any_of(wanted: str | Sequence[str]) -> tuple[str, ...]:
    """The values of a condition."""
    return (wanted,) if isinstance(wanted, str) else tuple(wanted)


def check_conditions(where: Conditions, flat: list[dict[str, Any]]) -> None:
    """Keys that exist, and for places in the cube values that exist."""
    for key, wanted in [(key, one) for key, several in where.items() for one in any_of(several)]:
        if not any(key in values for values in flat):
            raise KaxisError(f"where: '{key}' is not {hint(key, sorted({k for values in flat for k in values}))}")
        there = sorted({str(values[key]) for values in flat if key in values})
        if not any(matches(values, {key: wanted}) for values in flat if key in values):
            raise KaxisError(f"where: none of {len(flat)} records has {key}={wanted}; it is {hint(wanted, there)}")


def conditions_text(where: Conditions) -> str:
    return ", ".join(f"{key}={' or '.join(any_of(value))}" for key, value in where.items())


def matches(flat: Mapping[str, Any], where: Conditions) -> bool:
    """Whether a configuration has these values; one without the key is not concerned."""
    return all(
        key not in flat or any(str(flat[key]) == one or _same_number(flat[key], one) for one in any_of(wanted))
        for key, wanted in where.items()
    )


def _same_number(value: object, text: str) -> bool:
    try:
        return float(str(value)) == float(text)
    except ValueError:
        return False


def _by_size(text: str) -> tuple[float, str]:
    try:
        return float(text), ""
    except ValueError:
        return math.inf, text


def unnamed(cells: Iterable[Cell]) -> dict[str, dict[str, set[str]]]:
    """By source, settings of learners in which cells differ and that no bracket names, with their values."""
    seen: dict[str, dict[str, set[str]]] = {}
    for values in flats(cell.config for cell in cells):
        for key in set(SETTINGS) & values.keys():
            if key not in _bracketed(values["learner"]):
                seen.setdefault(values["source"], {}).setdefault(key, set()).add(str(values[key]))
    return {s: own for s, keys in seen.items() if (own := {k: v for k, v in keys.items() if len(v) > 1})}


def _bracketed(learner: str) -> set[str]:
    """Settings that are part of a learner's name, or of its row."""
    row = TABLE.get(learner.partition("[")[0])
    return {*re.findall(r"(\w+)=", learner), *(row.overrides if row else ())}


def refuse_mixtures(chosen: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> None:
    """Raise if two records of one source differ in a setting that neither its place in the cube nor a bracket names.

    Parameters
    ----------
    chosen : sequence of (record, its `flat` values)
    """
    seen: dict[tuple[str, str, str], set[str]] = {}
    checksums: dict[str, set[str]] = {}
    brackets: dict[str, set[str]] = {}
    looked: set[tuple[int, ...]] = set()
    for record, values in chosen:
        # Records out of an index share the parts of their configurations; each combination is looked at once.
        parts = *(id(v) for v in record["config"].values() if isinstance(v, dict)), id(record["data"].get("checksums"))
        if parts in looked:
            continue
        looked.add(parts)
        learner, source = values["learner"], values["source"]
        if learner not in brackets:
            brackets[learner] = _bracketed(learner)
        named, settings = brackets[learner], record["config"]["learner"].get("settings", {})
        if "checksums" in record["data"]:
            checksums.setdefault(source, set()).add(str(sorted(record["data"]["checksums"].items())))
        for key, value in values.items():
            if key in AXES or key in named:
                continue
            owner = learner if key in (*SWITCHES, "tune") or key in settings else ""
            seen.setdefault((source, owner, key), set()).add(str(value))
    for (source, _, key), found in seen.items():
        if len(found) > 1:
            note = "; a bracket such as 'dtg_ff[lr=0.01]' makes a learner of its own" if key in SETTINGS else ""
            own = [(r, str(v[key])) for r, v in chosen if v["source"] == source and str(v.get(key)) in found]
            _, last = max((r["provenance"].get("finished", ""), value) for r, value in own)
            raise KaxisError(
                f"the store holds {key} = {' and '.join(sorted(found, key=_by_size))} for {source}: choose with "
                f"--where {key}={last} (trained last){note}"
            )
    for source, found in checksums.items():
        if len(found) > 1:
            raise KaxisError(
                f"the store holds results of {len(found)} versions of the files of {source}; keep each in a "
                "--store of its own"
            )
