"""Flags that several verbs share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from kaxis.errors import KaxisError

if TYPE_CHECKING:
    import xarray as xr

    from kaxis.store.records import Store

__all__ = ["Json", "StorePath", "Where", "conditions", "open_cube", "open_store"]

StorePath = Annotated[Path | None, Parameter(name="--store", help="folder of records; $KAXIS_STORE, else runs/")]
Where = Annotated[
    list[str] | None, Parameter(name="--where", help="only records with these values: --where source=digits lr=0.001")
]
Json = Annotated[bool, Parameter(name="--json", help="one JSON object on stdout")]


def open_store(path: Path | None) -> Store:
    from kaxis.store.records import Store

    return Store(path or os.environ.get("KAXIS_STORE") or "runs")


def conditions(where: list[str] | None) -> dict[str, str]:
    """``key=value`` items as a mapping."""
    out = {}
    for item in where or []:
        key, equals, value = item.partition("=")
        if not equals:
            raise KaxisError(f"--where {item}: write key=value, e.g. source=digits")
        out[key] = value
    return out


def open_cube(path: Path | None, where: list[str] | None) -> xr.Dataset:
    """The cube of a store that exists; files that were skipped are named on stderr."""
    import warnings

    from kaxis.store.cube import load_cube

    store = open_store(path)
    if not store.path.is_dir():
        raise KaxisError(f"no store at {store.path}; fill one with, for example: kaxis run digits --K 3 5 10")
    cube = load_cube(store, conditions(where))
    for problem in cube.attrs["problems"]:
        warnings.warn(problem, stacklevel=2)
    return cube
