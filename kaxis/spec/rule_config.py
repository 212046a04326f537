"""What configurations and manifests hold of learners that are code."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kaxis.errors import KaxisError, hint
from kaxis.spec.learner import RULE_SETTINGS, SETTINGS, Settings
from kaxis.spec.learners import TABLE, Learner, register
from kaxis.spec.net import NetSpec
from kaxis.spec.options import validated
from kaxis.spec.rules import BUILT_IN, RULES, Rule, RuleError
from kaxis.spec.training import Training

__all__ = ["check_rule", "placeholder", "remembered", "rule_config", "written_down"]


def rule_config(row: Learner, run: Settings, net: NetSpec, made: Rule | None) -> dict[str, Any]:
    """The ``learner`` part of a configuration: its settings, the run's that reach it, and the hash of its file.

    `made` is the rule, None where its file is not known.

    Raises
    ------
    KaxisError
        For a net that is not the rule's, or a setting that is no number.
    """
    base = row.name.partition("[")[0]
    if made and (absent := [k for k in row.overrides if k not in (*RULE_SETTINGS, *made.settings)]):
        raise KaxisError(f"learner '{row.name}': '{absent[0]}' is not {hint(absent[0], made.settings)}")
    if made and made.mlp and net.conv:
        raise KaxisError(f"learner '{row.name}': trains the mlp, not {net.name}")
    try:
        given = {k: float(v) for k, v in row.overrides.items()}
    except ValueError:
        raise KaxisError(f"learner '{row.name}': its settings are numbers") from None
    for key, value in given.items():
        if not math.isfinite(value):
            raise KaxisError(f"learner '{row.name}': {key} = {value}: a finite number")
    own = {k: given.pop(k) if k in given else getattr(run, k) for k in RULE_SETTINGS}
    settings = (dict(made.settings) if made else {}) | given
    code = {"rule": base, "code": made.code if made else "", "settings": settings}
    config = {"name": row.name, "members": 1, "inference": "logit_sum", **code, "lr": own["lr"]}
    config["clip"] = own["clip"] or None
    if net.conv:
        return config | {"weight_decay": own["weight_decay"], "norm": run.norm}
    # Named only where it differs, so that older records keep their names.
    return config | ({"weight_decay": own["weight_decay"]} if own["weight_decay"] else {})


def check_rule(config: Mapping[str, Any], run: Settings, net: NetSpec, training: Training, made: Rule | None) -> None:
    """Refuse what a learner's settings may not be, and what of the run does not reach it; `config` is `rule_config`'s.

    Raises
    ------
    KaxisError
    """
    name, ranges = config["name"], made.ranges if made else {}
    for key, value in config["settings"].items():
        if key in ranges and value not in ranges[key]:
            raise KaxisError(f"learner '{name}': {key} = {value:g}: {ranges[key]}")
    own = {"lr": config["lr"], "clip": config["clip"] or 0, "weight_decay": config.get("weight_decay", 0)}
    try:
        validated(type(run), {**asdict(run), **own})
    except KaxisError as error:
        raise KaxisError(f"learner '{name}': {error}") from None
    for key, value in {"label_smoothing": run.label_smoothing, "norm": "none" if net.conv else run.norm}.items():
        if value not in (0, "none"):
            raise KaxisError(f"{key} = {value}: does not reach learner '{name}'; set it in brackets for the others")
    if made is not None and made is BUILT_IN.get(made.name) and training.parts > 1:
        raise KaxisError(f"accumulate = {training.parts}: learner '{name}' takes whole batches")


def written_down(learners: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Of those learners that files of rules define, what configurations hold of them: it outlives the files."""
    found = {name: RULES[name] for text in learners if (name := text.partition("[")[0]) in RULES}
    return {name: {"code": made.code, "settings": dict(made.settings)} for name, made in found.items() if made.file}


def _gone(*_: Any, **__: Any) -> Any:
    raise RuleError("its file of rules is not here")


def remembered(name: str, written: Mapping[str, Mapping[str, Any]], files: Iterable[str] = ()) -> Rule | None:
    """A rule as it was written down, else as it is here: one of the package, unless one of these files has it."""
    if name not in written:
        made, named = RULES.get(name), {str(Path(file).resolve()) for file in files}
        own = made is not None and made.file in named
        return BUILT_IN[name] if name in BUILT_IN and not own else made
    return Rule(name, _gone, dict(written[name]["settings"]), str(written[name]["code"]))


def placeholder(text: str) -> None:
    """Make a name known whose file is not here, so that what was recorded of it can still be read."""
    name = text.partition("[")[0].strip()
    row = TABLE.get(name)
    if not name or name in RULES or (row is not None and row.rule is None):
        return
    keys = [item.partition("=")[0].strip() for item in text.partition("[")[2].rstrip("] ").split(",") if item]
    known = row.rule if row is not None and row.rule else ()
    register(Learner(name, rule=tuple(dict.fromkeys([*known, *(k for k in keys if k not in SETTINGS)]))))
