"""What was read of a store's records, in one file beside them, so that they need not all be read again.

Never the truth: a row is believed only for a file of its size and time, the whole only if its digest agrees, and
without it nothing is lost but time. Its columns are the records' fields, without their curves and outcomes; what many
records share (configurations, versions) stands once.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from kaxis.io import read_bounded, seal, unseal, whole_file

__all__ = ["Index", "Stamp", "stamp_of"]

VERSION = 2
FEWEST = 1_000
"""Records that are worth an index."""

SHARE = 0.02
"""Of the records that must be new to it for the file to be written anew."""

SETTLED = 2.0
"""Seconds: a file that is younger may change again within one tick of its clock."""

LEFT = ("curves", "test_right")
MOST = 2**30
"""Bytes of the largest index that is read: a few million records."""


class Stamp(NamedTuple):
    """By what a file is known."""

    size: int
    time: int
    changed: int = 0
    """When the file took its place: one of the same size and date may have."""


class Index:
    """Of one store.

    Parameters
    ----------
    file : Path
    form : int
        Of the records.
    """

    def __init__(self, file: Path, form: int) -> None:
        self.file = file
        self._by = [VERSION, form, version("kaxis")]  # another version of the package may refuse what this one took
        self._rows: dict[str, tuple[Stamp, dict[str, Any]]] = {}
        self._new = 0
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, IndexError):
            payload = unseal(read_bounded(file, MOST))
            self._rows = _rows(json.loads(payload), self._by) if payload else {}

    def get(self, name: str, stamp: Stamp) -> dict[str, Any] | None:
        """The record of a file of this name and stamp, without curves and outcomes."""
        known, record = self._rows.get(name, (None, None))
        return dict(record) if record is not None and known == stamp else None

    def add(self, name: str, stamp: Stamp, record: Mapping[str, Any]) -> None:
        if time.time() - stamp.time / 1e9 > SETTLED:
            self._rows[name] = stamp, {k: v for k, v in record.items() if k not in LEFT}
            self._new += 1

    def keep(self, names: Iterable[str]) -> None:
        """Write the rows of the files that are there, if it is worth it; where it cannot be, it is not."""
        rows = {name: self._rows[name] for name in names if name in self._rows}
        if len(rows) >= FEWEST and self._new > SHARE * len(rows):
            with contextlib.suppress(OSError), whole_file(self.file) as part:
                part.write_bytes(seal(json.dumps({"by": self._by, **_columns(rows)}, separators=(",", ":")).encode()))


def _columns(rows: Mapping[str, tuple[Stamp, dict[str, Any]]]) -> dict[str, Any]:
    """Each field a list; of a field that is a table each of its own, but for those that many records share."""
    shared: dict[str, int] = {}
    absent = object()
    columns: dict[str, list[Any]] = {}

    def put(path: str, i: int, value: Any) -> None:
        column = columns.setdefault(path, [])
        column += [absent] * (i - len(column))
        if isinstance(value, (dict, list)):
            value = [shared.setdefault(json.dumps(value), len(shared))]
        column.append(value)

    for i, (_, record) in enumerate(rows.values()):
        for field, value in record.items():
            if isinstance(value, dict):
                put(f"{field}/", i, None)
                for key, one in value.items():
                    put(f"{field}/{key}", i, one)
            else:
                put(field, i, value)
    packed = {}
    for path, column in columns.items():
        column += [absent] * (len(rows) - len(column))
        there = [i for i, value in enumerate(column) if value is not absent]
        whole = len(there) == len(rows)
        packed[path] = {"rows": None if whole else there, "values": [column[i] for i in there]}
    stamps = {field: [getattr(stamp, field) for stamp, _ in rows.values()] for field in Stamp._fields}
    files = {"name": list(rows), **stamps}
    return {"files": files, "shared": list(shared), "columns": packed}


def _rows(content: Mapping[str, Any], by: list[Any]) -> dict[str, tuple[Stamp, dict[str, Any]]]:
    if content["by"] != by:
        return {}
    shared = [json.loads(text) for text in content["shared"]]
    files = content["files"]
    records: list[dict[str, Any]] = [{} for _ in files["name"]]
    for path, column in content["columns"].items():
        field, table, key = path.partition("/")
        values = [shared[v[0]] if type(v) is list else v for v in column["values"]]
        into = records if column["rows"] is None else [records[i] for i in column["rows"]]
        if table and not key:
            for record in into:
                record[field] = {}
        elif table:
            for record, value in zip(into, values, strict=True):
                record[field][key] = value
        else:
            for record, value in zip(into, values, strict=True):
                record[field] = value
    stamps = map(Stamp, *(files[field] for field in Stamp._fields))
    return dict(zip(files["name"], zip(stamps, records, strict=True), strict=True))


def stamp_of(entry: os.DirEntry[str]) -> Stamp:
    state = entry.stat()
    return Stamp(state.st_size, state.st_mtime_ns, state.st_ctime_ns)
