"""What an interval supports, in words: generated from the numbers, and never more than they carry."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from kaxis.errors import KaxisError
from kaxis.stats.arrays import flips_named
from kaxis.stats.population import population
from kaxis.stats.rows import rows

__all__ = ["conflict_verdict", "population", "unequal_training", "verdict", "verdicts"]


def verdicts(result: xr.Dataset) -> list[str]:
    """What a result's rows support, a sentence for each group of which the same can be said, then what its seeds vary.

    Parameters
    ----------
    result : Dataset
        From `paired`, `gap`, `layers`, `contrast`, `differential` or `conflict`.

    Returns
    -------
    list of str
        A sentence a line.

    Raises
    ------
    KaxisError
        For another result, whose intervals say something else.
    """
    about = result.attrs
    if "synthetic" in about:
        return _of_conflict(result)
    other = "effect" not in result or not set(result.effect.dims) <= {"source", "K", "layer"}
    if other or "quantity" not in about or "margin" in about or "new_ci" in result:
        raise KaxisError("verdicts: of paired, gap, layers, contrast, differential or conflict; this is another result")
    pair = f"{about['quantity']}{about['learner']} - {about['baseline']}"
    options = {"units": about["units"], "prob": about["ci_prob"], "kind": about["ci_kind"]}
    if "against" in about:
        row = {"effect": result.effect, "ci_lower": result.ci[0], "ci_upper": result.ci[1]}
        row |= {"n_seeds": result.n_seeds, "p": result.p}
        what = f"{pair} on {about['of']} minus that on {about['against']}"
        one = verdict({k: float(v) for k, v in row.items()}, quantity=what, **options)
        sides = [(s, [int(k) for k in result[f"used_K_{s}"].item().split()]) for s in ("of", "against")]
        return [one, *(population(about[s], K, about["origin"]) for s, K in sides)]
    by_source: dict[str, list[dict[str, Any]]] = {}
    for r in rows(result):
        by_source.setdefault(r["source"], []).append(r)
    said, populations = [], []
    for source, own in by_source.items():
        said += _grouped(own, f"{source}: {pair}", about, options)
        if "p_holm" in own[0] and len(own) > 1:
            confirmed = _places([r for r in own if r["p_holm"] <= 1 - about["ci_prob"]])
            test = flips_named(max(r["n_seeds"] for r in own))
            said.append(f"{source}: adjusted by Holm, {test} confirms {confirmed or 'none of them'}.")
        used = [int(k) for r in own for k in (str(r["used_K"]).split() if r["K"] is None else [r["K"]])]
        populations.append(population(source, used, about["origin"]))
    return said + populations


def _of_conflict(result: xr.Dataset) -> list[str]:
    about, legs = result.attrs, ("synthetic", "real")
    row: dict[str, Any] = {}
    for i, leg in enumerate(legs):
        row |= {f"{leg}_{end}": float(result.slope_ci[i, j]) for j, end in enumerate(ENDS)}
        row |= {leg: about[leg], f"{leg}_n": int(result.n_seeds[i]), f"{leg}_p": float(result.slope_p[i])}
    row |= {f"ci_{end}": float(result.ci[j]) for j, end in enumerate(ENDS)}
    row |= {k: about[k] for k in ("units", "ci_kind", "ci_prob")}
    row |= {k: result[k].item() for k in ("n_pairs", "difference", "p")}
    K = result.K.values.tolist()
    said = [conflict_verdict(row), *unequal_training(about)]
    return said + [population(about[leg], K, about["origin"]) for leg in legs]


def unequal_training(about: Mapping[str, Any]) -> list[str]:
    """What is to be said where the two sides of a conflict are of different nets, or were not trained as long."""
    legs, out = [about[leg] for leg in ("synthetic", "real")], []
    if len(set(own := about.get("nets", []))) > 1:
        of = " and ".join(f"{net} ({leg})" for leg, net in zip(legs, own, strict=True))
        out.append(f"They are of different nets, {of}: a slope moves with that too.")
    seen = about.get("samples_seen", [1.0, 1.0])
    if max(seen) > 1.1 * min(seen):
        to = " and ".join(f"{n:,.0f} samples ({leg})" for leg, n in zip(legs, seen, strict=True))
        out.append(f"They were trained on up to {to}, each pass counted: a slope moves with that too.")
    return out


def _grouped(own: list[dict[str, Any]], quantity: str, about: Mapping[str, Any], options: dict[str, Any]) -> list[str]:
    """One sentence a row; rows of which the same can be said without a reservation share one."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for i, r in enumerate(own):
        outcome, reservation = _outcome(r, about["ci_prob"], about["ci_kind"])
        alone = reservation or outcome not in (OPEN, "above 0", "below 0")
        groups.setdefault(f"row {i}" if alone else outcome, []).append(r)
    out = []
    for outcome, members in groups.items():
        where = f"({about['contrast']})" if members[0]["K"] is None else f"at {_places(members)}"
        if len(members) == 1:
            out.append(verdict(members[0], quantity=f"{quantity} {where}", **options))
        else:
            n = dict.fromkeys(f(r["n_seeds"] for r in members) for f in (min, max))
            kind = f"{100 * about['ci_prob']:.10g} % {about['ci_kind']} intervals, n = {'-'.join(map(str, n))}"
            out.append(f"{quantity} {where}: {outcome} ({kind}, each by itself).")
    return out


def _places(members: list[dict[str, Any]]) -> str:
    """K = 5, 10; or with layers K = 5 (layers 1, 2), K = 10 (layer 4)."""
    if not members or "layer" not in members[0]:
        return f"K = {', '.join(str(r['K']) for r in members)}" if members else ""
    by_K: dict[int, list[str]] = {}
    for r in members:
        by_K.setdefault(r["K"], []).append(str(r["layer"]))
    if len({tuple(v) for v in by_K.values()}) == 1:
        shared = next(iter(by_K.values()))
        return f"K = {', '.join(map(str, by_K))} (layer{'s' * (len(shared) > 1)} {', '.join(shared)})"
    return ", ".join(f"K = {k} (layer{'s' * (len(v) > 1)} {', '.join(v)})" for k, v in by_K.items())


def verdict(row: Mapping[str, Any], *, quantity: str, units: str, prob: float = 0.95, kind: str = "t") -> str:
    """One sentence on one estimate.

    Parameters
    ----------
    row : mapping
        ``effect``, ``ci_lower``, ``ci_upper``, ``n_seeds``, ``p`` (exact sign-flip); where known ``normalised_lower``
        and ``normalised_upper``, the interval of the same effect in % of headroom.
    quantity : str
        What is estimated: "dtg_ff - bp_deepsup at K = 5".
    units : str
    prob, kind
        Of the interval.

    Examples
    --------
    >>> row = {"effect": 1.0, "ci_lower": 0.4, "ci_upper": 1.6, "n_seeds": 8, "p": 0.01}
    >>> verdict(row, quantity="A - B at K = 5", units="pp")
    'A - B at K = 5 is above 0: +0.40 to +1.60 pp (95 % t interval, n = 8).'
    """
    n, low, high = int(row["n_seeds"]), row["ci_lower"], row["ci_upper"]
    outcome, reservation = _outcome(row, prob, kind)
    span = f"{low:+.2f} to {high:+.2f} {units}"
    called = f"{100 * prob:.10g} % {kind} interval, n = {n}"
    if outcome == NOTHING:
        return f"{quantity}: nothing to say, no seed has both learners done."
    if outcome == ONE:
        return f"{quantity} was {row['effect']:+.2f} {units} in one seed, which gives no interval."
    if outcome == UNDEFINED:
        return (
            f"{quantity} was {row['effect']:+.2f} {units} in {n} seeds, for which the {kind} interval is not defined."
        )
    if outcome == CONSTANT:
        how = "no difference" if row["effect"] == 0 else f"{row['effect']:+.2f} {units}"
        return f"{quantity}: {how} in every one of {n} seeds; a spread of 0 gives no interval."
    if outcome == OPEN:
        return f"{quantity}: the sign is open; anything from {span} agrees with these seeds ({called}){reservation}."
    return f"{quantity} is {outcome}: {span} ({called}){reservation}."


NOTHING, ONE, UNDEFINED, CONSTANT, OPEN = "no seed", "one seed", "undefined", "constant", "the sign is open"
ENDS = ("lower", "upper")


def _outcome(row: Mapping[str, Any], prob: float, kind: str) -> tuple[str, str]:
    """What an interval says of the sign, and the reservations that go with it."""
    n, low, high, p = int(row["n_seeds"]), row["ci_lower"], row["ci_upper"], row.get("p", math.nan)
    if n == 0:
        return NOTHING, ""
    if n == 1:
        return ONE, ""
    if low == high:
        return CONSTANT, ""
    if not math.isfinite(low) or not math.isfinite(high):
        if not math.isfinite(row["effect"]):
            return UNDEFINED, ""
        if math.isinf(low) or math.isinf(high):  # studentized, of two or three seeds
            return OPEN if low <= 0 <= high else UNDEFINED, ""
        # Only BCa is undefined for seeds that differ (ties); the percentile interval beside it tells.
        return (UNDEFINED if kind == "bca" and math.isfinite(row.get("bootstrap_lower", math.nan)) else CONSTANT), ""
    if low <= 0 <= high:
        return OPEN, f"; but {flips_named(n)} rejects 0 (p = {p:.3g})" if p <= 1 - prob else ""
    doubts = []
    smallest = 2 / 2**n
    few = f"; with {n} seeds no exact test can confirm it (its smallest p is {smallest:.3g})"
    if smallest <= 1 - prob < p:
        doubts.append(f"{flips_named(n)} does not confirm it (p = {p:.3g})")
    other = row.get("normalised_lower", math.nan), row.get("normalised_upper", math.nan)
    if other[0] <= 0 <= other[1]:
        doubts.append("as a share of the headroom its sign is open")
    elif other[0] * low < 0:
        doubts.append("as a share of the headroom it has the other sign")
    reservation = (few if smallest > 1 - prob else "") + (f"; but {' and '.join(doubts)}" if doubts else "")
    return ("above 0" if low > 0 else "below 0"), reservation


def conflict_verdict(row: Mapping[str, Any]) -> str:
    """What the comparison of a synthetic and a real leg supports.

    Parameters
    ----------
    row : mapping
        For either leg its name (``synthetic``, ``real``), the ends ``..._lower`` and ``..._upper`` of its slope's
        interval, its sign-flip ``..._p`` and ``..._n`` seeds; ``ci_lower`` and ``ci_upper`` (of real - synthetic) with
        ``ci_kind``, ``ci_prob``, and where it is a paired interval ``n_pairs`` seeds, their sign-flip ``p`` and mean
        ``difference``; ``units``.
    """
    low, high, units, prob = row["ci_lower"], row["ci_upper"], row["units"], row.get("ci_prob", 0.95)
    names, kind = f"{row['real']} and {row['synthetic']}", row.get("ci_kind", "Welch t")
    counts = [row.get("real_n", 0), row.get("synthetic_n", 0)]
    if math.isnan(low):
        why = "one of them has fewer than two seeds" if min(counts) < 2 else "a spread of 0 gives no interval"
        return f"{names}: {why}, nothing can be compared."
    n = f"n = {row['n_pairs']} pairs" if row.get("n_pairs") else f"n = {counts[0]} and {counts[1]}"
    called = f"{100 * prob:.10g} % {kind} interval, {n}"
    span = f"real minus synthetic {low:+.2f} to {high:+.2f} {units} ({called})"
    if row.get("n_pairs"):  # a paired interval is one number a seed, as of any other effect
        span += _outcome({**row, "effect": row["difference"], "n_seeds": row["n_pairs"]}, prob, kind)[1]
    if low <= 0 <= high:
        return f"{names}: no difference of slopes is shown; {span}. That is no proof that they agree."
    above = "above" if low > 0 else "below"
    out = f"the slope of {row['real']} is {above} that of {row['synthetic']}: {span}"
    legs = ("synthetic", "real")
    signs = [_sign(row[f"{leg}_lower"], row[f"{leg}_upper"]) for leg in legs]
    if 0 in signs:
        which = " and ".join(row[leg] for leg, sign in zip(legs, signs, strict=True) if sign == 0)
        return f"{out}; a reversed sign is not shown, since the slope of {which} may be 0."
    if signs[0] == signs[1]:
        steeper = "steeper" if (low > 0) == (signs[0] > 0) else "less steep"
        way = "rise" if signs[0] > 0 else "fall"
        return f"{out}; both {way} with K, {row['real']} {steeper}: they differ in size, not in direction."
    out += "; both slopes exclude 0, on opposite sides: the sign is reversed"
    return f"{out}{_confirmed(row, legs, prob)}."


def _confirmed(row: Mapping[str, Any], legs: Sequence[str], prob: float) -> str:
    """What the sign-flip tests of both slopes add to the intervals."""
    if not all(f"{leg}_p" in row for leg in legs):
        return ""
    if few := [leg for leg in legs if 2 / 2 ** row[f"{leg}_n"] > 1 - prob]:
        n = min(row[f"{leg}_n"] for leg in few)
        return f"; with {n} seeds no exact test can confirm a slope (its smallest p is {2 / 2**n:.3g})"
    open_ = [f"{row[leg]} (p = {row[f'{leg}_p']:.3g})" for leg in legs if row[f"{leg}_p"] > 1 - prob]
    test = flips_named(max(row[f"{leg}_n"] for leg in legs))
    return (
        f"; but {test} does not confirm the slope of {' and '.join(open_)}"
        if open_
        else f"; {test} confirms either slope"
    )


def _sign(low: float, high: float) -> int:
    return 1 if low > 0 else -1 if high < 0 else 0
