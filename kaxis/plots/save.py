"""Write a figure so that the same numbers give the same bytes, with those numbers beside it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from kaxis.errors import KaxisError, told
from kaxis.io import write_bytes
from kaxis.plots.style import style

__all__ = ["drawn", "save"]


METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "ModDate": None},
    "png": {"Software": None},
}
"""No dates, so that the same numbers give the same bytes."""


def drawn(figure: Figure, kind: str = "svg") -> bytes:
    """A figure as svg, pdf or png."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format=kind, metadata=METADATA[kind])
    return buffer.getvalue()


def save(
    figure: Figure,
    rows: Sequence[Mapping[str, Any]],
    folder: Path,
    name: str,
    formats: Sequence[str] = ("svg", "pdf", "png"),
) -> list[Path]:
    """Write ``name.svg``, ``.pdf``, ``.png`` and the plotted numbers as ``name.csv``; dates are left out of the files.

    Raises
    ------
    KaxisError
        If the folder cannot be written.
    """
    if not name or Path(name).name != name:
        raise KaxisError(f"figure name '{name}': a file name without folders")
    made = {f"{name}.{kind}": drawn(figure, kind) for kind in formats}
    numbers = io.StringIO(newline="")
    writer = csv.DictWriter(numbers, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    made[f"{name}.csv"] = numbers.getvalue().encode("utf-8", "surrogateescape")
    with told(f"figures folder {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in made.items():
            write_bytes(folder / file, content)
    return [folder / file for file in made]
