"""The table of learners: a learner is a choice on independent switches, so a control is a row and not code.

Sources: the first four rows are the paper's section on the synthetic study (BP, BP-Ensemble, BP-DeepSup, DTG-FF).
`mono_forward` and those below it are published rules of others, docs/learners/ says whose and what differs from them.
`local_ce`, `bp_concat` and every other combination of switches are ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, get_args, get_type_hints

from kaxis.errors import KaxisError, hint
from kaxis.spec.learner import (
    DIRECT,
    FEEDBACK,
    RULE_SETTINGS,
    SETTINGS,
    UNSAID,
    ConvSettings,
    Gradient,
    Settings,
    Switches,
    TableLearner,
)
from kaxis.spec.options import validated

__all__ = ["TABLE", "Learner", "canonical", "parse", "register"]


@dataclass(frozen=True)
class Learner(Switches):
    """One training algorithm, as a row of switches (`kaxis.spec.learner.Switches`).

    Parameters
    ----------
    name : str
        How it is called in a study; brackets hold what differs from the table: ``dtg_ff[t_max=1]``.
    overrides : mapping
        Settings of the run (`SETTINGS`), or of its rule, that hold for this learner alone.
    rule : tuple of str or None
        For a learner that is code (`kaxis.spec.rules`): the names of its settings. Its switches mean nothing.
    about : str
        What it is, in a line (``kaxis learners``).

    Raises
    ------
    KaxisError
        For a value that a switch does not have, or switches that contradict each other.
    """

    name: str
    overrides: Mapping[str, str] = field(default_factory=dict)
    rule: tuple[str, ...] | None = None
    about: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for switch, allowed in SWITCHES.items():
            if getattr(self, switch) not in allowed:
                raise KaxisError(
                    f"learner {self.name}: {switch}={getattr(self, switch)} is not "
                    f"{hint(getattr(self, switch), allowed)}"
                )
        if self.heads == "concat" and self.inference != "concat":
            raise KaxisError(f"learner {self.name}: heads=concat needs inference=concat")
        if self.gradient == "local" and self.heads != "every":
            raise KaxisError(
                f"learner {self.name}: gradient=local needs heads=every, else the lower layers have no loss"
            )
        if self.gradient in (*FEEDBACK, *DIRECT) and (self.heads != "last" or self.inference == "concat"):
            raise KaxisError(
                f"learner {self.name}: gradient={self.gradient} sends the last head's loss back; it needs heads=last "
                "and inference=last"
            )
        if self.gradient == "none" and self.heads == "concat":
            raise KaxisError(f"learner {self.name}: gradient=none needs heads=every or heads=last")
        if self.gradient == "none" and self.readout != "learned" and self.temperature == "1":
            raise KaxisError(f"learner {self.name}: gradient=none, readout={self.readout} leave nothing to train")
        if self.readout == "groups" and self.bias == "no":
            raise KaxisError(f"learner {self.name}: readout=groups has no bias to leave out")
        if self.members < 1:
            raise KaxisError(f"learner {self.name}: members={self.members} is not 1 or more")
        if self.members > 1 and self.inference != "softmax_mean":
            raise KaxisError(f"learner {self.name}: {self.members} members need inference=softmax_mean")

    def switches(self) -> dict[str, Any]:
        """The row without its name and overrides, and without what is not said at its default."""
        row = {f.name: getattr(self, f.name) for f in fields(Switches)}
        return {k: v for k, v in row.items() if k not in UNSAID or v != UNSAID[k]}

    def plain(self, settings: Settings | None = None) -> TableLearner:
        """The row at the settings of a run, by default the MLP's."""
        return TableLearner.restored(self.config(settings or Settings()))

    def config(self, settings: Settings) -> dict[str, Any]:
        """Name, switches and those settings that reach this learner: the ``learner`` part of a configuration.

        Raises
        ------
        KaxisError
            For a setting in brackets that does not fit or has no effect.
        """
        own, conv = settings, isinstance(settings, ConvSettings)
        if given := {k: v for k, v in self.overrides.items() if hasattr(own, k)}:
            try:
                own = validated(type(own), {**asdict(own), **given})
            except KaxisError as error:
                raise KaxisError(f"learner '{self.name}': {error}") from None
        if not conv and "concat" in (self.heads, self.inference):
            raise KaxisError(f"learner '{self.name}': concat is for conv nets; the mlp has heads last and every")
        config = {"name": self.name, **self.switches(), "lr": own.lr, "clip": own.clip or None, "norm": own.norm}
        decay = {"weight_decay": own.weight_decay, "label_smoothing": own.label_smoothing}
        if isinstance(own, ConvSettings):
            config |= {**decay, "goodness": own.goodness, "goodness_norm": own.goodness_norm}
        else:  # named only where they differ, so that older records keep their names
            config |= {k: v for k, v in decay.items() if v}
        if self.readout == "fixed" or (self.readout == "learned" and self.start == "draw"):
            config |= {"readout_scale": own.readout_scale}
            config |= {"readout_bias": own.readout_bias} if self.bias == "yes" else {}
        if self.readout == "groups" and config.get("goodness") == "scalar":
            raise KaxisError(f"learner '{self.name}': readout=groups needs goodness=vector, of which it takes means")
        if self.temperature == "learned":
            if not own.t_min < own.t_max:
                raise KaxisError(f"learner '{self.name}': t_min = {own.t_min} is not below t_max = {own.t_max}")
            config |= {"t_min": own.t_min, "t_max": own.t_max}
        if idle := [key for key in self.overrides if key not in config]:
            raise KaxisError(f"learner '{self.name}': {idle[0]} has no effect on it")
        return config


SWITCHES: dict[str, tuple[str, ...]] = {
    name: allowed for name, hint_ in get_type_hints(Switches).items() if (allowed := get_args(hint_))
}
"""What each switch may be; `members` is a number."""

SENT_BACK: dict[Gradient, str] = {
    "fa": "feedback alignment",
    "usf": "uniform sign feedback",
    "dfa": "direct feedback alignment",
    "sdfa": "sign DFA",
    "drtp": "direct random target projection",
}
"""Published ways to send the last head's loss back that are rows of their own."""

TABLE: dict[str, Learner] = {
    row.name: row
    for row in (
        Learner("bp", heads="last", inference="last", about="backprop, the loss at the last layer"),
        Learner(
            "bp_ensemble",
            heads="last",
            inference="softmax_mean",
            members=4,
            about="four nets of bp, their mean softmax",
        ),
        Learner("bp_deepsup", about="backprop, a head and a loss at every layer"),
        Learner(
            "dtg_ff",
            gradient="local",
            power="2",
            temperature="learned",
            readout="fixed",
            start="draw",
            about="DTG-FF: every layer on its own loss of a^2 / T through a fixed readout",
        ),
        Learner("local_ce", gradient="local", about="every layer on its own head's cross-entropy"),
        Learner("bp_concat", heads="concat", inference="concat", about="backprop, one classifier on all layers"),
        Learner("mono_forward", gradient="local", bias="no", about="Mono-Forward"),
        Learner(
            "asge",
            gradient="local",
            power="2",
            readout="fixed",
            start="draw",
            overrides={"readout_scale": "rsqrt_K", "norm": "rmsnorm_sample"},
            about="ASGE",
        ),
        Learner(
            "deeperforward",
            gradient="local",
            readout="groups",
            overrides={"norm": "groupnorm"},
            about="DeeperForward",
        ),
        Learner(
            "cwcomp", gradient="local", power="2", readout="groups", overrides={"norm": "groupnorm"}, about="CwComp"
        ),
        Learner("random_trunk", gradient="none", about="untrained trunk (CaFo)"),
        *(
            Learner(name, gradient=name, heads="last", inference="last", about=about)
            for name, about in SENT_BACK.items()
        ),
    )
}


def register(learner: Learner) -> None:
    """Add a row of your own to the table; it then runs, pairs and plots like the others.

    Examples
    --------
    >>> register(Learner("local_goodness", gradient="local", power="2"))
    >>> parse("local_goodness").power
    '2'
    >>> _ = TABLE.pop("local_goodness")
    """
    TABLE[learner.name] = learner


def parse(text: str) -> Learner:
    """A learner by its name in the table, with switches or settings changed in brackets.

    Parameters
    ----------
    text : str
        ``name`` or ``name[key=value,...]``; keys are the switches of `Learner` and the names in `SETTINGS`.

    Returns
    -------
    Learner
        Named canonically: keys sorted, keys that repeat the table's own switch left out.

    Raises
    ------
    KaxisError
        For an unknown name, key or value.

    Examples
    --------
    >>> parse("dtg_ff[t_max=1,gradient=global]").name
    'dtg_ff[gradient=global,t_max=1]'
    """
    match = re.fullmatch(r"\s*([\w-]+)\s*(?:\[(.*)\])?\s*", text)
    if not match or match[1] not in TABLE:
        raise KaxisError(
            f"learner '{text}' is not {hint(match[1] if match else text, TABLE)}; one of your own needs --rules FILE"
        )
    row = TABLE[match[1]]
    changes: dict[str, Any] = {}
    settings = SETTINGS if row.rule is None else (*RULE_SETTINGS, *row.rule)
    switch_names = [f.name for f in fields(Switches) if row.rule is None]
    for item in filter(str.strip, (match[2] or "").split(",")):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals or key not in (*switch_names, *settings):
            raise KaxisError(
                f"learner '{text}': '{item}' is not key=value with a key out of {hint(key, [*switch_names, *settings])}"
            )
        if key in changes:
            raise KaxisError(f"learner '{text}': {key} is given twice")
        if key in settings:
            changes[key] = canonical(value)
        elif key == "members":
            if not value.isdigit():
                raise KaxisError(f"learner '{text}': members={value} is not a whole number")
            changes[key] = int(value)
        else:
            changes[key] = value
    changes = {k: v for k, v in sorted(changes.items()) if k in settings or v != getattr(row, k)}
    readout = changes.get("readout", row.readout)
    if "start" in changes and (readout == "groups" or (readout == "fixed" and changes["start"] == "torch")):
        raise KaxisError(f"learner '{text}': start has no effect on a readout that is {READOUTS[readout]}")
    if not changes:
        return row
    name = f"{row.name}[{','.join(f'{k}={v}' for k, v in changes.items())}]"
    overrides = {k: changes.pop(k) for k in settings if k in changes}
    return replace(row, name=name, overrides={**row.overrides, **overrides}, **changes)


READOUTS = {"fixed": "fixed", "groups": "made of groups"}


def canonical(value: str) -> str:
    """One spelling for each number: 1e-3 and 0.001 are the same learner."""
    try:
        return repr(float(value)).removesuffix(".0")
    except ValueError:
        return value
