"""The store: one JSON file a cell, named by the hash of its configuration, written whole or not at all.

No database and no lock, so any number of processes on any file system may share it.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from kaxis.errors import KaxisError, told
from kaxis.io import DAY, PART, file_name, read_bounded, sweep, text_digest, write_text
from kaxis.spec.cell import FORMAT, Cell
from kaxis.spec.study import Study
from kaxis.store.claims import CLAIM
from kaxis.store.index import Index, stamp_of
from kaxis.store.schema import fault

__all__ = ["Store"]

RECORD = re.compile(r"[0-9a-f]{20}\.json")
FOLDERS = ("cells", "studies", "weights", "checkpoints", "claims")


class Store:
    """A folder of records (``cells/``) and of what was asked for (``studies/``).

    Parameters
    ----------
    path : path-like
        Made when first written to.

    Attributes
    ----------
    problems : list of str
        Files that were skipped by the last `records`, and why.
    damaged : dict of str to Exception
        Of these the records whose content is not to be believed, by the cell's id; ``.cell`` where the configuration is
        whole.
    undigested : int
        Records of older versions among the last `records`, which carry no digest of their content.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        self.problems: list[str] = []
        self.damaged: dict[str, Damaged] = {}
        self.undigested = 0
        if self.path.exists() and not self.path.is_dir():
            raise KaxisError(f"store {self.path} is a file; name a folder")

    def prepare(self, *, weights: bool = False) -> None:
        """Make the folders, that of weights if they are to be kept, and prove that they can be written.

        Raises
        ------
        KaxisError
            If they cannot.
        """
        with told(f"store {self.path} cannot be written"):
            for name in ("cells", "studies", *(("weights",) if weights else ())):
                (self.path / name).mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=self.path / name) as probe:
                    probe.write(b"kaxis")
            for name in FOLDERS:
                sweep(self.path / name)
            sweep(self.path)
            sweep(self.path / "checkpoints", 30 * DAY, "*.pt")  # of stacks that nobody goes on with
            sweep(self.path / "claims", name=f"*{CLAIM}")  # a living one's time is renewed

    def _file(self, cell_id: str) -> Path:
        return self.path / "cells" / f"{cell_id}.json"

    def weights(self, cell: Cell) -> Path:
        """Where what a cell's networks predict with is kept, if it was asked for."""
        return self.path / "weights" / f"{cell.id}.pt"

    def name(self, record: Mapping[str, Any]) -> Path:
        """The file of a record."""
        return self._file(Cell(record["config"]).id)

    def has(self, cell: Cell) -> bool:
        """Whether the cell is finished or failed, with a whole record to show for it."""
        return self.read(cell) is not None

    def exists(self, cell: Cell) -> bool:
        """Whether there is a file, whatever it holds: for a first look at many."""
        return self._file(cell.id).exists()

    def check_place(self, cell: Cell) -> None:
        """KaxisError where something stands that no record can take the place of."""
        file = self._file(cell.id)
        if file.exists() and not file.is_file():
            raise KaxisError(f"{file}: no regular file, and it has the name of the record of {cell}; move it away")

    def read(self, cell: Cell) -> dict[str, Any] | None:
        """The cell's record, or None without one that is whole and right."""
        try:
            return _read(self._file(cell.id))
        except Damaged:
            return None

    def write(self, cell: Cell, result: Mapping[str, Any]) -> None:
        """Keep a cell's record, with a digest of its content; a reader sees the old file, the new one, or none.

        A record that replaces another keeps the date of the first, which is what a plan of analysis is older than.
        """
        old = self.read(cell)
        before = old["provenance"] if old else {}
        date = before.get("first_finished", before.get("finished"))
        first = {"first_finished": date} if date is not None else {}
        made_by = {k: v for k, v in {**result["provenance"], **first}.items() if k != "digest"}
        text = json.dumps(
            {"config": cell.config, **result, "provenance": {**made_by, "digest": ""}}, indent=1, allow_nan=False
        )
        head, tail = text.rsplit('""', 1)  # the digest is the last thing in it
        _write(self._file(cell.id), f'{head}"{text_digest(text.encode())}"{tail}')

    def records(self, *, curves: bool = True, outcomes: bool = True) -> Iterator[dict[str, Any]]:
        """All records that are whole and right, in the order of their names; others go to `problems` and `damaged`.

        Parameters
        ----------
        curves, outcomes : bool
            Without them a record takes a third of the memory, and one that was read before need not be read again
            (`kaxis.store.index`).

        Yields
        ------
        dict
            A record as it was written.
        """
        self.problems, self.damaged, self.undigested = [], {}, 0
        folder = self.path / "cells"
        index = None if curves or outcomes else Index(self.path / "index.json", FORMAT)
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name) if folder.is_dir() else []
        for entry in entries:
            name = entry.name
            if name.endswith(PART):  # being written, or left by a run that was killed
                continue
            if not RECORD.fullmatch(name):
                self.problems.append(f"{folder / name}: not named as a record, skipped")
                continue
            try:
                record = self._known(index, entry)
            except Damaged as damaged:
                self.problems.append(f"{folder / name}: {damaged}, skipped")
                self.damaged[name[:-5]] = damaged
                continue
            if record is None:  # gone since the folder was read
                continue
            self.undigested += "digest" not in record["provenance"]
            if not curves:
                record.pop("curves", None)
            if not outcomes:
                record.pop("test_right", None)
            yield record
        if index:
            index.keep(entry.name for entry in entries)

    def _known(self, index: Index | None, entry: os.DirEntry[str]) -> dict[str, Any] | None:
        """A record, from the index where it has it."""
        if index is None or not entry.is_file(follow_symlinks=False):
            return _read(Path(entry.path))
        try:
            stamp = stamp_of(entry)
        except OSError:  # gone since the folder was read, or not to be looked at
            return _read(Path(entry.path))
        if (known := index.get(entry.name, stamp)) is not None:
            return known
        record = _read(Path(entry.path))
        if record is not None:
            index.add(entry.name, stamp, record)
        return record

    def note_study(self, study: Study) -> None:
        """Keep what was asked for, with the plan and its date; asking again changes nothing."""
        spec = {"name": study.name, **study.as_dict()}
        if rules := study.written_rules:  # a name alone would stand for whatever its file says later
            spec["rules"] = rules
        digest = sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:12]
        name = file_name(study.name)  # a study of folder:PATH is called so
        file = self.path / "studies" / f"{name}-{digest}.json"
        if not file.exists():
            made = {**spec, "created": datetime.now(UTC).isoformat(timespec="seconds")}
            _write(file, json.dumps(made, indent=1, allow_nan=False))

    def studies(self) -> list[tuple[Study, str]]:
        """What was asked for, oldest first, each with its date (ISO, UTC); files that are none go to `problems`."""
        return sorted(((study, created) for _, study, created in self.study_files()), key=lambda pair: pair[1])

    def study_files(self) -> Iterator[tuple[Path, Study, str]]:
        """The files of `studies`, by name, with what they say."""
        for file in sorted((self.path / "studies").glob("*.json")):
            try:
                spec = _json(read_bounded(file).decode())
                study = Study.restored(str(spec["name"]), spec)
                study.cells()  # every learner in it is known
                yield file, study, str(spec["created"])
            except RecursionError:
                self.problems.append(f"{file}: not a study of this version, skipped (nested too deeply)")
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                why = (
                    f"no '{error.args[0]}'"
                    if isinstance(error, KeyError)
                    else getattr(error, "strerror", None) or error
                )
                self.problems.append(f"{file}: not a study of this version, skipped ({why})")


class Damaged(Exception):
    """A record that is not to be believed: what is wrong, and whose it is where that is known."""

    def __init__(self, why: str, cell: Cell | None = None) -> None:
        super().__init__(why)
        self.cell = cell


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no number")


_json = json.JSONDecoder(parse_constant=_refuse_constant).decode


def _read(file: Path) -> dict[str, Any] | None:
    """The record in a file; None where there is none.

    Raises
    ------
    Damaged
        If there is a file and it does not hold what a record of its name must.
    """
    try:
        raw = read_bounded(file)
        record = json.loads(raw.decode())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Damaged(f"not a whole kaxis record ({error.strerror or error})") from None
    except RecursionError:
        raise Damaged("not a whole kaxis record (nested too deeply)") from None
    except ValueError as error:
        raise Damaged(f"not a whole kaxis record ({error})") from None
    try:
        cell = Cell(record["config"])
        if cell.id != file.stem or not str(cell):
            raise Damaged("not a whole kaxis record (its configuration is another one than its name says)")
        if cell.config["format"] != FORMAT:
            raise Damaged(f"a record of format {cell.config['format']}, this version reads {FORMAT}")
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise Damaged("not a whole kaxis record (no configuration)") from None
    if wrong := fault(record):
        raise Damaged(f"damaged, {wrong}", None if wrong.startswith("config") else cell)
    if b"\\ud" in raw and _no_text(record):
        raise Damaged("damaged, a text in it is none", None)
    digest = record["provenance"].get("digest")
    if digest is not None and digest != text_digest(raw, str(digest)):
        raise Damaged("damaged, its content is not what its digest says", cell)
    return dict(record)


def _no_text(record: Mapping[str, Any]) -> bool:
    """Whether half a character stands somewhere, which no file can take."""
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _write(file: Path, text: str) -> None:
    with told(f"store {file}", exit_code=1):
        write_text(file, text)
