"""Every published number that a store has cells for, beside ours."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from kaxis.reference import published
from kaxis.spec.cell import Cell
from kaxis.stats.arrays import estimate
from kaxis.store.select import flat

__all__ = ["reproduction"]

LARGE = ("tiny_imagenet", "imagenet100", "stl10")
"""Sets of 64 px and more, for which the paper's recipe is the shorter one."""


def reproduction(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Published, ours, whether the published number lies where another study's mean would, and the printed settings
    that differ.

    Our interval says where the true mean is. A published mean of m seeds has an error of its own, so an exact
    replication lies outside our 95 % interval in 22 % of cases (10 seeds against 5). The prediction interval for a mean
    of m seeds, t s sqrt(1/n + 1/m), holds 95 %.

    Parameters
    ----------
    records : iterable of dict
        From `kaxis.store.records.Store.records`.

    Returns
    -------
    list of dict
        ``quantity`` (test accuracy, train-test gap, effect), ``source``, ``K``, ``learner``, ``net``, ``published``,
        ``effect`` (ours: mean over seeds, in per cent or pp), ``ci_lower``, ``ci_upper`` (95 % t), ``n_seeds``,
        ``n_published`` (its seeds), ``prediction_lower``,
        ``prediction_upper``, ``inside`` (the prediction interval; None without one), ``differs``.
    """
    groups: dict[tuple[str, int, str, str, str, str], dict[int, Mapping[str, Any]]] = {}
    for record in records:
        if record["status"] != "done":
            continue
        cell = Cell(record["config"])
        settings = flat(cell)
        differs = _differs(cell.source, settings)
        own = [
            cell.net.config(),
            cell.training.config(),
            [settings.get(k) for k in ("lr", "clip", "norm")],
        ]  # never mixed
        key = (cell.source, cell.K, cell.learner, str(settings["net"]), differs, json.dumps(own))
        groups.setdefault(key, {})[cell.seed] = record["metrics"]
    rows = []
    for want in _wanted():
        for (source, K, learner, net, differs, run), seeds in sorted(groups.items()):
            if (source, K, learner, net) != (want["source"], want["K"], want["learner"], want["net"]):
                continue
            values = {seed: _value(want["quantity"], m) for seed, m in seeds.items()}
            if want["baseline"]:
                other = groups.get((source, K, want["baseline"], net, differs, run), {})
                values = {s: v - _value(want["quantity"], other[s]) for s, v in values.items() if s in other}
            if not values:
                continue
            e = estimate(np.array(list(values.values())))
            reach = (e.upper - e.mean) * math.sqrt(1 + e.n / want["n_published"])
            inside = None if math.isnan(reach) else bool(abs(want["published"] - e.mean) <= reach)
            ours: dict[str, Any] = {"effect": e.mean, "ci_lower": e.lower, "ci_upper": e.upper, "n_seeds": e.n}
            ours |= {"prediction_lower": e.mean - reach, "prediction_upper": e.mean + reach, "inside": inside}
            rows.append({**want, **ours, "differs": differs})
    return rows


def _wanted() -> list[dict[str, Any]]:
    table: dict[str, Any] = published()
    out: list[dict[str, Any]] = []
    of = {name: {"n_published": n} for name, n in table["seeds"].items()}
    plain = {"net": "mlp", "baseline": "", **of["synthetic"]}
    for row in table["synthetic"]:
        place = {"source": "synthetic", "K": row["K"], "learner": row["learner"], **plain}
        out.append({"quantity": "test accuracy", **place, "published": row["test"]})
        out.append({"quantity": "train-test gap", **place, "published": row["gap"]})
    means = {(row["K"], row["learner"]): row["test"] for row in table["synthetic"]}
    for (K, learner), mean in means.items():
        if learner == "dtg_ff":
            for baseline in ("bp", "bp_deepsup", "bp_ensemble"):
                place = {"source": "synthetic", "K": K, "learner": learner, **plain, "baseline": baseline}
                out.append({"quantity": "effect", **place, "published": round(mean - means[K, baseline], 2)})
    for row in table["accuracy"]:
        place = {k: row[k] for k in ("source", "K", "learner", "net")}
        out.append({"quantity": "test accuracy", **place, "baseline": "", **of["accuracy"], "published": row["test"]})
    for row in table["real"]:
        place = {k: row[k] for k in ("source", "K", "learner", "baseline")}
        out.append({"quantity": "effect", **place, "net": "vgg8", **of["real"], "published": row["effect"]})
    return out


def _value(quantity: str, metrics: Mapping[str, Any]) -> float:
    test = 100 * float(metrics["test_accuracy"])
    return 100 * float(metrics["train_accuracy"]) - test if quantity == "train-test gap" else test


def _differs(source: str, settings: Mapping[str, Any]) -> str:
    """Settings that the paper prints and this record does not share."""
    kind = "synthetic" if settings["net"] == "mlp" else "large_images" if source.split("/")[0] in LARGE else "images"
    printed = published()["settings"][kind]
    return ", ".join(
        f"{key} {settings.get(key, 'none')} (published {value})"
        for key, value in printed.items()
        if settings.get(key) != value
    )
