"""One style; a colour and a marker for each learner, fixed by name (Okabe-Ito)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from importlib.resources import as_file, files
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.colors import to_hex, to_rgb
from numpy.typing import NDArray

__all__ = ["SERIES", "for_text", "learner_look", "learner_looks", "series_look", "style"]

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


def for_text(colour: str) -> str:
    """A colour as dark as text on white needs it (WCAG 2: a contrast of 4.5 to 1); a dark one as it is.

    Examples
    --------
    >>> for_text(BLUE) == BLUE.lower(), for_text(SKY) == SKY.lower()
    (True, False)
    """
    rgb = np.array(to_rgb(colour))
    while 1.05 / (_luminance(rgb) + 0.05) < 4.5:
        rgb = 0.95 * rgb
    return to_hex((rgb[0], rgb[1], rgb[2]))


def _luminance(rgb: NDArray[np.float64]) -> float:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def learner_look(name: str) -> dict[str, Any]:
    """Colour and marker of a learner by its name, with or without settings in brackets; one that is not in the table
    gets a look from its name.
    """
    known = LEARNERS.get(name.partition("[")[0])
    colour, marker = known or SERIES[2 + zlib.crc32(name.encode()) % (len(SERIES) - 2)]
    return {"color": colour, "marker": marker}


def learner_looks(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """A look for each learner of one figure, no two of them the same: its own, where no earlier one has it.

    Examples
    --------
    >>> looks = learner_looks(["dtg_ff", "dtg_ff[temperature=1]"])
    >>> looks["dtg_ff"] == learner_look("dtg_ff"), looks["dtg_ff"] == looks["dtg_ff[temperature=1]"]
    (True, False)
    """
    looks: dict[str, dict[str, Any]] = {}
    spare = [{"color": colour, "marker": marker} for colour, marker, _ in map(series_look, range(len(SERIES) ** 2))]
    # Those that the table names come first, so that a stranger does not take what is known as theirs.
    for name in sorted(dict.fromkeys(names), key=lambda n: (n not in LEARNERS, n.partition("[")[0] not in LEARNERS, n)):
        look, taken = learner_look(name), list(looks.values())
        if look in taken and (free := [other for other in spare if other not in taken]):
            colours = [other["color"] for other in taken]
            look = min(free, key=lambda other: colours.count(other["color"]))
        looks[name] = look
    return looks
