"""The systems audit: memory, arithmetic and time of learners side by side (paper, systems audit), and along K (ours)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kaxis.errors import KaxisError
from kaxis.measure.cost import Visit, predict, visit
from kaxis.measure.subject import Subject, bytes_of, subjects
from kaxis.train.precision import product_rate

__all__ = ["audit", "largest_batch"]

Row = dict[str, Any]
NAN = math.nan


def audit(
    *,
    net: str = "vgg8",
    size: int | None = None,
    K: Sequence[int] = (10,),
    learners: Sequence[str] = (),
    rules: Sequence[str] = (),
    budget: str | None = None,
    device: str = "cpu",
    steps: int = 0,
    **options: Any,
) -> list[Row]:
    """One row a configuration and K.

    Parameters
    ----------
    net, size, learners, rules, options
        See `kaxis.measure.subject.subjects`; ``batch_size`` is among the options.
    K : sequence of int
    budget : str, optional
        A memory size such as ``8GB``: the largest batch whose predicted peak stays within it is looked for.
    device : {"cpu", "cuda"}
        Where steps are timed.
    steps : int
        Steps timed in each of two visits, the second in reverse order; 0 for none.

    Returns
    -------
    list of dict
        ``parameters`` ... ``temporaries`` and ``peak`` in bytes (predicted), ``flops_step``, ``flops_predict`` and ``predict_bytes`` (beside the
        parameters) an image; where steps were
        timed ``step_ms`` (median), ``step_ms_low`` and ``_high`` (quartiles), ``images_per_second``, ``floor_share`` (of the time that products of
        the same arithmetic take at this machine's rate for large ones), ``predict_us`` an image; on a GPU ``allocated``,
        ``reserved`` and ``measured_over_predicted``; with a budget ``largest_batch`` and ``images_per_second_there``.

    Raises
    ------
    KaxisError
        For options that do not fit, or a budget below the parameters' own size.

    Examples
    --------
    >>> rows = audit(net="vgg8", width=0.125, learners=["dtg_ff"])
    >>> [row["peak"] < rows[1]["peak"] for row in rows]
    [True, False, True]
    """
    if steps < 0:
        raise KaxisError(f"steps = {steps}: 0 or more")
    allowed = bytes_of(budget) if budget else None
    chosen = [s for k in K for s in subjects(net=net, size=size, K=k, learners=learners, rules=rules, **options)]
    costs = [predict(s) for s in chosen]
    largest = [None if allowed is None else largest_batch(s, allowed) for s in chosen]
    rate = product_rate(device)[0] if steps else NAN
    visits = _in_balance(chosen, device, steps)
    there = [
        _speed(visit(s.at_batch(b), device, max(1, steps // 2)), b) if b and steps else NAN
        for s, b in zip(chosen, largest, strict=True)
    ]
    rows = []
    for s, cost, seen, batch, speed in zip(chosen, costs, visits, largest, there, strict=True):
        row: Row = {
            "net": net,
            "size": s.inputs,
            "K": s.cell.K,
            "batch": s.batch,
            "configuration": s.name,
            "learner": s.cell.learner,
            **cost.split,
            "peak": cost.peak,
            "flops_step": cost.flops_step,
            "flops_predict": cost.flops_predict,
            "predict_bytes": cost.predict_bytes / cost.predicted,
        }
        if steps:
            row |= _timed(seen, s.batch, cost.flops_step / rate)
        if device == "cuda" and steps:
            row |= {"allocated": seen.allocated, "reserved": seen.reserved}
            row["measured_over_predicted"] = seen.allocated / cost.peak if seen.allocated else NAN
        if allowed is not None:
            row |= {"largest_batch": batch, "images_per_second_there": speed}
        rows.append(row)
    return rows


def _in_balance(chosen: Sequence[Subject], device: str, steps: int) -> list[Visit]:
    """Each configuration twice, there and back, so that a machine that slows down or heats up slows all alike."""
    seen = [Visit() for _ in chosen]
    order = list(range(len(chosen)))
    for i in (order + order[::-1]) if steps else ():
        if not seen[i].failed:
            seen[i] = seen[i].join(visit(chosen[i], device, steps))
    return seen


def _speed(seen: Visit, batch: int) -> float:
    return NAN if seen.failed else batch / float(np.median(seen.steps))


def _timed(seen: Visit, batch: int, floor: float) -> Row:
    """`floor`: seconds an image at the rate of large products."""
    if seen.failed:
        names = ("step_ms", "step_ms_low", "step_ms_high", "images_per_second", "floor_share", "predict_us")
        return {**dict.fromkeys(names, NAN), "failed": seen.failed}
    low, middle, high = np.quantile(seen.steps, (0.25, 0.5, 0.75))
    return {
        "step_ms": 1e3 * float(middle),
        "step_ms_low": 1e3 * float(low),
        "step_ms_high": 1e3 * float(high),
        "images_per_second": batch / float(middle),
        "floor_share": floor * batch / float(middle),
        "predict_us": 1e6 * float(np.median(seen.predictions)) / seen.predicted,
        "failed": "",
    }


def largest_batch(subject: Subject, budget: int) -> int:
    """The largest batch whose predicted peak is within a budget in bytes, a multiple of `subject.unit`; 0 if none is.

    Memory grows with the batch, piece by piece in straight lines: the next guess is where the line through the last two meets the budget.

    Raises
    ------
    KaxisError
        If the budget is below the size of the parameters.
    """
    unit = subject.unit

    def peak(n: int) -> int:
        return predict(subject.at_batch(n * unit)).peak

    first = predict(subject.at_batch(unit))
    if budget < first.split["parameters"]:
        raise KaxisError(
            f"budget = {budget / 2**20:.3g} MiB: the parameters of {subject.name} alone take {first.split['parameters'] / 2**20:.3g} MiB"
        )
    fits, at_fits = 1, first.peak
    if at_fits > budget:
        return 0
    known: dict[int, int] = {1: at_fits}
    over = 2 * max(1, subject.batch // unit)
    while known.setdefault(over, peak(over)) <= budget:
        fits, over = over, over * 4
    while over - fits > 1:
        a, b = known[fits], known[over]
        guess = fits + int((budget - a) / (b - a) * (over - fits)) if b > a else (fits + over) // 2
        for n in (min(max(guess, fits + 1), over - 1), min(max(guess + 1, fits + 1), over - 1)):
            if fits < n < over:
                known[n] = peak(n)
                fits, over = (n, over) if known[n] <= budget else (fits, n)
    return fits * unit
