"""The state of a long training on disk, from which a killed run goes on to the same record."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from kaxis.errors import KaxisError
from kaxis.io import PART, seal, unseal, write_bytes
from kaxis.spec.cell import Cell
from kaxis.train.stack import Stack

__all__ = ["Checkpoint", "load_weights", "save_weights"]


class Checkpoint:
    """A folder's checkpoint of one stack: written whole or not at all, with a digest, read without running code.

    Parameters
    ----------
    folder : Path or None
        None keeps nothing.
    every : float
        Seconds between writing.
    made_by : mapping
        Versions, commit, device, backend. A checkpoint that another of these, other data or networks in another order
        made is not gone on from.
    """

    def __init__(self, folder: Path | None, every: float, made_by: Mapping[str, Any] | None = None) -> None:
        self.folder, self.every, self.made_by, self._last = folder, every, dict(made_by or {}), time.monotonic()

    def _file(self, cells: Sequence[Cell]) -> Path:
        assert self.folder is not None
        names = "".join(sorted(cell.id for cell in cells))
        return self.folder / f"{hashlib.sha256(names.encode()).hexdigest()[:20]}.pt"

    def _stamp(self, stack: Stack, tasks: Mapping[int, Any]) -> str:
        facts = {seed: [task.facts, task.stamp] for seed, task in tasks.items()}
        return json.dumps([self.made_by, facts, list(stack.networks)], sort_keys=True, default=str)

    def restore(self, cells: Sequence[Cell], stack: Stack, results: Sequence[Any], tasks: Mapping[int, Any]) -> int:
        """Put back what was kept; returns the number of steps done. A file that is damaged, or does not fit, is passed
        over whole.
        """
        if self.folder is None or not self._file(cells).exists():
            return 0
        before = copy.deepcopy(stack.state())
        if before is None:
            return 0
        try:
            payload = unseal(self._file(cells).read_bytes())
            if payload is None:  # of an older version, without a digest
                return 0
            kept = torch.load(io.BytesIO(payload), map_location=stack.device, weights_only=True)
            done, seen = kept["done"], [kept["results"][result.cell.id] for result in results]
            if any(one.keys() != result.state().keys() for one, result in zip(seen, results, strict=True)):
                return 0  # an older version's
            if kept["stamp"] != self._stamp(stack, tasks) or not 0 < done < stack.batches.steps:
                return 0
            stack.load(kept["stack"])
        except Exception:  # damaged in whatever way: start anew
            stack.load(before)
            return 0
        for result, one in zip(results, seen, strict=True):
            result.load(one)
        return int(done)

    def save(
        self,
        cells: Sequence[Cell],
        stack: Stack,
        results: Sequence[Any],
        tasks: Mapping[int, Any],
        done: int,
        *,
        now: bool = False,
    ) -> None:
        """Write, if it is time or `now`. A full disk costs the checkpoint, not the run."""
        early = time.monotonic() - self._last < self.every and not now
        if self.folder is None or done == stack.batches.steps or early:
            return
        state = stack.state()
        if state is None:
            return
        seen = {r.cell.id: r.state() for r in results}
        kept = {"stamp": self._stamp(stack, tasks), "done": done, "stack": state, "results": seen}
        try:
            _write(self._file(cells), kept)
        except (OSError, RuntimeError) as error:
            warnings.warn(f"no checkpoint could be written to {self.folder}: {error}", stacklevel=2)
            self.folder = None
        self._last = time.monotonic()

    def forget(self, cells: Sequence[Cell]) -> None:
        """The records are written, or wanted anew: remove the checkpoint, and what a writer that was killed left of
        it.
        """
        if self.folder is not None:
            file = self._file(cells)
            for left in (file, *self.folder.glob(f"{file.stem}-*{PART}")):
                with contextlib.suppress(OSError):
                    left.unlink(missing_ok=True)


def save_weights(file: Path, stack: Stack, networks: Sequence[int]) -> None:
    """Write the numbers that a cell's networks predict with. A full disk costs the weights, not the record."""
    tensors = {f"{m}/{name}": t for m, n in enumerate(networks) for name, t in stack.tensors(n).items()}
    try:
        _write(file, {name: t.detach().cpu().clone() for name, t in tensors.items()})
    except (OSError, RuntimeError) as error:
        warnings.warn(f"weights could not be written to {file}: {error}", stacklevel=2)


def load_weights(file: Path, stack: Stack, networks: Sequence[int]) -> None:
    """Put saved numbers into a stack of the same configuration.

    Raises
    ------
    KaxisError
        If the file is damaged, or of another configuration.
    """
    try:
        content = file.read_bytes()
        payload = unseal(content)
        if payload is None and content[-len(ZIP_END) - 18 :][: len(ZIP_END)] != ZIP_END:
            raise ValueError("cut off")
        kept = torch.load(io.BytesIO(payload or content), map_location=stack.device, weights_only=True)
        with torch.no_grad():
            for m, n in enumerate(networks):
                for name, tensor in stack.tensors(n).items():
                    if kept[f"{m}/{name}"].shape != tensor.shape:
                        raise ValueError(f"{name} of another shape")
                    tensor.copy_(kept[f"{m}/{name}"])
    except Exception as error:
        raise KaxisError(f"weights {file}: not whole, or of another configuration ({_why(error)})") from None


ZIP_END = b"PK\x05\x06"
"""With what a file without a digest, of an older version, must end: torch's files are zip archives."""


def _why(error: Exception) -> str:
    """An error in few words: torch's own go over many lines."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error) if isinstance(error, ValueError) else type(error).__name__


def _write(file: Path, content: Mapping[str, Any]) -> None:
    """Whole or not at all, with a digest behind it."""
    made = io.BytesIO()
    torch.save(content, made)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(file, seal(made.getvalue()))
