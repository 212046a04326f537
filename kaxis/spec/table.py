"""The one table of options, made from the fields of the specifications: flags of ``kaxis run``, keys of a study file,
docs/options.md.

``python -m kaxis.spec.table docs/options.md`` writes its tables anew.
"""

from __future__ import annotations

import re
import sys
from dataclasses import MISSING, dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from kaxis.spec.images import DigitsSpec, ImageSpec
from kaxis.spec.learner import ConvSettings, Settings
from kaxis.spec.net import MLPSpec, VGGSpec
from kaxis.spec.options import Integers, Option, Spec, Strings
from kaxis.spec.teacher import TeacherSpec
from kaxis.spec.training import ConvTraining, MLPTraining

__all__ = ["OPTIONS", "Grid", "Owned", "page", "shown_default"]


@dataclass(frozen=True, kw_only=True)
class Grid(Spec):
    """What a sweep varies."""

    K: Annotated[
        Integers,
        Option(
            "numbers of classes",
            "5 10 15 20 30 50 (synthetic)",
            "all of a real source's; 5 10 50",
        ),
    ] = ()
    seeds: Annotated[Integers, Option("replicates, e.g. 0-4", "five; which five is not said", "0-4")] = (0, 1, 2, 3, 4)
    learners: Annotated[
        Strings,
        Option(
            "rows of the learner table, switches changed in brackets: 'dtg_ff[t_max=1]'",
            "these four; switches in brackets are ours",
        ),
    ] = ("bp", "bp_ensemble", "bp_deepsup", "dtg_ff")
    tune: Annotated[
        Strings,
        Option(
            "settings that each (learner, K, seed) chooses for itself on held-out samples: lr=0.0003,0.001,0.003; the "
            "record says what was tried"
        ),
    ] = ()
    rules: Annotated[Strings, Option("Python files whose rules join the table (docs/add_a_learner.md)")] = ()


class Owned(NamedTuple):
    """A field of one kind of specification, as an option."""

    kind: type[Spec]
    field: str
    hint: Any
    option: Option

    @property
    def default(self) -> Any:
        found = self.kind.__dataclass_fields__[self.field].default
        return None if found is MISSING else found

    @property
    def base(self) -> Any:
        """Its type without what is said of it."""
        base = self.hint
        while get_origin(base) in (Annotated, UnionType, Union):
            base = next(part for part in get_args(base) if part is not NoneType)
        return base

    @property
    def is_bool(self) -> bool:
        return self.base is bool

    @property
    def is_list(self) -> bool:
        return get_origin(self.base) is tuple

    @property
    def help(self) -> str:
        allowed = f" ({', '.join(get_args(self.base))})" if get_origin(self.base) is Literal else ""
        return self.option.help + allowed

    @property
    def shown(self) -> str:
        """Its default in words; nothing where none is the default."""
        if self.option.default:
            return self.option.default.replace("`", "").removeprefix("-")
        value = self.default
        if value is None or value == () or value is False:
            return ""
        if value is True:
            return "yes"
        if isinstance(value, tuple):
            return " ".join(map(str, value))
        return f"{value:.10g}" if isinstance(value, (int, float)) else str(value)


def _collected() -> dict[str, list[Owned]]:
    out: dict[str, list[Owned]] = {}
    kinds: tuple[tuple[type[Spec], str], ...] = (
        (Grid, ""),
        *((kind, "source") for kind in (ImageSpec, DigitsSpec, TeacherSpec)),
        *((kind, "net") for kind in (MLPSpec, VGGSpec)),
        *((kind, "") for kind in (MLPTraining, ConvTraining, Settings, ConvSettings)),
    )
    for kind, named in kinds:
        for field, annotated in get_type_hints(kind, include_extras=True).items():
            extras = getattr(annotated, "__metadata__", ())
            if option := next((extra for extra in extras if isinstance(extra, Option)), None):
                out.setdefault(named if field == "name" else field, []).append(Owned(kind, field, annotated, option))
    return dict(sorted(out.items(), key=lambda item: item[0] != "source"))


OPTIONS: dict[str, list[Owned]] = _collected()
"""Every option of a run: the fields that it stands for."""

BY_NET = {"mlp": (MLPSpec, MLPTraining, Settings), "vgg": (VGGSpec, ConvTraining, ConvSettings)}


def _by_net(owners: list[Owned]) -> dict[str, str]:
    """What each net's default is; empty for an option that has nothing to do with the net."""
    return {
        net: o.shown or "no" for net, kinds in BY_NET.items() for o in owners if o.kind in kinds and o.field != "name"
    }


def shown_default(owners: list[Owned]) -> str:
    """An option's default in words, net by net where they differ."""
    own = _by_net(owners)
    if len(set(own.values())) > 1 and not owners[0].option.default:
        return "; ".join(f"{net} {value}" for net, value in own.items())
    return owners[0].shown


def page() -> str:
    """The tables of docs/options.md."""
    first = ["| option | what it is | default | the paper |", "|---|---|---|---|"]
    second = ["| option | what it is | `mlp` | `vgg8`, `vgg11`, `vgg13` | the paper |", "|---|---|---|---|---|"]
    for name, owners in OPTIONS.items():
        what, paper = owners[0].help, owners[0].option.paper
        if own := _by_net(owners):
            given = dict(re.findall(r"(mlp|vgg) ([^;]+)", owners[0].option.default)) or own
            second.append(f"| `{name}` | {what} | {given.get('mlp', '-')} | {given.get('vgg', '-')} | {paper} |")
        else:
            first.append(f"| `{name}` | {what} | {owners[0].shown or '-'} | {paper} |")
    between = "What the net decides; a dash means that the net has no such option:"
    return "\n".join([*first, "", between, "", *second])


def _main(file: Path) -> None:
    text = file.read_text("utf-8")
    start, end = "<!-- options: python -m kaxis.spec.table -->", "<!-- end of options -->"
    file.write_text(
        re.sub(f"{re.escape(start)}.*{re.escape(end)}", lambda _: f"{start}\n{page()}\n{end}", text, flags=re.S),
        "utf-8",
    )


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
