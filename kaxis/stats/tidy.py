"""Anybody's results: a tidy table with a row a run, made into the cube that the analyses read."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from kaxis.errors import KaxisError, hint

__all__ = ["cube_from_rows", "read_csv"]

NEEDED = ("K", "learner", "seed", "accuracy")
OPTIONAL = ("source", "train_accuracy", "chance")


def read_csv(path: Path) -> xr.Dataset:
    """The cube of a CSV file; see `cube_from_rows` for its columns.

    Raises
    ------
    KaxisError
        If the file cannot be read, or a row is not what it should be; the line is named.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            if lacking := [c for c in NEEDED if c not in columns]:
                raise KaxisError(
                    f"{path}: has no column '{lacking[0]}', needed are {', '.join(NEEDED)}; it has {', '.join(columns)}"
                )
            return cube_from_rows(list(reader), name=str(path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise KaxisError(f"{path}: not a readable CSV file ({getattr(error, 'strerror', None) or error})") from None


def cube_from_rows(rows: Iterable[Mapping[str, Any]], *, name: str = "table") -> xr.Dataset:
    """A cube from rows with ``K``, ``learner``, ``seed``, ``accuracy`` and, where known, ``source``, ``train_accuracy``, ``chance``.

    Parameters
    ----------
    rows : iterable of mapping
        Accuracies are fractions of 1; an empty or NaN one is a run that failed. Seeds are paired across learners by their number,
        K is any positive whole number. Chance, where it is not given, is 1/K.
    name : str
        What errors call the table, and its source.

    Returns
    -------
    xarray.Dataset
        As `kaxis.store.cube.build_cube` makes it, as far as the table goes.

    Raises
    ------
    KaxisError
        For a missing column, a value that is no number or no fraction, or a run that is there twice.

    Examples
    --------
    >>> cube = cube_from_rows([{"K": 5, "learner": n, "seed": 0, "accuracy": a} for n, a in (("A", 0.5), ("B", 0.75))])
    >>> float(cube.test_accuracy.sel(learner="B").squeeze() - cube.test_accuracy.sel(learner="A").squeeze())
    0.25
    """
    read = [_row(row, f"{name}, row {i}") for i, row in enumerate(rows, start=1)]
    if not read:
        raise KaxisError(f"{name}: no rows")
    source_name = Path(name).stem
    keys = [(r["source"] or source_name, r["K"], r["learner"], r["seed"]) for r in read]
    axes = [
        list(dict.fromkeys(sorted(column) if i in (1, 3) else column))
        for i, column in enumerate(zip(*keys, strict=True))
    ]
    shape = tuple(map(len, axes))
    numbers = {k: np.full(shape, math.nan) for k in ("test_accuracy", "train_accuracy", "chance")}
    status, asked = np.full(shape, "missing", dtype=object), np.zeros(shape, bool)
    for key, row in zip(keys, read, strict=True):
        at = tuple(axis.index(value) for axis, value in zip(axes, key, strict=True))
        if status[at] != "missing":
            raise KaxisError(f"{name}: {key[0]} K={key[1]} {key[2]} seed {key[3]} is there twice")
        for k in numbers:
            numbers[k][at] = row[k]
        status[at], asked[at] = "failed" if math.isnan(row["test_accuracy"]) else "done", True
    dims = ("source", "K", "learner", "seed")
    # A run of a grid that one learner has and another lacks was asked for of both.
    asked |= asked.any(axis=2, keepdims=True)
    return xr.Dataset(
        {k: (dims, v) for k, v in numbers.items()}
        | {"status": (dims, status.astype(str)), "asked": (dims, asked)}
        | {k: (dims, np.full(shape, "")) for k in ("reason", "finished")},
        coords=dict(zip(dims, axes, strict=True)),
        attrs={"problems": [], "origin": "table"},
    )


def _row(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    if lacking := [c for c in NEEDED if c not in row]:
        raise KaxisError(f"{where}: no '{lacking[0]}'; a row has {hint(lacking[0], [*NEEDED, *OPTIONAL])}")
    K, seed = (_whole(row[c], c, where) for c in ("K", "seed"))
    if K < 1:
        raise KaxisError(f"{where}: K = {K}: 1 or more")
    return {
        "source": str(row.get("source") or ""),
        "K": K,
        "learner": str(row["learner"]).strip(),
        "seed": seed,
        "test_accuracy": _fraction(row["accuracy"], "accuracy", where),
        "train_accuracy": _fraction(row.get("train_accuracy"), "train_accuracy", where),
        "chance": 1 / K if row.get("chance") in (None, "") else _fraction(row["chance"], "chance", where),
    }


def _whole(value: object, column: str, where: str) -> int:
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not number.is_integer():
        raise KaxisError(f"{where}: {column} = {value}: a whole number")
    return int(number)


def _fraction(value: object, column: str, where: str) -> float:
    if value is None or str(value).strip().lower() in ("", "nan", "na"):
        return math.nan
    try:
        number = float(str(value))
    except ValueError:
        raise KaxisError(f"{where}: {column} = {value}: a fraction between 0 and 1") from None
    if not 0 <= number <= 1:
        raise KaxisError(
            f"{where}: {column} = {value}: a fraction between 0 and 1" + (", not per cent" if 1 < number <= 100 else "")
        )
    return number
