"""Tables for people, JSON for programs, CSV for spreadsheets, Markdown and LaTeX for papers: one list of rows."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaxis.errors import told, visible
from kaxis.io import write_text

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Column", "Report", "console", "counted", "interval", "number", "show_table"]


PIPE = 20_000
"""Columns of a pipe: no table is folded there."""


def console() -> Console:
    """A console that takes text as text (brackets are no markup, control characters are spelt out) and does not fold
    tables in a pipe.
    """
    from rich.console import Console
    from rich.text import Text

    class Plain(Console):
        def on_broken_pipe(self) -> None:  # rich would exit with 1
            raise BrokenPipeError

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(visible(text), **options)

    return Plain(
        width=None if sys.stdout.isatty() else PIPE,
        highlight=False,
        markup=False,
        emoji=False,
    )


def counted(n: int, noun: str) -> str:
    """So many of something."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def number(value: float, form: str = "+.2f") -> str:
    return "-" if value is None or math.isnan(value) else format(value, form)


def interval(lower: float, upper: float) -> str:
    """An interval; ``-`` where there is none, ``unbounded`` where it has no end."""
    if math.isnan(lower):
        return "-"
    return "unbounded" if math.isinf(lower) else f"[{lower:+.2f}, {upper:+.2f}]"


LEFT = (
    "source",
    "learner",
    "learner - baseline",
    "contrast",
    "term",
    "configuration",
    "loss of",
    "change of",
    "licence",
    "what it is",
    "nets",
    "brackets",
)
"""Columns of words; the others are numbers, to the right."""


def show_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table, or where the terminal would cut it the rows one below the other, a line a value."""
    from rich.table import Table

    table = Table(title=title or None, title_justify="left")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in LEFT else "right", no_wrap=heading in LEFT)
    for row in rows:
        table.add_row(*row)
    out = console()
    unfolded = out.options.update(max_width=PIPE)  # else it is measured as squeezed into the terminal
    if out.measure(table, options=unfolded).maximum <= out.width:
        out.print(table)
        return
    out.print(title, soft_wrap=True)
    wide = max(map(len, headings))
    for row in rows:
        out.print()
        for heading, cell in zip(headings, row, strict=True):
            if cell:
                out.print(f"{heading:{wide}}  {cell}", soft_wrap=True)


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

    @property
    def headings(self) -> list[str]:
        return [heading for heading, _ in self.columns]

    def cells(self) -> list[list[str]]:
        """The table as a person sees it."""
        shown = self.rows if self.shown is None else self.shown
        return [[str(cell(row)) for _, cell in self.columns] for row in shown]

    def show(self, *, as_json: bool = False, form: str = "", csv_file: Path | None = None) -> None:
        """Print as text, as JSON, or in another `form` of `FORMS`; with a file, keep the rows as CSV too."""
        if csv_file is not None:
            with told(f"--csv {csv_file}"):
                write_text(csv_file, self.csv())
        if as_json or form:
            print(FORMS["json" if as_json else form](self))
            return
        show_table(self.title, self.headings, self.cells())
        out = console()
        for remark in self.remarks:
            out.print(remark, soft_wrap=True)

    def json(self) -> str:
        """One object; what is not finite is null."""
        rows = [
            {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
            for row in self.rows
        ]
        found = {"analysis": self.analysis, "attrs": dict(self.attrs), "rows": rows}
        return json.dumps(found, indent=1, allow_nan=False)

    def csv(self) -> str:
        """The rows, every number in full."""
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, list(self.rows[0]) if self.rows else [])
        writer.writeheader()
        writer.writerows(self.rows)
        return out.getvalue()

    def markdown(self) -> str:
        """The table and its remarks, for a page."""

        def line(cells: Sequence[str]) -> str:
            return f"| {' | '.join(_escaped(visible(cell), MARKDOWN) for cell in cells)} |"

        rule = "|".join("---" if heading in LEFT else "---:" for heading in self.headings)
        remarks = [f"- {_escaped(visible(remark), MARKDOWN).strip()}" for remark in self.remarks]
        return "\n".join(
            [
                f"**{_escaped(visible(self.title), MARKDOWN)}**\n",
                line(self.headings),
                f"|{rule}|",
                *map(line, self.cells()),
                "",
                *remarks,
            ]
        )

    def latex(self) -> str:
        """A table for a paper (package booktabs), its caption with the remarks: what the intervals are stands in it."""

        def line(cells: Sequence[str]) -> str:
            return " & ".join(_escaped(visible(cell), LATEX) for cell in cells) + r" \\"

        caption = _escaped(visible(". ".join([self.title, *(r.strip().rstrip(".") for r in self.remarks)])), LATEX)
        align = "".join("l" if heading in LEFT else "r" for heading in self.headings)
        body = [r"\toprule", line(self.headings), r"\midrule", *map(line, self.cells()), r"\bottomrule"]
        head = [r"\begin{table}", rf"\caption{{{caption}.}}", rf"\begin{{tabular}}{{{align}}}"]
        return "\n".join([*head, *body, r"\end{tabular}", r"\end{table}"])


MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\|*_`<>[]#~$&!"})
LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}"}
    | {">": r"\textgreater{}", "|": r"\textbar{}", "[": "{[}", "]": "{]}", '"': "''"}
)
"""A bracket at the start of a row would be an option of the line break before it."""


def _escaped(text: str, table: Mapping[int, str]) -> str:
    return " ".join(text.translate(table).split("\n"))


FORMS: Mapping[str, Callable[[Report], str]] = {
    "json": Report.json,
    "markdown": Report.markdown,
    "latex": Report.latex,
}
"""Ways to print a report beside the text."""
