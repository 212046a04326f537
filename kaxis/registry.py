"""Things that can be added: one module each in a folder of the package, or an entry point of an installed package."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from kaxis.errors import KaxisError, hint

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["Registry", "modules"]

T = TypeVar("T")


def modules(package: str) -> Iterator[ModuleType]:
    """The modules of a package, by name.

    Examples
    --------
    >>> [module.__name__ for module in modules("kaxis.reference")]
    []
    """
    for name in _names(package):
        yield importlib.import_module(f"{package}.{name}")


def _names(package: str) -> list[str]:
    return sorted(found.name for found in pkgutil.iter_modules(importlib.import_module(package).__path__))


class Registry(Mapping[str, T], Generic[T]):
    """What there is of one kind, by name; a name's code is imported when it is asked for.

    Parameters
    ----------
    kind : str
        What one is, in words.
    group : str
        Entry points of installed packages: their names, and what they give.
    package : str, optional
        Whose modules are there too: a module's name is its thing's.
    attribute : str, optional
        What a module gives.

    Examples
    --------
    >>> from kaxis.execute.backends import BACKENDS
    >>> sorted(BACKENDS)
    ['dask', 'processes', 'serial', 'slurm']
    """

    def __init__(self, kind: str, group: str, package: str = "", attribute: str = "") -> None:
        self.kind, self.group, self.package, self.attribute = kind, group, package, attribute

    def _own(self) -> list[str]:
        return _names(self.package) if self.package else []

    def _added(self) -> dict[str, EntryPoint]:
        from importlib.metadata import entry_points  # a command's help asks for none

        return {point.name: point for point in entry_points(group=self.group)}

    def __getitem__(self, name: str) -> T:
        """Raises `KaxisError` for a name that is not there, or code that does not import."""
        if name in self._own():
            return cast(T, getattr(importlib.import_module(f"{self.package}.{name}"), self.attribute))
        if point := self._added().get(name):
            try:
                return cast(T, point.load())
            except Exception as error:
                raise KaxisError(f"{self.kind} '{name}' ({point.value}): {type(error).__name__}: {error}") from None
        raise KaxisError(f"{self.kind} '{name}' is not {hint(name, self)}")

    def __contains__(self, name: object) -> bool:
        return name in self._own() or name in self._added()

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._own(), *sorted(self._added())]))

    def __len__(self) -> int:
        return len(list(iter(self)))
