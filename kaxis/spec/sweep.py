"""A sweep: a grid of cells, source x K x learner x seed, under one configuration."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from kaxis.errors import KaxisError, hint
from kaxis.spec.catalog import CATALOG, canonical, source_info
from kaxis.spec.catalog import known as known_source
from kaxis.spec.cell import Cell
from kaxis.spec.images import ImageSpec, source_kind
from kaxis.spec.learner import CodeLearner, ConvSettings, Settings, TableLearner, learner_spec
from kaxis.spec.learners import Learner, parse
from kaxis.spec.net import MLPSpec, VGGSpec, net_kind
from kaxis.spec.options import strings, validated
from kaxis.spec.rule_config import check_rule, placeholder, remembered, rule_config
from kaxis.spec.rules import load_rules
from kaxis.spec.table import OPTIONS, Grid, Owned
from kaxis.spec.teacher import TeacherSpec
from kaxis.spec.training import ConvTraining, MLPTraining
from kaxis.spec.tuning import grid, tuned_config

__all__ = ["Leg", "Sweep"]

MOST_CELLS = 1_000_000
MOST_LEARNERS = 1_000


@dataclass(frozen=True, kw_only=True)
class Sweep(Grid):
    """A grid source x K x learner x seed under one configuration.

    Raises
    ------
    KaxisError
        From `Sweep.of`, naming the first option that does not fit.
    """

    data: TeacherSpec | ImageSpec
    net: MLPSpec | VGGSpec
    training: MLPTraining | ConvTraining
    settings: Settings
    written: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False)
    """Of a sweep that was written down, its rules as they were then (`kaxis.spec.rule_config.written_down`)."""

    UNNAMED: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Sweep:
        """A checked sweep from options as typed; unknown keys and values that do not fit are errors."""
        load_rules(strings(options.get("rules") or ()))
        return _sweep(options, canonical(str(options.get("source", "")))).checked()

    @classmethod
    def restored(cls, options: Mapping[str, Any], rules: Mapping[str, Mapping[str, Any]] | None = None) -> Sweep:
        """A sweep that was checked before it was written down, with its rules; files of rules are not read for it."""
        sweep = _sweep(options, str(options.get("source", "")), then=True)._with(written=rules or {})
        if not known_source(sweep.data.name):
            raise KaxisError(f"source '{sweep.data.name}' is not {hint(sweep.data.name, CATALOG)}")
        sweep.check_size()
        for text in sweep.learners if sweep.rules else ():
            placeholder(text)
        return sweep

    def checked(self) -> Sweep:
        """This sweep with K and learners as they are meant.

        Raises
        ------
        KaxisError
        """
        K = self.data.checked(self.K)
        for name, values in (("K", K), ("seeds", self.seeds)):
            if not values or min(values) < 0:
                raise KaxisError(f"{name} = {values}: 0 or more, at least one")
            if twice := [value for value, count in Counter(values).items() if count > 1]:
                raise KaxisError(f"{name}: {twice[0]} is given twice")
        if len(self.learners) > MOST_LEARNERS:
            raise KaxisError(f"learners: {len(self.learners):,} are named, {MOST_LEARNERS:,} at most")
        rows = tuple(parse(text).name for text in self.learners)
        if not rows:
            raise KaxisError("learners: name at least one")
        if repeated := [row for row, count in Counter(rows).items() if count > 1]:
            raise KaxisError(f"learners: {repeated[0]} is given twice")
        if max(self.seeds) >= 2**63:
            raise KaxisError(f"seeds = {max(self.seeds)}: below 2^63")
        sweep = self._with(K=K, learners=rows)
        sweep.check_size()
        sweep.check_parts()
        return sweep

    def check_size(self) -> None:
        """KaxisError for a grid that nobody can have meant."""
        sizes = {"K": len(self.K), "learners": len(self.learners), "seeds": len(self.seeds)}
        if (cells := math.prod(sizes.values())) > MOST_CELLS:
            raise KaxisError(
                f"{' x '.join(f'{n:,} {name}' for name, n in sizes.items())} are {cells:,} cells, {MOST_CELLS:,} "
                "at most"
            )

    def check_parts(self) -> None:
        """KaxisError for parts that do not go together."""
        data, net, training = self.data, self.net, self.training
        if isinstance(data, ImageSpec):
            if data.size and not net.conv and source_info(data.name).size is not None:
                raise KaxisError(f"size = {data.size}: the mlp takes {data.name} at its own size; conv nets resize")
            if data.features != "raw" and net.conv:
                raise KaxisError(
                    f"features = {data.features}: the net '{net.name}' sees images; only the mlp takes components"
                )
        elif net.conv:
            raise KaxisError(f"net = {net.name}: needs images; the source '{data.name}' has none")
        training.check(data.holdout)
        if self.tune and not data.holdout:
            raise KaxisError(
                f"tune = {' '.join(self.tune)}: needs held-out training samples; set holdout, for example 0.1"
            )
        if isinstance(net, VGGSpec) and isinstance(data, ImageSpec):
            net.check(data.side)
        for row in self._rows():
            for config in row.get("candidates", [row]):
                self._check_learner(config)

    def _check_learner(self, config: Mapping[str, Any]) -> None:
        spec, net, training = learner_spec(config), self.net, self.training
        grouped = spec.grouped
        if isinstance(spec, CodeLearner):
            made = remembered(spec.rule, self.written, self.rules)
            check_rule(config, self.settings, net, training, made)
            grouped = grouped or (made is not None and made.grouped)
        if grouped and max(self.K) > net.least:
            what = "units of a layer" if isinstance(net, MLPSpec) else "channels of its narrowest layer"
            raise KaxisError(
                f"K = {max(self.K)}: learner '{spec.name}' makes K groups of the {net.least} {what}; take fewer "
                "classes or a wider net"
            )
        if isinstance(training, ConvTraining) and spec.lr < training.lr_min:
            raise KaxisError(
                f"lr = {spec.lr:g} of '{spec.name}': below lr_min = {training.lr_min:g}, where the cosine ends; "
                "set a smaller lr_min"
            )
        if isinstance(spec, TableLearner) and isinstance(training, ConvTraining):
            if spec.batch_statistics:
                training.check_batch_statistics()
            if training.activation_checkpointing and spec.goodness_norm == "batchnorm":
                raise KaxisError(
                    "activation_checkpointing = True: would count every batch twice in goodness_norm = batchnorm"
                )

    def _with(self, **changes: Any) -> Sweep:
        return Sweep(**{f.name: getattr(self, f.name) for f in fields(self)} | changes)

    def _rows(self) -> list[dict[str, Any]]:
        """The ``learner`` part of each learner's configuration."""
        values, rows = grid(self.tune), [parse(text) for text in self.learners]
        return [tuned_config(row, values, self._config) if values else self._config(row) for row in rows]

    def _config(self, row: Learner) -> dict[str, Any]:
        if row.rule is None:
            return row.config(self.settings)
        made = remembered(row.name.partition("[")[0], self.written, self.rules)
        return rule_config(row, self.settings, self.net, made)

    def cells(self) -> list[Cell]:
        """Every cell of the grid, K-major."""
        source, net, train, rows = self.data.config(), self.net.config(), self.training.config(), self._rows()
        return [
            Cell.of(source=source, K=K, seed=seed, learner=row, net=net, train=train)
            for K in self.K
            for row in rows
            for seed in self.seeds
        ]

    def as_dict(self) -> dict[str, Any]:
        """Options with every default spelt out; those that its source or net does not have at what means none."""
        parts = (self, self.data, self.net, self.training, self.settings)
        out = {name: _none(owners) for name, owners in OPTIONS.items()}
        for name, owners in OPTIONS.items():
            for part in parts:
                if any(isinstance(part, owned.kind) for owned in owners):
                    out[name] = getattr(part, owners[0].field)
        return dict(json.loads(json.dumps(out)))

    def flags(self) -> list[str]:
        """What is typed after ``kaxis run`` to have this sweep."""
        own = self.as_dict()
        kind = {name: own[name] for name in ("source", "net", "size") if own[name] is not None}
        try:
            usual = _sweep(kind, own["source"]).as_dict()
        except KaxisError:  # a folder that is not on this machine: every option is written out
            usual = dict.fromkeys(own)
        usual |= {"K": None, "seeds": None, "net": "mlp", "size": None}
        out = [own["source"]]
        for name, value in own.items():
            if name == "source" or value in (None, [], usual[name]):
                continue
            flag = name.replace("_", "-")
            if isinstance(value, bool):
                out.append(f"--{flag}" if value else f"--no-{flag}")
            else:
                out += [f"--{flag}", *(map(str, value) if isinstance(value, list) else [str(value)])]
        return out


Leg = Sweep
"""Its name before version 0.2."""


def _none(owners: list[Owned]) -> Any:
    """What an option is noted as where nothing has it."""
    return owners[0].default if issubclass(owners[0].kind, (Grid, TeacherSpec, ImageSpec)) else None


def _sweep(options: Mapping[str, Any], source: str, *, then: bool = False) -> Sweep:
    """Options sorted into their specifications. With `then` those that are left out have the value from before there
    was such an option.
    """
    for key in options:
        if key not in OPTIONS:
            raise KaxisError(f"option '{key}' is not {hint(key, OPTIONS)}")
    given = {k: v for k, v in options.items() if v is not None} | {"source": source}
    if not source:
        raise KaxisError("source: name one")
    if not then:
        source_info(source)
    net = str(given.setdefault("net", "mlp"))
    conv = net_kind(net).conv
    grid = _part(Grid, given, then)
    data = _part(source_kind(source), given, then)
    by_size = (ConvTraining if conv else MLPTraining).by_size(data.side if conv and data.real and not then else 0)
    if {"steps", "epochs"} & given.keys():
        by_size = {k: v for k, v in by_size.items() if k not in ("steps", "epochs")}
    sweep = Sweep(
        **{f.name: getattr(grid, f.name) for f in fields(grid)},
        data=data,
        net=_part(net_kind(net), given, then),
        training=_part(ConvTraining if conv else MLPTraining, by_size | given, then),
        settings=_part(ConvSettings if conv else Settings, given, then),
    )
    _refuse_idle(given, sweep)
    return sweep


def _part(kind: type[Any], given: Mapping[str, Any], then: bool) -> Any:
    """One specification out of all options."""
    names = {owned.field: name for name, owners in OPTIONS.items() for owned in owners if owned.kind is kind}
    own = {field: given[name] for field, name in names.items() if name in given}
    return validated(kind, {**(kind.UNNAMED if then else {}), **own}, names)


def _refuse_idle(given: Mapping[str, Any], sweep: Sweep) -> None:
    """KaxisError for an option that the sweep's source or net does not have, unless it says what means none."""
    kinds = {type(part) for part in (sweep.data, sweep.net, sweep.training, sweep.settings)} | {Grid}
    for name, value in given.items():
        owners = OPTIONS[name]
        if any(owned.kind in kinds for owned in owners):
            continue
        first = owners[0]
        typed = getattr(_part(first.kind, {name: value, "source": "", "net": ""}, False), first.field)
        if issubclass(first.kind, (TeacherSpec, ImageSpec)):
            if typed != first.default:
                more = ", which has one split" if name == "split" else ""
                raise KaxisError(f"{name} = {typed}: not an option of the source '{sweep.data.name}'{more}")
        else:
            raise KaxisError(f"{name} = {typed}: not an option of the net '{sweep.net.name}'")
