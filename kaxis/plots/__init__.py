"""Figures from effects. All seeds shown, means with intervals, no bars and no stars; plotted numbers beside them as
CSV.
"""

from kaxis.plots.along import curves, slope_steps
from kaxis.plots.audit import audit, locality
from kaxis.plots.classes import per_class
from kaxis.plots.figures import k_conflict, paired
from kaxis.plots.layers import diagnose
from kaxis.plots.planning import coverage, power
from kaxis.plots.ranked import ranked
from kaxis.plots.save import drawn, save
from kaxis.plots.summaries import band, factorial, forest, places, slopes

__all__ = [
    "audit",
    "band",
    "coverage",
    "curves",
    "diagnose",
    "drawn",
    "factorial",
    "forest",
    "k_conflict",
    "locality",
    "paired",
    "per_class",
    "places",
    "power",
    "ranked",
    "save",
    "slope_steps",
    "slopes",
]
