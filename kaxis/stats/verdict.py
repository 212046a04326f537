"""What an interval supports, in words: generated from the numbers, and never more than they carry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["conflict_verdict", "population", "verdict"]


def verdict(row: Mapping[str, Any], *, quantity: str, units: str, prob: float = 0.95) -> str:
    """One sentence on one estimate.

    Parameters
    ----------
    row : mapping
        ``effect``, ``ci_lower``, ``ci_upper``, ``n_seeds``, ``p`` (exact sign-flip); where known ``normalised_lower`` and
        ``normalised_upper``, the interval of the same effect in % of headroom.
    quantity : str
        What is estimated: "dtg_ff - bp_deepsup at K = 5".
    units : str
    prob : float
        Of the interval.

    Examples
    --------
    >>> row = {"effect": 1.0, "ci_lower": 0.4, "ci_upper": 1.6, "n_seeds": 8, "p": 0.01}
    >>> verdict(row, quantity="A - B at K = 5", units="pp")
    'A - B at K = 5 is above 0: +0.40 to +1.60 pp (95 % t interval, n = 8).'
    """
    n, low, high, p = int(row["n_seeds"]), row["ci_lower"], row["ci_upper"], row.get("p", math.nan)
    kind = f"{100 * prob:.0f} % t interval, n = {n}"
    if n == 0:
        return f"{quantity}: nothing to say, no seed has both learners done."
    if n == 1 or math.isnan(low):
        return f"{quantity} was {row['effect']:+.2f} {units} in one seed, which gives no interval."
    if low == high:
        how = "no difference" if low == 0 else f"{low:+.2f} {units}"
        return f"{quantity}: {how} in every one of {n} seeds; a spread of 0 gives no interval."
    if low <= 0 <= high:
        return f"{quantity}: the sign is open; anything from {low:+.2f} to {high:+.2f} {units} agrees with these seeds ({kind})."
    side = "above" if low > 0 else "below"
    out = f"{quantity} is {side} 0: {low:+.2f} to {high:+.2f} {units} ({kind})"
    doubts = []
    smallest = 2 / 2**n
    if smallest > 1 - prob:
        out += f"; with {n} seeds no exact test can confirm it (its smallest p is {smallest:.3g})"
    elif p > 1 - prob:
        doubts.append(f"the exact sign-flip test does not confirm it (p = {p:.3g})")
    other = row.get("normalised_lower", math.nan), row.get("normalised_upper", math.nan)
    if other[0] <= 0 <= other[1]:
        doubts.append("as a share of the headroom its sign is open")
    elif other[0] * low < 0:
        doubts.append("as a share of the headroom it has the other sign")
    return out + (f"; but {' and '.join(doubts)}" if doubts else "") + "."


def population(source: str, *, whole: bool = False) -> str:
    """Over what the seeds of a source vary, so to what its intervals speak.

    Examples
    --------
    >>> population("digits", whole=True)
    'digits: seeds vary initial weights and batch order on one fixed set; nothing here speaks of other images or other sets.'
    """
    if source.startswith("synthetic"):
        return f"{source}: seeds vary teacher, inputs, initial weights and batch order; nothing here speaks of other kinds of teacher."
    drawn = "initial weights and batch order" if whole else "class subset, initial weights and batch order"
    return f"{source}: seeds vary {drawn} on one fixed set; nothing here speaks of other images or other sets."


def conflict_verdict(row: Mapping[str, Any]) -> str:
    """What the comparison of a synthetic and a real leg supports.

    Parameters
    ----------
    row : mapping
        ``synthetic``, ``real`` (names); ``synthetic_lower`` ... ``real_upper`` (intervals of the slopes); ``ci_lower``,
        ``ci_upper`` (of real - synthetic); ``units``.
    """
    low, high, units = row["ci_lower"], row["ci_upper"], row["units"]
    names = f"{row['real']} and {row['synthetic']}"
    if math.isnan(low):
        return f"{names}: one of them has fewer than two seeds, nothing can be compared."
    if low <= 0 <= high:
        return (
            f"{names}: no difference of slopes is shown; real minus synthetic lies between {low:+.2f} and {high:+.2f} {units}. "
            "That is no proof that they agree."
        )
    how = "steeper" if low > 0 else "less steep or falling"
    out = f"{row['real']} is {how} than {row['synthetic']}: real minus synthetic {low:+.2f} to {high:+.2f} {units}"
    signs = [_sign(row[f"{leg}_lower"], row[f"{leg}_upper"]) for leg in ("synthetic", "real")]
    if 0 not in signs and signs[0] != signs[1]:
        return out + "; both slopes exclude 0, on opposite sides: the sign is reversed."
    if 0 in signs:
        which = " and ".join(row[leg] for leg, sign in zip(("synthetic", "real"), signs, strict=True) if sign == 0)
        return out + f"; a reversed sign is not shown, since the slope of {which} may be 0."
    return out + "; both slopes have one sign: they differ in size, not in direction."


def _sign(low: float, high: float) -> int:
    return 1 if low > 0 else -1 if high < 0 else 0
