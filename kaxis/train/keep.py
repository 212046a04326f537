"""The state of a long training on disk, from which a killed run goes on to the same record."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from kaxis.cell import Cell

__all__ = ["Kept"]


class Kept:
    """A folder's checkpoint of one stack: written whole or not at all, read without running code.

    Parameters
    ----------
    folder : Path or None
        None keeps nothing.
    every : float
        Seconds between writing.
    """

    def __init__(self, folder: Path | None, every: float) -> None:
        self.folder, self.every, self._last = folder, every, time.monotonic()

    def _file(self, cells: Sequence[Cell]) -> Path:
        assert self.folder is not None
        names = "".join(sorted(cell.id for cell in cells))
        return self.folder / f"{hashlib.sha256(names.encode()).hexdigest()[:20]}.pt"

    def restore(self, cells: Sequence[Cell], stack: Any, results: Sequence[Any]) -> int:
        """Put back what was kept; returns the number of steps done. A file that cannot be read is passed over."""
        if self.folder is None or not self._file(cells).exists():
            return 0
        try:
            kept = torch.load(self._file(cells), map_location=stack.device, weights_only=True)
            stack.load(kept["stack"])
        except Exception:
            return 0
        for result, (reason, curves, layers) in zip(results, kept["results"], strict=True):
            result.reason, result.curves, result.layers = reason, curves, layers
        return int(kept["done"])

    def save(self, cells: Sequence[Cell], stack: Any, results: Sequence[Any], done: int) -> None:
        """Write, if it is time."""
        if self.folder is None or done == stack.steps or time.monotonic() - self._last < self.every:
            return
        state = stack.state()
        if state is None:
            return
        file = self._file(cells)
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{file.stem}-{uuid.uuid4().hex}.part")
        kept = {"done": done, "stack": state, "results": [(r.reason, r.curves, r.layers) for r in results]}
        with part.open("wb") as out:
            torch.save(kept, out)
            out.flush()
            os.fsync(out.fileno())
        os.replace(part, file)
        self._last = time.monotonic()

    def forget(self, cells: Sequence[Cell]) -> None:
        """The records are written: the checkpoint has served."""
        if self.folder is not None:
            self._file(cells).unlink(missing_ok=True)
