"""What sources there are, known without loading any data: names, classes, label views; for sets of a user's own the
disk is asked.
"""

from __future__ import annotations

import importlib
import re
from types import ModuleType
from typing import Any

from kaxis.errors import KaxisError, hint
from kaxis.registry import Registry, modules
from kaxis.spec.info import SourceInfo

__all__ = [
    "ADDED",
    "CATALOG",
    "OWN",
    "SYNTHETIC",
    "canonical",
    "known",
    "n_classes",
    "own_sets",
    "set_of",
    "source_info",
]


SYNTHETIC = SourceInfo("synthetic", {}, "random ReLU teacher on standard normal inputs, any K")

CATALOG: dict[str, SourceInfo] = {SYNTHETIC.name: SYNTHETIC} | {
    made.info.name: made.info for family in modules("kaxis.sources.sets") for made in family.SETS
}
"""The package's own, one file a family in `kaxis.sources.sets`."""

ADDED: Registry[Any] = Registry("source", "kaxis.sets")
"""Those of installed packages: each an `kaxis.sources.info.ImageSet`."""

OWN = ("folder:", "npz:")
"""Prefixes of a user's own sets."""


def own_sets() -> ModuleType:
    """What reads a user's own sets; imported by name, since rooms below this one are not known here."""
    return importlib.import_module("kaxis.sources.own")


def canonical(name: str) -> str:
    """A source's one name: of a set of your own, whichever way its path is written; of another, its own."""
    return str(own_sets().canonical(name)) if name.startswith(OWN) else name


def set_of(label: str) -> str:
    """The set of a source's label, whose views and samples are no other sets; paths of own sets have slashes too.

    Examples
    --------
    >>> set_of("cifar100/coarse/pca:32"), set_of("folder:data/birds/merge:20/per:100")
    ('cifar100', 'folder:data/birds')
    """
    if not label.startswith(OWN):
        return label.split("/")[0]
    return re.sub(r"(/(merge|pca|size|classes|per|total|holdout):[^/]*)+$", "", label)


def known(name: str) -> bool:
    """Whether a source is of the package, of an installed one, or a user's own, whether or not its files are here."""
    return name in CATALOG or name.startswith(OWN) or name in ADDED


def source_info(name: str) -> SourceInfo:
    """A source by name; for ``folder:PATH`` and ``npz:PATH`` the disk is asked.

    Raises
    ------
    KaxisError
        For an unknown name, one that its package gives to something else, or an own set that is not there or not laid
        out as it should be.
    """
    if name in CATALOG:
        return CATALOG[name]
    if name.startswith(OWN):
        info = own_sets().inspect(name)
    elif name in ADDED:
        info = getattr(ADDED[name], "info", None)
    else:
        raise KaxisError(f"source '{name}' is not {hint(name, [*CATALOG, *ADDED, *(f'{p}PATH' for p in OWN)])}")
    if not isinstance(info, SourceInfo) or info.name != name:
        raise KaxisError(f"source '{name}': its package gives no ImageSet of that name with a load(name, folder, size)")
    return info


def n_classes(name: str, view: str) -> int | None:
    """Classes of an image set under a label view; None for the teacher, which has as many as asked for.

    Raises
    ------
    KaxisError
        For an unknown source or view, or ``merge:N`` with N outside 2 .. classes.

    Examples
    --------
    >>> n_classes("cifar100", "merge:20"), n_classes("cifar100", "fine"), n_classes("synthetic", "fine")
    (20, 100, None)
    """
    views = source_info(name).views
    if not views:
        return None
    if view in views:
        return views[view]
    if match := re.fullmatch(r"merge:(\d+)", view):
        groups = int(match[1])
        if not 2 <= groups <= views["fine"]:
            raise KaxisError(f"labels 'merge:{groups}': {name} can be merged into 2 to {views['fine']} groups")
        return groups
    raise KaxisError(f"labels '{view}': {name} has {hint(view, [*views, 'merge:N'])}")
