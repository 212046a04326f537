"""Tables for people, JSON for programs, CSV for spreadsheets: one list of rows, three ways out."""

from __future__ import annotations

import csv
import json
import math
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaxis.errors import KaxisError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Column", "Report", "console", "interval", "number"]


def console() -> Console:
    """A console that does not fold tables when it writes into a pipe."""
    from rich.console import Console

    class Pipe(Console):
        def on_broken_pipe(self) -> None:  # rich would exit with 1
            raise BrokenPipeError

    return Pipe(
        width=max(160, shutil.get_terminal_size((160, 40)).columns) if not sys.stdout.isatty() else None,
        highlight=False,
    )


def number(value: float, form: str = "+.2f") -> str:
    return "-" if value is None or math.isnan(value) else format(value, form)


def interval(lower: float, upper: float) -> str:
    """An interval; ``-`` where there is none, ``unbounded`` where it has no end."""
    if math.isnan(lower):
        return "-"
    return "unbounded" if math.isinf(lower) else f"[{lower:+.2f}, {upper:+.2f}]"


Column = tuple[str, Callable[[Mapping[str, Any]], Any]]


@dataclass(frozen=True)
class Report:
    """The result of one analysis.

    Parameters
    ----------
    analysis : str
        Its name.
    title : str
        What the table shows, with units.
    attrs : mapping
        Kind and probability of the intervals, units, learners, notes.
    rows : sequence of mapping
        Plain numbers and strings; what is not finite becomes null in JSON.
    columns : sequence of (heading, cell)
        How a person sees a row: `cell` formats it.
    remarks : sequence of str
        Lines below the table.
    shown : sequence of mapping, optional
        What the table's columns read, where that is not the rows.
    """

    analysis: str
    title: str
    attrs: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    columns: Sequence[Column]
    remarks: Sequence[str] = ()
    shown: Sequence[Mapping[str, Any]] | None = None

    def show(self, *, as_json: bool, csv_file: Path | None) -> None:
        """Print; with a file, keep the rows as CSV too."""
        if csv_file is not None:
            self._csv(csv_file)
        if as_json:
            rows = [
                {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
                for row in self.rows
            ]
            print(
                json.dumps(
                    {"analysis": self.analysis, "attrs": dict(self.attrs), "rows": rows}, indent=1, allow_nan=False
                )
            )
            return
        from rich.table import Table
        from rich.text import Text

        table = Table(title=self.title, title_justify="left")
        for heading, _ in self.columns:
            left = heading in ("source", "learner - baseline", "contrast", "term", "configuration", "loss of")
            table.add_column(heading, justify="left" if left else "right", no_wrap=left)
        for row in self.rows if self.shown is None else self.shown:
            table.add_row(*(Text(str(cell(row))) for _, cell in self.columns))  # text: brackets are no markup
        out = console()
        out.print(table)
        for remark in self.remarks:
            out.print(remark, markup=False, soft_wrap=True)

    def _csv(self, file: Path) -> None:
        try:
            with file.open("w", newline="") as out:
                writer = csv.DictWriter(out, list(self.rows[0]) if self.rows else [])
                writer.writeheader()
                writer.writerows(self.rows)
        except OSError as error:
            raise KaxisError(f"--csv {file}: {error.strerror}") from None
