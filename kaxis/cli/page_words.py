"""The sentences at the head of a page: what slopes say, and what they say of each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kaxis.cli.report import Report, interval

__all__ = ["against", "by_sign"]


def by_sign(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Slopes by what their intervals say of the sign, in words; where there is no interval, nothing is said of it."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda r: SIGNS.index(_sign(r))):
        found.setdefault(_sign(row), []).append(row)
    return found


SIGNS = ("Above 0 on", "Below 0 on", "The sign is open on", "No interval (one seed, or no spread) on")


def _sign(row: Mapping[str, Any]) -> str:
    low, high = row["ci_lower"], row["ci_upper"]
    return SIGNS[3 if math.isnan(low) else 0 if low > 0 else 1 if high < 0 else 2]


def against(conflicts: Sequence[Report]) -> list[str]:
    """Whether what a synthetic source says is seen on real ones, in a sentence."""
    if not conflicts:
        return []
    from kaxis.stats.verdict import unequal_training

    by: dict[str, list[str]] = {}
    for one in conflicts:
        differs = one.attrs["verdict"].startswith("the slope of")
        reversed_ = "the sign is reversed, on" if one.attrs["reversal"] else "the slope is another one, on"
        row = next(r for r in one.rows if r["what"] == "difference of slopes")
        pairs = "paired" in one.attrs["ci_kind"]
        n = f"{row['n_seeds']} pairs" if pairs else " and ".join(str(r["n_seeds"]) for r in one.rows[:2])
        kind = f"{100 * one.attrs['ci_prob']:.10g} % {one.attrs['ci_kind']} interval"
        K = ", ".join(str(r["K"]) for r in one.rows if r["what"] == "difference of effects")
        found = f"{one.attrs['real']} {interval(row['ci_lower'], row['ci_upper'])} (K = {K}; {kind}, n = {n})"
        found += ", trained otherwise" if unequal_training(one.attrs) else ""
        by.setdefault(reversed_ if differs else "no difference of slopes is shown, on", []).append(found)
    said = ". ".join(f"{what[0].upper()}{what[1:]} {'; '.join(names)}" for what, names in by.items())
    against = conflicts[0].attrs["synthetic"]
    each = f" Each by itself, not adjusted for being {len(conflicts)}." if len(conflicts) > 1 else ""
    return [f"Slope minus that of {against}, over the K that both have: {said}. What is not shown may be there.{each}"]
