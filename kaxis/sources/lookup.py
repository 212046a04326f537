"""What is known of a source by its name, sets of a user's own included, for which the disk is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kaxis.errors import KaxisError, hint
from kaxis.sources.catalog import ADDED, CATALOG, OWN, SETS
from kaxis.sources.info import ImageSet, SourceInfo
from kaxis.sources.knobs import available_classes

__all__ = ["canonical", "image_set", "image_sets", "known", "n_classes", "source_info"]


def canonical(name: str) -> str:
    """A source's one name: of a set of your own, whichever way its path is written; of another, its own."""
    if not name.startswith(OWN):
        return name
    from kaxis.sources import own

    return own.canonical(name)


def source_info(name: str) -> SourceInfo:
    """A source by name; for ``folder:PATH`` and ``npz:PATH`` the disk is asked.

    Raises
    ------
    KaxisError
        For an unknown name, or an own set that is not there or not laid out as it should be.
    """
    if name.startswith(OWN):
        from kaxis.sources.own import inspect

        return inspect(name)
    return CATALOG[name] if name in CATALOG else image_set(name).info


def known(name: str) -> bool:
    """Whether a source is of the package, of an installed one, or a user's own, whether or not its files are here."""
    return name in CATALOG or name.startswith(OWN) or name in ADDED


def image_set(name: str) -> ImageSet:
    """A set of the package, or of an installed one.

    Raises
    ------
    KaxisError
        For an unknown name, or one that its package gives to something else.
    """
    if name in SETS:
        return SETS[name]
    if name not in ADDED:
        raise KaxisError(f"source '{name}' is not {hint(name, [*CATALOG, *ADDED, *(f'{p}PATH' for p in OWN)])}")
    made = ADDED[name]
    if not isinstance(made, ImageSet) or made.info.name != name or not made.load:
        raise KaxisError(f"source '{name}': its package gives no ImageSet of that name with a load(name, folder, size)")
    return made


def image_sets() -> Iterator[ImageSet]:
    """All of them, the package's first."""
    yield from SETS.values()
    yield from (image_set(name) for name in ADDED if name not in SETS)


def n_classes(name: str, view: str) -> int | None:
    """Classes of a source under a label view; None for a source with as many as asked for.

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
    if not views:  # the teacher's views: `kaxis.sources.knobs`
        return available_classes(view, None)
    if view in views:
        return views[view]
    if match := re.fullmatch(r"merge:(\d+)", view):
        groups = int(match[1])
        if not 2 <= groups <= views["fine"]:
            raise KaxisError(f"labels 'merge:{groups}': {name} can be merged into 2 to {views['fine']} groups")
        return groups
    raise KaxisError(f"labels '{view}': {name} has {hint(view, [*views, 'merge:N'])}")
