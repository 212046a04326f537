"""The systems audit: memory, arithmetic and time of learners side by side (paper, systems audit), and along K
(ours).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kaxis.errors import KaxisError
from kaxis.measure.cost import cost_of, memory_of
from kaxis.measure.options import Asked, bytes_of
from kaxis.measure.subject import Subject, subjects
from kaxis.measure.timing import Timing, rate, time_steps
from kaxis.spec.net import MLPSpec
from kaxis.train.memory import free_bytes

__all__ = ["audit", "largest_batch"]

Row = dict[str, Any]
NAN = math.nan
GPU_STEPS = 20


def audit(asked: Asked | None = None, *, device: str = "cpu", **options: Any) -> list[Row]:
    """One row a configuration and K.

    Parameters
    ----------
    asked : Asked, optional
        Or its fields as keywords: ``net``, ``size``, ``batch``, ``K``, ``learners``, ``budget``, ``steps`` ...
    device : {"cpu", "cuda"}
        Where steps are timed.

    Returns
    -------
    list of dict
        Every row has every key. ``parameters`` ... ``temporaries`` and ``peak``: bytes, predicted. ``flops_step``,
        ``flops_predict``, ``predict_bytes`` (beside the networks): an image. NaN unless steps were timed: ``step_ms``
        (median), ``step_ms_low`` and ``_high`` (quartiles),
        ``images_per_second``, ``floor_share`` (the time of the same arithmetic at ``rate``, the FLOP/s of large
        products here, over the step's), ``predict_us`` an image. None unless measured on a GPU: ``allocated``,
        ``reserved``, ``measured_over_predicted``. None without a budget: ``largest_batch`` (predicted); timed at it
        ``images_per_second_there``, ``allocated_there``, ``failed_there``. ``failed``: why there is no time.

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
    if asked and options:
        raise KaxisError(f"audit: {next(iter(options))} beside options that are made already")
    if device not in ("cpu", "cuda"):
        raise KaxisError(f"device {device}: cpu or cuda")
    own = asked or Asked.of(options)
    steps = own.steps if own.steps is not None else GPU_STEPS if device == "cuda" else 0
    allowed = bytes_of(own.budget) if own.budget else None
    chosen = subjects(own)
    largest = [None if allowed is None else largest_batch(s, allowed) for s in chosen]
    floor = rate(device, own.precision or "float32") if steps else NAN
    timings = _in_balance(chosen, device, steps)
    there = [_there(s, b, device, steps) for s, b in zip(chosen, largest, strict=True)]
    seen_there = zip(chosen, timings, largest, there, strict=True)
    return [_row(own.net, s, seen, batch, full, floor, allowed) for s, seen, batch, full in seen_there]


def _row(net: str, s: Subject, seen: Timing, batch: int | None, full: Timing, floor: float, allowed: int | None) -> Row:
    cost = cost_of(s)
    return {
        "net": net,
        "size": s.inputs,
        "width": s.cell.net.width,
        "depth": s.cell.net.depth if isinstance(s.cell.net, MLPSpec) else None,
        "precision": "bfloat16" if s.cell.training.bfloat16 else "float32",
        "batch": s.batch,
        "K": s.cell.K,
        "configuration": s.name,
        "learner": s.cell.learner,
        **cost.split,
        "peak": cost.peak,
        "flops_step": cost.flops_step,
        "flops_predict": cost.flops_predict,
        "predict_bytes": cost.predict_bytes,
        **_timed(seen, s.batch, cost.flops_step / floor),
        "rate": floor,
        "steps": len(seen.steps),
        "allocated": seen.allocated,
        "reserved": seen.reserved,
        "measured_over_predicted": seen.allocated / cost.peak if seen.allocated else None,
        "budget": allowed,
        "largest_batch": batch,
        "images_per_second_there": _speed(full, batch or 0),
        "allocated_there": full.allocated,
        "failed_there": full.failed,
    }


def _in_balance(chosen: Sequence[Subject], device: str, steps: int) -> list[Timing]:
    """Each configuration twice, there and back, so that a machine that slows down or heats up slows all alike."""
    seen = [Timing() for _ in chosen]
    order = list(range(len(chosen)))
    for i in (*order, *order[::-1]) if steps else ():
        if not seen[i].failed:
            seen[i] = seen[i].join(time_steps(chosen[i], device, steps))
    return seen


def _there(subject: Subject, batch: int | None, device: str, steps: int) -> Timing:
    """Steps timed at the largest batch, once; not where it would fill this machine."""
    if not batch or not steps:
        return Timing()
    full = subject.at_batch(batch)
    if device == "cpu" and sum(memory_of(full).values()) > 0.8 * free_bytes("cpu"):
        return Timing(failed="not tried: more than this machine has free")
    return time_steps(full, device, max(1, steps // 2))


def _speed(seen: Timing, batch: int) -> float:
    return batch / float(np.median(seen.steps)) if seen.steps and not seen.failed else NAN


def _timed(seen: Timing, batch: int, floor: float) -> Row:
    """`floor`: seconds an image at the rate of large products."""
    if seen.failed or not seen.steps:
        names = ("step_ms", "step_ms_low", "step_ms_high", "images_per_second", "floor_share", "predict_us")
        return {**dict.fromkeys(names, NAN), "failed": seen.failed}
    low, middle, high = (float(q) for q in np.quantile(seen.steps, (0.25, 0.5, 0.75)))
    return {
        "step_ms": 1e3 * middle,
        "step_ms_low": 1e3 * low,
        "step_ms_high": 1e3 * high,
        "images_per_second": batch / middle,
        "floor_share": floor * batch / middle,
        "predict_us": 1e6 * float(np.median(seen.predictions)) / seen.images,
        "failed": "",
    }


def largest_batch(subject: Subject, budget: int) -> int:
    """The largest batch whose predicted peak is within a budget in bytes, a multiple of `subject.unit`; 0 if none is.

    Memory grows with the batch in straight pieces, never less steeply: the next guess is where the line through the
    last two meets the budget.

    Raises
    ------
    KaxisError
        If the budget is below the size of the parameters.
    """
    unit = subject.unit

    def peak(n: int) -> int:
        return sum(memory_of(subject.at_batch(n * unit)).values())

    first = memory_of(subject.at_batch(unit))
    if budget < first["parameters"]:
        raise KaxisError(
            f"budget = {budget / 2**20:.3g} MiB: the parameters of {subject.name} alone take "
            f"{first['parameters'] / 2**20:.3g} MiB"
        )
    fits, low = 1, sum(first.values())
    if low > budget:
        return 0
    over, high = 2, peak(2)
    while high <= budget:
        further = over + max(1, int((budget - high) * (over - fits) / max(1, high - low)))
        fits, low = over, high
        over, high = further, peak(further)
    while over - fits > 1:
        guess = fits + int((budget - low) * (over - fits) / (high - low))
        for n in (min(max(guess, fits + 1), over - 1), min(max(guess + 1, fits + 1), over - 1)):
            if fits < n < over:
                found = peak(n)
                if found <= budget:
                    fits, low = n, found
                else:
                    over, high = n, found
    return fits * unit
