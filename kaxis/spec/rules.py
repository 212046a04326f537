"""Learners that are code: a module of yours with a loss and logits, out of a Python file of yours.

A rule trains a net in its own way and is else like every learner: the same data, batch order and initial hidden layers
for one seed, the same records, pairing, resuming and figures. See docs/add_a_learner.md.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import runpy
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

from kaxis.errors import KaxisError, out_of_memory
from kaxis.io import read_bounded
from kaxis.spec.ladder import LADDER, rung
from kaxis.spec.learner import RULE_SETTINGS, SETTINGS, Settings
from kaxis.spec.learners import TABLE, Learner, register
from kaxis.spec.net import NetSpec

__all__ = [
    "LADDER",
    "RULES",
    "Rule",
    "RuleError",
    "authors_code",
    "load_rules",
    "placeholder",
    "remembered",
    "rule",
    "rule_config",
    "written_down",
]


@dataclass(frozen=True)
class Rule:
    """How to build a learner.

    Parameters
    ----------
    name : str
    build : callable
        ``build(start, **settings)`` gives a `torch.nn.Module` with ``loss(x, y_B)``, a scalar to be minimised that does
        its own detaching, and ``logits(x)``, a list of (B, K) tensors, one a head, which are summed to predict; x is
        (B, inputs), for conv nets (B, 3, S, S). ``groups()``, if there is one, gives lists of parameters, each with an
        optimizer and a clip of its own.
    settings : mapping of str to float
        Names that may be set in brackets, with their defaults.
    code : str
        Hash of the file and of those beside it that it imports: an edited rule is another learner.
    file : str
        Where it stands; empty for those of the package.
    mlp : bool
        Whether it is for MLPs alone.
    """

    name: str
    build: Callable[..., Any]
    settings: Mapping[str, float]
    code: str = ""
    file: str = ""
    mlp: bool = False


class RuleError(KaxisError):
    """What went wrong in a learner that is code, with the place in its author's file: its cells fail, the others go
    on.
    """


@contextmanager
def authors_code(made: Rule) -> Iterator[None]:
    """A block that runs a rule's own code: whatever it raises, even an exit, is told with the author's file and line.

    Raises
    ------
    RuleError
    """
    try:
        yield
    except (KeyboardInterrupt, MemoryError):
        raise
    except KaxisError as error:
        raise RuleError(str(error)) from None
    except BaseException as error:
        if out_of_memory(error):
            raise
        raise RuleError(_told(error, made.file, made.name)) from None


def _told(error: BaseException, file: str, name: str) -> str:
    """An exception in one line, with the last place in the author's file, or in a file beside it."""
    folder = os.path.dirname(os.path.abspath(file)) if file else ""
    frames = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if folder and os.path.abspath(f.filename).startswith(folder + os.sep)
    ]
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{os.path.basename(error.filename)}, line {error.lineno}"
    elif frames:
        where = f"{os.path.basename(frames[-1].filename)}, line {frames[-1].lineno}"
    else:
        where = os.path.basename(file) if file else f"learner '{name}'"
    try:
        what = f"exits with {error.code!r}" if isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
    except Exception:  # its own text raises
        what = type(error).__name__
    return f"{where}: {what.rstrip(': ')}"


RULES: dict[str, Rule] = {
    # A record names the code that made it: what a threshold means and where ff_bn normalises changed with version 0.2.
    name: Rule(name, rung(**kind), settings, "kaxis-2" if "threshold" in settings else "kaxis", mlp=True)
    for name, (kind, settings) in LADDER.items()
}
_loading: list[tuple[str, str]] = []
"""File and hash of the rules that are being loaded."""


def rule(name: str, **settings: float) -> Callable[[Any], Any]:
    """Class decorator: add a learner to the table under a name.

    Examples
    --------
    >>> @rule("mine", strength=0.5)
    ... class Mine: ...
    >>> from kaxis.spec.learners import parse
    >>> parse("mine[strength=0.25]").name
    'mine[strength=0.25]'
    >>> _ = TABLE.pop("mine"), RULES.pop("mine")
    """
    if not re.fullmatch(r"[\w-]+", name):
        raise KaxisError(f"rule '{name}': letters, digits, _ and - make a name")
    if clash := [key for key in settings if key in SETTINGS]:
        raise KaxisError(f"rule '{name}': setting '{clash[0]}' is one that every learner has")
    for key, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise KaxisError(f"rule '{name}': setting {key} = {value!r}: a finite number")
    if name in LADDER or (name in TABLE and TABLE[name].rule is None):
        raise KaxisError(f"rule '{name}': the table has a learner of that name")

    def add(build: Callable[..., Any]) -> Callable[..., Any]:
        file, code = _loading[-1] if _loading else ("", "")
        RULES[name] = Rule(name, build, settings, code, file)
        register(Learner(name, rule=tuple(settings)))
        return build

    return add


for _name, _made in RULES.items():
    register(Learner(_name, rule=tuple(_made.settings)))


_loaded: dict[tuple[str, str], set[str]] = {}
"""Files of rules that were run, by path and hash, with the names that they defined."""

_beside: dict[str, str] = {}
"""Modules that files of rules import from their own folders, with the folder."""


def load_rules(files: Iterable[str]) -> None:
    """Run files that define rules; one that was run as it is now is not run again.

    A file may import others that lie beside it; these are part of its hash.

    Raises
    ------
    KaxisError
        If a file cannot be read or does not run, or defines no rule.
    """
    for file in files:
        path = Path(file)
        try:
            code = hashlib.sha256(read_bounded(path)).hexdigest()[:16]
        except OSError as error:
            raise KaxisError(f"rules {file}: {error.strerror}") from None
        if RULES.keys() >= _loaded.get((str(path.resolve()), code), {""}):
            continue
        before, path_before = dict(RULES), list(sys.path)
        folder = str(path.resolve().parent)
        for name in [name for name, home in _beside.items() if home != folder]:
            sys.modules.pop(name, None)  # another folder's module of that name is not this one's
            del _beside[name]
        sys.path.insert(0, folder)
        _loading.append((str(path), code))
        try:
            runpy.run_path(str(path))
        except (KaxisError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise KaxisError(f"rules {file}: {_told(error, str(path), '')}") from None
        finally:
            _loading.pop()
            # A rule may import when it is built, so its folder stays, behind what was there.
            sys.path[:] = path_before if folder in path_before else [*path_before, folder]
        if before == RULES:
            raise KaxisError(f"rules {file}: defines none; decorate a class with @kaxis.rule('name')")
        mine = {name for name, made in RULES.items() if made is not before.get(name)}
        if siblings := _siblings(path, folder):
            _beside.update(dict.fromkeys(siblings, folder))
            whole = hashlib.sha256(code.encode())
            for name in sorted(siblings):
                whole.update(siblings[name].read_bytes())
            RULES.update({name: replace(RULES[name], code=whole.hexdigest()[:16]) for name in mine})
        _loaded[str(path.resolve()), code] = mine


def _siblings(path: Path, folder: str) -> dict[str, Path]:
    """Modules beside a file that it imports, directly or through each other, at the top or inside a function; this
    package is none.

    Read from the code, so that it does not matter what else has been imported.

    Raises
    ------
    KaxisError
        If another file has been imported under the name of one of them.
    """
    finder = ModuleFinder([folder], excludes=["kaxis"])
    finder.run_script(str(path))
    files = {name: getattr(module, "__file__", None) for name, module in finder.modules.items() if name != "__main__"}
    found = {name: Path(file) for name, file in files.items() if file}
    for name, file in found.items():
        there = getattr(sys.modules.get(name), "__file__", None)
        if there and os.path.realpath(there) != os.path.realpath(file):
            raise KaxisError(
                f"rules {path}: imports {file.name}, but {there} has been imported under that name; rename one"
            )
    return found


def rule_config(row: Learner, run: Settings, net: NetSpec, made: Rule | None) -> dict[str, Any]:
    """The ``learner`` part of a configuration: its settings, the run's that reach it, and the hash of its file.

    `made` is the rule, None where its file is not known.

    Raises
    ------
    KaxisError
        For a net that is not the rule's, or a setting that is no number.
    """
    base = row.name.partition("[")[0]
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


def written_down(learners: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Of those learners that files of rules define, what configurations hold of them: it outlives the files."""
    found = {name: RULES[name] for text in learners if (name := text.partition("[")[0]) in RULES}
    return {name: {"code": made.code, "settings": dict(made.settings)} for name, made in found.items() if made.file}


def _gone(*_: Any, **__: Any) -> Any:
    raise RuleError("its file of rules is not here")


def remembered(name: str, written: Mapping[str, Mapping[str, Any]]) -> Rule | None:
    """A rule as it was written down, else as it is here."""
    if name not in written:
        return RULES.get(name)
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
