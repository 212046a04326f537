"""Stores that travel: one as a single file, and several into one."""

from __future__ import annotations

import contextlib
import gzip
import re
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kaxis.errors import KaxisError, told
from kaxis.io import LIMIT, read_bounded, whole_file, write_bytes
from kaxis.spec.cell import Cell
from kaxis.store.records import Store

__all__ = ["Merged", "merge", "opened", "pack"]

PARTS = ("", "tried/")
"""A store, and the one in it of its tuned cells' candidates."""

MEMBER = re.compile(r"(tried/)?(cells/[0-9a-f]{20}\.json|studies/[^/\\]{1,255}\.json)")

ELSEWHERE = re.compile(r".+/cells/[0-9a-f]{20}\.json")
"""A record in an archive that was made otherwise."""


def pack(store: Store, file: Path) -> int:
    """Write the records and studies of a store as one compressed tar file; returns how many records.

    Damaged and foreign files stay behind, so do weights and checkpoints.
    """
    packed = 0
    with (
        told(str(file), exit_code=1),
        whole_file(file) as part,
        tarfile.open(part, "w:gz", dereference=True) as made,
    ):
        for prefix in PARTS:
            place = Store(store.path / prefix)
            for record in place.records(curves=False, outcomes=False):
                made.add(place.name(record), f"{prefix}cells/{place.name(record).name}", recursive=False)
                packed += not prefix
            for study, *_ in place.study_files():
                made.add(study, f"{prefix}studies/{study.name}", recursive=False)
    return packed


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Store]:
    """A store: a folder, or a file that `pack` wrote.

    Raises
    ------
    KaxisError
        If it is neither.
    """
    if path.is_dir():
        if not (path / "cells").is_dir():
            raise KaxisError(f"{path}: no store, it has no folder cells/")
        yield Store(path)
        return
    with tempfile.TemporaryDirectory(prefix="kaxis-") as folder:
        elsewhere = []
        try:
            with gzip.open(path) as whole:  # to its end, where its sum stands: damaged it may look shorter
                while whole.read(2**20):
                    pass
            with tarfile.open(path, "r:gz") as packed:
                for member in packed:
                    # Nothing but what a store has, by name: no link, no path that leads out.
                    name = member.name.removeprefix("./")
                    if not (member.isreg() and member.size <= LIMIT and MEMBER.fullmatch(name)):
                        elsewhere += [name] if member.isreg() and ELSEWHERE.fullmatch(name) else []
                        continue
                    content = packed.extractfile(member)
                    target = Path(folder, name)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content.read() if content else b"")
        except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
            why = getattr(error, "strerror", None) or error
            raise KaxisError(f"{path}: no store, and no file of kaxis store pack ({why})") from None
        if elsewhere and not (Path(folder) / "cells").is_dir():
            raise KaxisError(f"{path}: no file of kaxis store pack, in which records are cells/ID.json; {elsewhere[0]}")
        yield Store(folder)


@dataclass
class Merged:
    """What a merge did: records taken, records that were there to the same numbers, and what stands against what."""

    taken: int = 0
    same: int = 0
    conflicts: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def merge(store: Store, other: Store) -> Merged:
    """Take the records and studies of `other` that `store` lacks. Where both have one with other numbers, its own
    stays and the conflict is named.
    """
    done = Merged()
    for prefix in PARTS:
        ours, theirs = Store(store.path / prefix), Store(other.path / prefix)
        if not (theirs.path / "cells").is_dir():
            continue
        ours.prepare()
        for record in theirs.records():
            cell = Cell(record["config"])
            own = ours.read(cell)
            if own is None and ours.exists(cell):
                done.problems.append(f"{ours.name(record)}: damaged, left as it is; remove it to take the other's")
            elif own is None:
                _copy(theirs.name(record), ours.name(record))
                done.taken += 1
            elif apart := _apart(own, record):
                done.conflicts.append(f"{cell}: {apart}")
            else:
                done.same += 1
        for study, *_ in theirs.study_files():
            if not (target := ours.path / "studies" / study.name).exists():
                _copy(study, target)
        done.problems += theirs.problems
    return done


def _copy(source: Path, target: Path) -> None:
    with told(str(target), exit_code=1):
        write_bytes(target, read_bounded(source))


def _apart(own: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """How two records of one cell differ, but for what made them; nothing where they do not."""
    for name in ("status", "reason", "data", "metrics", "curves", "test_right", "counts", "tuning"):
        if name == "test_right" and not (name in own and name in other):
            continue  # records of before version 0.2 have none
        if (a := own.get(name)) != (b := other.get(name)):
            made = [r["provenance"].get("backend") or "?" for r in (own, other)]
            key = next((k for k in a if a[k] != (b or {}).get(k)), "") if isinstance(a, dict) else ""
            values = f"{_short((a or {})[key])} here, {_short((b or {}).get(key))} there" if key else "not the same"
            return f"{name}{f'.{key}' if key else ''}: {values} (made on {made[0]} and on {made[1]})"
    return ""


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 30 else f"{text[:27]}..."
