"""Figures from effects. All seeds shown, means with t intervals, no bars and no stars; plotted numbers beside them as CSV."""

from kaxis.plots.figures import curves, k_conflict, paired
from kaxis.plots.save import save

__all__ = ["curves", "k_conflict", "paired", "save"]
