"""Anybody's results: a tidy table with a row a run, made into the cube that the analyses read."""

from __future__ import annotations

import csv
import io
import math
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kaxis.errors import KaxisError, hint
from kaxis.io import read_stream

__all__ = ["cube_from_rows", "read_csv"]

NEEDED = ("K", "learner", "seed", "accuracy")
OPTIONAL = ("source", "train_accuracy", "chance")
DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas inside quotes"}
FAILED = ("failed", "diverged", "crashed", "error")


def read_csv(path: str | os.PathLike[str]) -> xr.Dataset:
    """The cube of a CSV file; see `cube_from_rows` for its columns.

    Spaces around a heading, empty rows and a byte order mark are passed over. Other columns may stand beside these.

    Raises
    ------
    KaxisError
        If the file cannot be read, or a row is not what it should be; the file's own line is named.
    """
    path = Path(path).expanduser()
    try:
        with io.StringIO(read_stream(path).decode("utf-8-sig"), newline="") as file:
            reader = csv.reader(file, strict=True)
            heads = [name.strip() for name in next((row for row in reader if any(map(str.strip, row))), [])]
            _check_heads(heads, str(path))
            lines: list[str] = []
            rows: list[dict[str, str]] = []
            for values in reader:
                if not any(map(str.strip, values)):
                    continue
                if len(values) != len(heads):
                    raise KaxisError(f"{path}, line {reader.line_num}: {len(values)} values for {len(heads)} columns")
                lines.append(f"{path}, line {reader.line_num}, row {len(lines) + 1}")
                rows.append(dict(zip(heads, values, strict=True)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise KaxisError(f"{path}: not a readable CSV file ({getattr(error, 'strerror', None) or error})") from None
    return _cube(rows, lines, str(path))


def _check_heads(heads: Sequence[str], where: str) -> None:
    """Every needed column, none of those that are read twice, and none that is passed over for how it is written."""
    for name in (*NEEDED, *OPTIONAL):
        if heads.count(name) > 1:
            raise KaxisError(f"{where}: the column '{name}' is there {heads.count(name)} times; which one counts?")
    if lacking := [c for c in NEEDED if c not in heads]:
        only = heads[0] if len(heads) == 1 else ""
        seems = next((name for mark, name in DELIMITERS.items() if mark in only), "")
        if seems:
            raise KaxisError(
                f"{where}: its columns seem to be separated by {seems}; write commas, and points in numbers"
            )
        near = [h for h in heads if h.lower() == lacking[0].lower()]
        raise KaxisError(
            f"{where}: has no column '{lacking[0]}', needed are {', '.join(NEEDED)}; it has "
            f"{', '.join(heads) or 'none'}" + (f" (rename '{near[0]}')" if near else "")
        )
    for name in OPTIONAL:
        if name not in heads and (near := [h for h in heads if _bare(h) == _bare(name)]):
            raise KaxisError(
                f"{where}: the column '{near[0]}' would not be read; rename it '{name}', or something else"
            )


def _bare(heading: str) -> str:
    return re.sub(r"[\W_]", "", heading).lower()


def cube_from_rows(rows: Iterable[Mapping[str, Any]], *, name: str = "table") -> xr.Dataset:
    """A cube from rows with ``K``, ``learner``, ``seed``, ``accuracy`` and, where known, ``source``,
    ``train_accuracy``, ``chance``.

    Parameters
    ----------
    rows : iterable of mapping, or a pandas DataFrame
        Accuracies are fractions of 1; an empty, ``nan``, ``None`` or ``failed`` one is a run that failed. Seeds are
        paired across learners by their number, K is any positive whole number. Chance is of the data: one for all
        learners of a seed, and 1/K where it is not given.
    name : str
        What errors call the table, and its source.

    Returns
    -------
    xarray.Dataset
        As `kaxis.store.cube.build_cube` makes it, as far as the table goes.

    Raises
    ------
    KaxisError
        For a missing column, a value that is no number or no fraction, a run that is there twice, or learners of one
        seed with other chances.

    Examples
    --------
    >>> cube = cube_from_rows([{"K": 5, "learner": n, "seed": 0, "accuracy": a} for n, a in (("A", 0.5), ("B", 0.75))])
    >>> float(cube.test_accuracy.sel(learner="B").squeeze() - cube.test_accuracy.sel(learner="A").squeeze())
    0.25
    """
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):
        _check_heads([str(c) for c in rows.columns], name)
        rows = rows.to_dict("records")
    listed = list(rows)
    return _cube(listed, [f"{name}, row {i}" for i in range(1, len(listed) + 1)], name)


def _cube(rows: Sequence[Mapping[str, Any]], places: Sequence[str], name: str) -> xr.Dataset:
    read = [_row(row, place) for row, place in zip(rows, places, strict=True)]
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
    index = [{value: i for i, value in enumerate(axis)} for axis in axes]
    for i, (key, row) in enumerate(zip(keys, read, strict=True)):
        at = tuple(positions[value] for positions, value in zip(index, key, strict=True))
        if status[at] != "missing":
            first = next(j for j, other in enumerate(keys) if other == key)
            apart = [c for c in rows[i] if c not in (*NEEDED, *OPTIONAL) and rows[i][c] != rows[first].get(c)]
            unread = (
                f"; they differ in {', '.join(map(str, apart))}: make that part of source or learner" if apart else ""
            )
            raise KaxisError(
                f"{places[i]}: {key[0]} K={key[1]} {key[2]} seed {key[3]} is there twice, first in "
                f"{places[first].removeprefix(name).lstrip(', ')}{unread}"
            )
        for k in numbers:
            numbers[k][at] = row[k]
        status[at], asked[at] = "failed" if math.isnan(row["test_accuracy"]) else "done", True
    numbers["chance"] = _chance(numbers["chance"], asked, axes, name)
    dims = ("source", "K", "learner", "seed")
    return xr.Dataset(
        {k: (dims, v) for k, v in numbers.items()}
        | {"status": (dims, status.astype(str)), "asked": (dims, asked)}
        | {k: (dims, np.full(shape, "")) for k in ("reason", "finished")},
        coords=dict(zip(dims, axes, strict=True)),
        attrs={"problems": [], "origin": "table"},
    )


def _chance(
    given: NDArray[np.float64], asked: NDArray[np.bool_], axes: Sequence[Any], name: str
) -> NDArray[np.float64]:
    """Of every run that is there, from (source, K, learner, seed): what any learner of its seed says, else 1/K."""
    low, high = np.fmin.reduce(given, axis=2), np.fmax.reduce(given, axis=2)
    for s, k, i in np.argwhere(high - low > 0):
        raise KaxisError(
            f"{name}: {axes[0][s]} K={axes[1][k]} seed {axes[3][i]}: chance is {low[s, k, i]:g} and {high[s, k, i]:g}; "
            "it is of the data, one for all learners of a seed"
        )
    guess = np.broadcast_to(1 / np.array(axes[1], float)[None, :, None], low.shape)
    return np.where(asked, np.where(np.isnan(low), guess, low)[:, :, None], math.nan)


def _row(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise KaxisError(f"{where}: {type(row).__name__}, not a mapping of column names to values")
    if lacking := [c for c in NEEDED if c not in row]:
        raise KaxisError(f"{where}: no '{lacking[0]}'; a row has {hint(lacking[0], [*NEEDED, *OPTIONAL])}")
    K, seed = (_whole(row[c], c, where) for c in ("K", "seed"))
    if K < 1:
        raise KaxisError(f"{where}: K = {K}: 1 or more")
    if _nothing(row["learner"]):
        raise KaxisError(f"{where}: no learner is named")
    return {
        "source": "" if _nothing(row.get("source")) else _text(row["source"], "source", where),
        "K": K,
        "learner": _text(row["learner"], "learner", where),
        "seed": seed,
        "test_accuracy": _fraction(row["accuracy"], "accuracy", where),
        "train_accuracy": _fraction(row.get("train_accuracy"), "train_accuracy", where),
        "chance": _fraction(row.get("chance"), "chance", where),
    }


def _nothing(value: object) -> bool:
    """Whether a cell of a table is empty, in one of the ways in which people and programs write that."""
    return value is None or str(value).strip().lower() in ("", "nan", "na", "n/a", "<na>", "none", "null", "nat")


def _text(value: object, column: str, where: str) -> str:
    text = unicodedata.normalize("NFC", str(value).strip())  # one name however its accents are typed
    if not text.isprintable():
        raise KaxisError(f"{where}: {column} = {text!r}: control characters")
    return text


def _whole(value: object, column: str, where: str) -> int:
    text = str(value).strip()
    if re.fullmatch(r"[+-]?\d{1,19}", text):
        number = int(text)
    else:
        exact = _number(text)
        if not exact.is_integer() or abs(exact) >= 2**53:
            beyond = exact.is_integer() or re.fullmatch(r"[+-]?\d+", text)
            raise KaxisError(
                f"{where}: {column} = {text}: a whole number" + (" that a float can hold" if beyond else "")
            )
        number = int(exact)
    if abs(number) >= 2**63 or (isinstance(value, float) and abs(value) >= 2**53):
        raise KaxisError(f"{where}: {column} = {text}: larger than is held exactly")
    return number


def _fraction(value: object, column: str, where: str) -> float:
    if _nothing(value) or (column != "chance" and str(value).strip().lower() in FAILED):
        return math.nan
    number = math.nan if isinstance(value, bool) else _number(str(value))
    if math.isnan(number):
        comma = ", with a point" if re.fullmatch(r"\s*\d*,\d+\s*", str(value)) else ""
        raise KaxisError(
            f"{where}: {column} = {value}: a fraction between 0 and 1{comma}; a failed run is written as an empty "
            "value or 'failed'"
        )
    if not 0 <= number <= 1:
        raise KaxisError(
            f"{where}: {column} = {value}: a fraction between 0 and 1" + (", not per cent" if 1 < number <= 100 else "")
        )
    return number


def _number(text: str) -> float:
    """NaN for what is none; Python reads 1_0 as 10, a table does not."""
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan
