"""The store: one JSON file a cell, named by the hash of its configuration, written whole or not at all.

No database and no lock, so any number of processes on any file system may share it.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from kaxis.cell import FORMAT, Cell
from kaxis.errors import KaxisError
from kaxis.study import Study

__all__ = ["Store"]


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
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.problems: list[str] = []
        if self.path.exists() and not self.path.is_dir():
            raise KaxisError(f"store {self.path} is a file; name a folder")

    def prepare(self, *, weights: bool = False) -> None:
        """Make the folders, that of weights if they are to be kept, and prove that they can be written.

        Raises
        ------
        KaxisError
            If they cannot.
        """
        try:
            for name in ("cells", "studies", *(("weights",) if weights else ())):
                (self.path / name).mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=self.path / name) as probe:
                    probe.write(b"kaxis")
        except OSError as error:
            raise KaxisError(f"store {self.path} cannot be written: {error.strerror or error}") from None

    def _file(self, cell_id: str) -> Path:
        return self.path / "cells" / f"{cell_id}.json"

    def weights(self, cell: Cell) -> Path:
        """Where what a cell's networks predict with is kept, if it was asked for."""
        return self.path / "weights" / f"{cell.id}.pt"

    def has(self, cell: Cell) -> bool:
        """Whether the cell is finished or failed, with a whole record to show for it."""
        return self.read(cell) is not None

    def read(self, cell: Cell) -> dict[str, Any] | None:
        """The cell's record, or None without a whole one."""
        return self._read(self._file(cell.id))

    def write(self, cell: Cell, result: Mapping[str, Any]) -> None:
        """Keep a cell's record; a reader sees the old file, the new one, or none.

        A record that replaces another keeps the date of the first, which is what a plan of analysis is older than.
        """
        old = self.read(cell)
        first = (
            {"first_finished": old["provenance"].get("first_finished", old["provenance"].get("finished"))}
            if old
            else {}
        )
        _write(self._file(cell.id), {"config": cell.config, **result, "provenance": {**result["provenance"], **first}})

    def records(self) -> Iterator[dict[str, Any]]:
        """All whole records, in the order of their names; others go to `problems`."""
        self.problems = []
        for file in sorted((self.path / "cells").glob("*")):
            if file.suffix == ".part":  # being written, or left by a run that was killed
                continue
            record = self._read(file)
            if record is None:
                self.problems.append(f"{file}: not a whole kaxis record, skipped")
            else:
                yield record

    def _read(self, file: Path) -> dict[str, Any] | None:
        try:
            record = json.loads(file.read_bytes())
            whole = (
                Cell(record["config"]).id == file.stem
                and record["config"]["format"] == FORMAT
                and record["status"] in ("done", "failed")
                and "provenance" in record
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return record if whole else None

    def note_study(self, study: Study) -> None:
        """Keep what was asked for, with the plan and its date; asking again changes nothing."""
        spec = {"name": study.name, **study.as_dict()}
        digest = sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:12]
        name = re.sub(r"[^\w.-]+", "_", study.name)  # a study of folder:PATH is called so
        file = self.path / "studies" / f"{name}-{digest}.json"
        if not file.exists():
            _write(file, {**spec, "created": datetime.now(UTC).isoformat(timespec="seconds")})

    def studies(self) -> list[tuple[Study, str]]:
        """What was asked for, oldest first, each with its date (ISO, UTC)."""
        found = []
        for file in sorted((self.path / "studies").glob("*.json")):
            try:
                spec = json.loads(file.read_bytes())
                found.append((Study.restored(spec["name"], spec), str(spec["created"])))
            except (OSError, ValueError, KeyError, TypeError) as error:
                self.problems.append(f"{file}: not a study of this version, skipped ({error})")
        return sorted(found, key=lambda pair: pair[1])


def _write(file: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=1, allow_nan=False)
    try:
        part = file.with_name(f"{file.stem}-{uuid.uuid4().hex}.part")
        with part.open("x") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        os.replace(part, file)
    except OSError as error:
        raise KaxisError(f"store {file.parent}: {error.strerror or error}", exit_code=1) from None
