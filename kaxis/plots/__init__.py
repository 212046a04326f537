"""Figures from effects. All seeds shown, means with intervals, no bars and no stars; plotted numbers beside them as CSV."""

from kaxis.plots.figures import curves, k_conflict, paired
from kaxis.plots.save import save
from kaxis.plots.summaries import band, coverage, factorial, forest, power

__all__ = ["band", "coverage", "curves", "factorial", "forest", "k_conflict", "paired", "power", "save"]
