"""``kaxis learners``: what ``--learners`` takes."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

from cyclopts import Parameter

from kaxis.cli.common import Json
from kaxis.cli.report import console, show_table

__all__ = ["learners"]


def learners(
    *,
    rules: Annotated[list[str] | None, Parameter(help="Python files of rules, listed too")] = None,
    json: Json = False,
) -> int:
    """Every learner: what it is, the nets that it is for, and what its brackets hold.

    Example: kaxis learners

    Example: kaxis learners --rules examples/greedy.py
    """
    from kaxis.spec.learner import RULE_SETTINGS, SETTINGS
    from kaxis.spec.learners import SWITCHES, TABLE
    from kaxis.spec.rules import load_rules

    load_rules(rules or [])
    rows = [_row(learner) for learner in TABLE.values()]
    if json:
        import json as js

        print(js.dumps({"rows": rows}, indent=1))
        return 0
    cells = [
        [r["learner"], r["about"], ", ".join(r["nets"]), " ".join(f"{k}={_short(v)}" for k, v in r["brackets"].items())]
        for r in rows
    ]
    show_table("", ["learner", "what it is", "nets", "brackets"], cells)
    switches = "; ".join(f"{name} {', '.join(allowed)}" for name, allowed in SWITCHES.items())
    for line in (
        "Brackets change what is in them: 'dtg_ff[readout=learned]', 'predsim[beta=0.5]'.",
        f"Switches of a row, shown where they are not bp_deepsup's: {switches}; members.",
        f"Settings of a row: {', '.join(SETTINGS)}; of code {', '.join(RULE_SETTINGS)}, and its own, shown.",
    ):
        console().print(line, soft_wrap=True)
    return 0


def _row(learner: Any) -> dict[str, Any]:
    from kaxis.spec.learner import Switches
    from kaxis.spec.rules import RULES

    kind, nets = "row", ["mlp", "vgg"]
    if learner.rule is not None:
        made = RULES[learner.name]
        kind, brackets = "code", dict(made.settings)
        nets = ["mlp"] if made.mlp else nets
        if made.file:  # its author knows
            nets = []
    else:
        plain = Switches()
        switches = {f.name: getattr(learner, f.name) for f in fields(Switches)}
        brackets = {k: v for k, v in switches.items() if v != getattr(plain, k)} | learner.overrides
        nets = ["vgg"] if "concat" in (learner.heads, learner.inference) else nets
    return {"learner": learner.name, "about": learner.about, "kind": kind, "nets": nets, "brackets": brackets}


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
