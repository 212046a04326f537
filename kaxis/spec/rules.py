"""Learners that are code: a module of yours with a loss and logits, out of a Python file of yours.

A rule trains a net in its own way and is else like every learner: the same data, batch order and initial hidden layers
for one seed, the same records, pairing, resuming and figures. See docs/add_a_learner.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import math
import os
import re
import runpy
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

from kaxis.errors import KaxisError, told
from kaxis.io import read_bounded
from kaxis.spec.coded import CODED, LADDER, Coded, Setting
from kaxis.spec.learner import SETTINGS, Switches
from kaxis.spec.learners import TABLE, Learner, register
from kaxis.spec.rule_code import RuleError, author_told, authors_code, own_defaults
from kaxis.spec.table import OPTIONS

__all__ = [
    "BUILT_IN",
    "RULES",
    "Rule",
    "RuleError",
    "authors_code",
    "find_rule",
    "load_rules",
    "rule",
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
        (B, inputs), for conv nets (B, 3, S, S). ``update(x, y_B)``, in the place of ``loss``, writes ``.grad`` itself,
        which the optimizer then steps by, or changes parameters itself; it may return a number to show. ``groups()``,
        if there is one, gives lists of parameters, each with an optimizer and a clip of its own.
    settings : mapping of str to float
        Names that may be set in brackets, with their defaults.
    code : str
        Hash of the file and of those beside it that it imports, or of the script: an edited rule is another learner.
    file : str
        Where it stands; empty for those of the package and of a script or session.
    mlp : bool
        Whether it is for MLPs alone.
    grouped : bool
        Whether it works in K groups of channels, of which there must be as many.
    ranges : mapping of str to Setting
        What its settings may be; one of yours says so itself.
    about : str
        What it is, in a line: of one of yours the first of its docstring.
    """

    name: str
    build: Callable[..., Any]
    settings: Mapping[str, float]
    code: str = ""
    file: str = ""
    mlp: bool = False
    grouped: bool = False
    ranges: Mapping[str, Setting] = field(default_factory=dict)
    about: str = ""


def _built_in(name: str, one: Coded) -> Rule:
    defaults = {key: setting.default for key, setting in one.settings.items()}
    return Rule(
        name, one.build, defaults, one.code, mlp=one.mlp, grouped=one.grouped, ranges=one.settings, about=one.about
    )


BUILT_IN: dict[str, Rule] = {name: _built_in(name, one) for name, one in CODED.items()}
RULES: dict[str, Rule] = dict(BUILT_IN)
"""By name, the one that was added last."""

RESERVED = {"K", "seed", "learner", "name", "start", "self", "rule", "code", "settings", "candidates"} | {
    f.name for f in fields(Switches)
}
"""Names of a configuration's own that no option has."""

_loading: list[tuple[str, str]] = []
"""File and hash of the rules that are being loaded."""


def rule(name: str, **settings: float) -> Callable[[Any], Any]:
    """Class decorator: add a learner to the table under a name.

    Raises
    ------
    KaxisError
        For a name or setting that is taken, or a setting that is no finite number.

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
    if clash := [key for key in settings if key in OPTIONS or key in RESERVED]:
        raise KaxisError(f"rule '{name}': setting '{clash[0]}' has a name that a configuration has; take another")
    for key, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise KaxisError(f"rule '{name}': setting {key} = {value!r}: a finite number")
    # A file of rules may use a name of the package's own, since a sweep names the file; a session has no such word.
    if name in LADDER or (name in BUILT_IN and not _loading) or (name in TABLE and TABLE[name].rule is None):
        raise KaxisError(f"rule '{name}': the table has a learner of that name")

    def add(build: Callable[..., Any]) -> Callable[..., Any]:
        file, code = _loading[-1] if _loading else ("", _session_code(build))
        about = (inspect.getdoc(build) or "").partition("\n")[0] if build.__doc__ else ""  # no doc of its bases
        _add(Rule(name, build, settings, code, file, about=about))
        return build

    return add


def _session_code(build: Callable[..., Any]) -> str:
    """Of a rule out of a script the hash of that file, of one typed in that of its own text; without either it is
    another one in every session.
    """
    with contextlib.suppress(OSError, TypeError):
        file = inspect.getsourcefile(build)
        text = Path(file).read_bytes() if file and os.path.isfile(file) else inspect.getsource(build).encode()
        return hashlib.sha256(text).hexdigest()[:16]
    return uuid.uuid4().hex[:16]


def _add(made: Rule) -> None:
    RULES[made.name] = made
    own = BUILT_IN[made.name].settings if made.name in BUILT_IN else {}  # which goes on being known by its settings
    register(Learner(made.name, rule=tuple(dict.fromkeys([*made.settings, *own])), about=made.about))


for _made in BUILT_IN.values():
    _add(_made)


_loaded: dict[tuple[str, str], dict[str, Rule]] = {}
"""Files of rules that were run, by path and hash, with what they defined."""

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
        with told(f"rules {file}"):
            code = hashlib.sha256(read_bounded(path)).hexdigest()[:16]
        if (known := _loaded.get((str(path.resolve()), code))) and RULES.keys() >= known.keys():
            for made in known.values():  # another file may have taken a name since
                _add(made)
            continue
        before, table, path_before, modules = dict(RULES), dict(TABLE), list(sys.path), set(sys.modules)
        folder = str(path.resolve().parent)
        for name in [name for name, home in _beside.items() if home != folder]:
            sys.modules.pop(name, None)  # another folder's module of that name is not this one's
            del _beside[name]
        sys.path.insert(0, folder)
        _loading.append((str(path.resolve()), code))
        try:
            with own_defaults(f"rules {file}"):
                runpy.run_path(str(path))
        except BaseException as error:
            _put_back(before, table, modules, folder)
            if isinstance(error, (KaxisError, KeyboardInterrupt)):
                raise
            raise KaxisError(f"rules {file}: {author_told(error, str(path), '')}") from None
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
        _loaded[str(path.resolve()), code] = {name: RULES[name] for name in mine}


def _put_back(rules: dict[str, Rule], table: dict[str, Learner], modules: set[str], folder: str) -> None:
    """Nothing of a file that failed stays: neither what it had defined by then nor what it imported from its folder."""
    for held, was in ((RULES, rules), (TABLE, table)):
        held.clear()
        held.update(was)  # type: ignore[arg-type]
    for name in sys.modules.keys() - modules:
        file = getattr(sys.modules[name], "__file__", None)
        if file and os.path.dirname(os.path.realpath(file)).startswith(os.path.realpath(folder)):
            del sys.modules[name]


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
    try:
        finder.run_script(str(path))
    except Exception:  # of folders that are no packages it makes none
        raise KaxisError(
            f"rules {path}: what it imports cannot be followed; a folder of modules beside it needs an __init__.py"
        ) from None
    files = {name: getattr(module, "__file__", None) for name, module in finder.modules.items() if name != "__main__"}
    found = {name: Path(file) for name, file in files.items() if file}
    for name, file in found.items():
        there = getattr(sys.modules.get(name), "__file__", None)
        if there and os.path.realpath(there) != os.path.realpath(file):
            raise KaxisError(
                f"rules {path}: imports {file.name}, but {there} has been imported under that name; rename one"
            )
    return found


def find_rule(name: str, code: str) -> Rule | None:
    """The rule of a name whose code has this hash, if it is here."""
    return next((r for r in (RULES.get(name), BUILT_IN.get(name)) if r is not None and r.code == code), None)
