"""Learners that are code: a module of yours with a loss and logits, out of a Python file of yours.

A rule trains the MLP in its own way and is else like every learner: the same data, batch order and initial hidden layers for one seed,
the same records, pairing, resuming and figures. See docs/add_a_learner.md.
"""

from __future__ import annotations

import hashlib
import re
import runpy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kaxis.errors import KaxisError
from kaxis.learners import RULE_SETTINGS, SETTINGS, TABLE, Learner, register

__all__ = ["LADDER", "RULES", "Rule", "load_rules", "placeholder", "rule", "rule_config"]


@dataclass(frozen=True)
class Rule:
    """How to build a learner.

    Parameters
    ----------
    name : str
    build : callable
        ``build(start, **settings)`` gives a `torch.nn.Module` with ``loss(x_BD, y_B)``, a scalar to be minimised that does its own
        detaching, and ``logits(x_BD)``, a list of (B, K) tensors, one a head, which are summed to predict.
    settings : mapping of str to float
        Names that may be set in brackets, with their defaults.
    code : str
        Hash of the file, part of every cell's configuration: an edited rule is another learner.
    """

    name: str
    build: Callable[..., Any]
    settings: Mapping[str, float]
    code: str = ""


def _rung(**kind: Any) -> Callable[..., Any]:
    def build(start: Any, **settings: Any) -> Any:
        from kaxis.train.ladder import Ladder  # torch, not before it is needed

        return Ladder(start, **kind, **settings)

    return build


_PAPERS = {"learned": True, "mean": True}
LADDER: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "ff": ({}, {"threshold": 0.15}),
    "ff_bn": ({"everywhere": True}, {"threshold": 0.15}),
    "ff_mean": ({"mean": True}, {"threshold": 0.15}),
    "ff_margin": (_PAPERS, {}),
    "ff_hybrid": ({**_PAPERS, "classifier": "plain"}, {"weight": 1.0}),
    "ff_hybrid_ln": ({**_PAPERS, "classifier": "layernorm"}, {"weight": 1.0}),
    "ff_hybrid_bn": ({**_PAPERS, "classifier": "batchnorm"}, {"weight": 1.0}),
}
"""The Forward-Forward MLPs (`kaxis.train.ladder`): what makes each, and what may be set in brackets. Each differs from the one that it
is compared with in one thing: ff_bn and ff_mean from ff, ff_margin from ff_mean, ff_hybrid from ff_margin, the last two from ff_hybrid."""

RULES: dict[str, Rule] = {
    # A record names the code that made it: the meaning of a threshold, and where ff_bn normalises, changed with version 0.2.
    name: Rule(name, _rung(**kind), settings, "kaxis-2" if "threshold" in settings else "kaxis")
    for name, (kind, settings) in LADDER.items()
}
_loading: list[str] = []


def rule(name: str, **settings: float) -> Callable[[Any], Any]:
    """Class decorator: add a learner to the table under a name.

    Examples
    --------
    >>> @rule("mine", strength=0.5)
    ... class Mine: ...
    >>> from kaxis.learners import parse
    >>> parse("mine[strength=0.25]").name
    'mine[strength=0.25]'
    >>> _ = TABLE.pop("mine"), RULES.pop("mine")
    """
    if not re.fullmatch(r"[\w-]+", name):
        raise KaxisError(f"rule '{name}': letters, digits, _ and - make a name")
    if clash := [key for key in settings if key in SETTINGS]:
        raise KaxisError(f"rule '{name}': setting '{clash[0]}' is one that every learner has")
    if name in LADDER or (name in TABLE and TABLE[name].rule is None):
        raise KaxisError(f"rule '{name}': the table has a learner of that name")

    def add(build: Callable[..., Any]) -> Callable[..., Any]:
        RULES[name] = Rule(name, build, settings, _loading[-1] if _loading else "")
        register(Learner(name, rule=tuple(settings)))
        return build

    return add


for _name, _made in RULES.items():
    register(Learner(_name, rule=tuple(_made.settings)))


def load_rules(files: Iterable[str]) -> None:
    """Run files that define rules; one that was run as it is now is not run again.

    Raises
    ------
    KaxisError
        If a file cannot be read or does not run, or defines no rule.
    """
    for file in files:
        path = Path(file)
        try:
            code = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        except OSError as error:
            raise KaxisError(f"rules {file}: {error.strerror}") from None
        if any(r.code == code for r in RULES.values()):
            continue
        before = dict(RULES)
        _loading.append(code)
        try:
            runpy.run_path(str(path))
        except KaxisError:
            raise
        except Exception as error:
            raise KaxisError(f"rules {file}: {type(error).__name__}: {error}") from None
        finally:
            _loading.pop()
        if before == RULES:
            raise KaxisError(f"rules {file}: defines none; decorate a class with @kaxis.rule('name')")


def rule_config(row: Learner, options: Mapping[str, Any]) -> dict[str, Any]:
    """The ``learner`` part of a configuration: its settings, the run's that reach it, and the hash of its file.

    Raises
    ------
    KaxisError
        For another net than the MLP, or a setting that is no number.
    """
    if options["net"] != "mlp":
        raise KaxisError(f"learner '{row.name}': rules train the mlp, not {options['net']}")
    base = row.name.partition("[")[0]
    made = RULES.get(base)
    try:
        given = {k: float(v) for k, v in row.overrides.items()}
    except ValueError:
        raise KaxisError(f"learner '{row.name}': its settings are numbers") from None
    own = {k: given.pop(k) if k in given else options[k] for k in RULE_SETTINGS}
    settings = (dict(made.settings) if made else {}) | given
    code = {"rule": base, "code": made.code if made else "", "settings": settings}
    return {
        "name": row.name,
        "members": 1,
        "inference": "logit_sum",
        **code,
        "lr": own["lr"],
        "clip": own["clip"] or None,
    }


def placeholder(text: str) -> None:
    """Make a name known whose file is not here, so that what was recorded of it can still be read."""
    name = text.partition("[")[0].strip()
    row = TABLE.get(name)
    if not name or name in RULES or (row is not None and row.rule is None):
        return
    keys = [item.partition("=")[0].strip() for item in text.partition("[")[2].rstrip("] ").split(",") if item]
    known = row.rule if row is not None and row.rule else ()
    register(Learner(name, rule=tuple(dict.fromkeys([*known, *(k for k in keys if k not in SETTINGS)]))))
