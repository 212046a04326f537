"""Write a figure so that the same numbers give the same bytes, with those numbers beside it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from kaxis.errors import KaxisError
from kaxis.plots.style import style

__all__ = ["save"]


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
    if Path(name).name != name:
        raise KaxisError(f"figure name '{name}': a file name without folders")
    metadata: dict[str, dict[str, Any]] = {
        "svg": {"Date": None},
        "pdf": {"CreationDate": None, "ModDate": None},
        "png": {"Software": None},
    }
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with style():
            for kind in formats:
                figure.savefig(folder / f"{name}.{kind}", metadata=metadata[kind])
                written.append(folder / f"{name}.{kind}")
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise KaxisError(f"figures folder {folder}: {error.strerror or error}") from None
    return [*written, folder / f"{name}.csv"]
