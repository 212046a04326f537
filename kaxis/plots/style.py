"""One style; a colour and a marker for each learner, fixed by name (Okabe-Ito)."""

from __future__ import annotations

import zlib
from contextlib import AbstractContextManager
from importlib.resources import as_file, files
from typing import Any

import matplotlib.style

__all__ = ["SERIES", "learner_look", "series_look", "style"]

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, RED, PINK = "#0072B2", "#D55E00", "#CC79A7"

LEARNERS = {
    "bp": (BLACK, "o"),
    "bp_ensemble": (ORANGE, "s"),
    "bp_deepsup": (BLUE, "^"),
    "dtg_ff": (RED, "D"),
    "local_ce": (GREEN, "v"),
}
SERIES = [(RED, "o"), (BLUE, "s"), (GREEN, "^"), (ORANGE, "D"), (PINK, "v"), (SKY, "P"), (BLACK, "X")]
"""Looks of what is not a learner (sources), in order."""


def style() -> AbstractContextManager[None]:
    """The package's matplotlib style over matplotlib's own defaults, whatever the user's say, for a ``with`` block."""
    with as_file(files("kaxis.plots").joinpath("kaxis.mplstyle")) as path:
        return matplotlib.style.context(["default", str(path)])


def series_look(i: int) -> tuple[str, str, str]:
    """Colour, marker and dash of the i-th series; when the colours begin again, so do other markers and dashes.

    Examples
    --------
    >>> series_look(0), series_look(len(SERIES))
    (('#D55E00', 'o', '-'), ('#D55E00', 'D', '--'))
    """
    again, place = divmod(i, len(SERIES))
    return SERIES[place][0], SERIES[(place + 3 * again) % len(SERIES)][1], ("-", "--", ":")[again % 3]


def learner_look(name: str) -> dict[str, Any]:
    """Colour and marker of a learner; one that is not in the table gets a look from its name."""
    colour, marker = LEARNERS.get(name) or SERIES[2 + zlib.crc32(name.encode()) % (len(SERIES) - 2)]
    return {"color": colour, "marker": marker}
