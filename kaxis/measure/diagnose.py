"""Inside trained networks: what each layer gets right, how layers differ, and what their activations tell of the label
(paper, diagnostics).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from kaxis.errors import KaxisError
from kaxis.sources.load import load_task
from kaxis.spec.cell import Cell
from kaxis.spec.learner import TableLearner
from kaxis.stats import information
from kaxis.stats.arrays import estimate
from kaxis.store.cube import select
from kaxis.store.records import Store
from kaxis.store.select import Conditions
from kaxis.train.checkpoint import load_weights
from kaxis.train.loop import log_probability, right_of, stack_of
from kaxis.train.precision import cpu_matmul, one_thread

__all__ = ["BINS", "ESTIMATORS", "diagnose", "diagnose_rows", "known_case"]

BINS = (50, 100, 200, 500)
ESTIMATORS = ("ksg", *(f"histogram_{b}" for b in BINS), "probe_goodness", "probe_gap")


def diagnose(
    store: Store,
    *,
    where: Conditions | None = None,
    data: Path | None = None,
    temperatures: bool = False,
    estimators: Sequence[str] = ESTIMATORS,
) -> list[xr.Dataset]:
    """Trained cells whose weights were kept, on their test samples.

    Parameters
    ----------
    store : Store
    where : mapping, optional
        As `kaxis.load_cube`: keeps the cells with these values.
    data : Path, optional
        Folder of image files.
    temperatures : bool
        Insist on learned temperatures; else they are shown where there are any.
    estimators : sequence of str
        Out of `ESTIMATORS`; none to leave information out.

    Returns
    -------
    list of Dataset
        One for each source, K and learner, over ``seed`` and ``layer``: ``layer_accuracy`` (NaN where a layer has no
        head), ``accuracy`` of the learner's own inference, ``oracle`` (share of samples that some layer gets right),
        ``disagreement`` (layer, other: share on which two layers answer differently), ``information`` (layer,
        estimator; bits), ``temperature`` (look, layer) with the ``step`` of each look, ``last_temperature``.
        ``attrs["left_out"]`` names cells that were passed over: failed ones, rules, ensembles. Of the scalar goodness
        mean(a^2) the first estimators; ``probe_goodness`` of what the layer's head reads (the pooled a^2, or a for
        learners that read it), ``probe_gap`` of the average-pooled activation; on an MLP the activation itself.

    Raises
    ------
    KaxisError
        If no record fits, a cell that fits is not finished or its weights were not kept, or temperatures are asked for
        and not learned.
    """
    if unknown := [e for e in estimators if e not in ESTIMATORS]:
        raise KaxisError(f"estimator '{unknown[0]}' is not one of: {', '.join(ESTIMATORS)}")
    records, asked = select(store, where)
    found = {Cell(r["config"]).id: r for r in records}
    cells = {c.id: c for c in [*asked, *(Cell(r["config"]) for r in records)]}.values()
    groups, left_out = _groups(store, cells, found, temperatures)
    if not groups:
        raise KaxisError(f"nothing to look into: {left_out[0]}")
    return [
        xr.concat(
            [_inside(store, cell, found[cell.id], data, estimators) for cell in sorted(own, key=lambda c: c.seed)],
            xr.DataArray(sorted(c.seed for c in own), dims="seed", name="seed"),
            join="outer",
        ).assign_attrs(source=source, K=K, learner=name, left_out=tuple(left_out))
        for (source, K, name), own in groups.items()
    ]


def _groups(
    store: Store, cells: Iterable[Cell], found: Mapping[str, Mapping[str, Any]], temperatures: bool
) -> tuple[dict[tuple[str, int, str], list[Cell]], list[str]]:
    """Cells to look into, by source, K and learner; and which are passed over, and why.

    Raises
    ------
    KaxisError
        As `diagnose`.
    """
    groups: dict[tuple[str, int, str], list[Cell]] = {}
    left_out: dict[str, None] = {}
    for cell in cells:
        learner, record = cell.algorithm, found.get(cell.id)
        if record is None:
            raise KaxisError(f"{cell} is not finished: run it, or choose others with --where")
        if not isinstance(learner, TableLearner) or learner.members > 1:
            left_out[f"learner '{cell.learner}': a rule or an ensemble has no layers to look into"] = None
        elif record["status"] != "done":
            left_out[f"{cell} has failed ({record['reason']})"] = None
        elif not store.weights(cell).exists():
            raise KaxisError(f"{cell}: its weights were not kept; run it with --weights")
        elif temperatures and learner.temperature != "learned":
            raise KaxisError(
                f"temperatures: learner '{cell.learner}' has none to learn (temperature = 1); choose others with "
                "--where"
            )
        else:
            groups.setdefault((cell.source, cell.K, cell.learner), []).append(cell)
    return groups, list(left_out)


@dataclass
class _Layers:
    """What the test samples leave in a network: predictions of its heads, and each layer's features, row by row."""

    y: NDArray[np.int64]
    heads: dict[int, NDArray[np.int64]]
    scalar: list[NDArray[np.float32]]
    goodness: list[NDArray[np.float32]]
    gap: list[NDArray[np.float32]]


def _inside(
    store: Store, cell: Cell, record: Mapping[str, Any], data: Path | None, estimators: Sequence[str]
) -> xr.Dataset:
    with one_thread(), cpu_matmul():
        seen = _layers(store, cell, record, data)
        depth, K = len(seen.gap), cell.K
        accuracy = np.full(depth, np.nan)
        differ = np.full((depth, depth), np.nan)
        for i, said in seen.heads.items():
            accuracy[i] = np.mean(said == seen.y)
            for j, other in seen.heads.items():
                differ[i, j] = np.mean(said != other)
        right = [said == seen.y for said in seen.heads.values()]
        bits = np.array([[_bits(e, seen, i, K) for e in estimators] for i in range(depth)]).reshape(depth, -1)
    out = xr.Dataset(
        {
            "layer_accuracy": ("layer", accuracy),
            "disagreement": (("layer", "other"), differ),
            "information": (("layer", "estimator"), bits),
            "accuracy": record["metrics"]["test_accuracy"],
            "oracle": float(np.any(right, 0).mean()) if right else np.nan,
        },
        coords={"layer": range(depth), "other": range(depth), "estimator": list(estimators)},
        attrs={"n_test": len(seen.y)},
    )
    if "temperature" in record["metrics"]:
        curve = np.array(record["curves"].get("temperature") or [record["metrics"]["temperature"]])
        along = np.full((len(curve), depth), np.nan)
        along[:, list(seen.heads)] = curve
        out["temperature"] = (("look", "layer"), along)
        out["step"] = ("look", record["curves"]["step"][-len(curve) :])
        out["last_temperature"] = ("layer", along[-1])
    return out


def _bits(estimator: str, seen: _Layers, layer: int, K: int) -> float:
    if estimator == "ksg":
        return information.ksg(seen.scalar[layer], seen.y)
    if estimator.startswith("histogram"):
        return information.histogram(seen.scalar[layer], seen.y, bins=int(estimator.partition("_")[2]))
    features = (seen.goodness if estimator == "probe_goodness" else seen.gap)[layer]
    error = information.probe_error(features, seen.y, K)
    return information.fano_bound(error, K, information.label_entropy(seen.y))


@torch.no_grad()
def _layers(store: Store, cell: Cell, record: Mapping[str, Any], data: Path | None) -> _Layers:
    conv = cell.conv
    task = load_task(cell.data, cell.K, cell.seed, data, pixels=conv)
    if task.facts.get("checksums") != record["data"].get("checksums"):
        raise KaxisError(f"{cell} in {store.path} was trained on other files than are here now")
    stack = stack_of([cell], [(cell.seed, 0)], {cell.seed: task}, "cpu")
    load_weights(store.weights(cell), stack, [0])
    net = stack.first()
    depth = len(net.plan) if conv else net.depth
    # A conv net's only classifier may be the concat one: then no layer has a head.
    heads: dict[int, list[Any]] = {i: [] for i in net.headed}
    kinds: list[list[list[Any]]] = [[[] for _ in range(depth)] for _ in range(3)]
    scalar, goodness, gap = kinds
    hits = 0
    for (x,), (labels,) in stack.batches.seen("test"):
        n = len(labels)
        x = x if conv else x[None]
        logits = net.logits(x)
        heads_MKB = [z.T[None] for z in logits] if conv else list(logits)
        hits += right_of(log_probability(heads_MKB, len(net.headed), cell.algorithm.inference), labels).sum()
        for i, z in zip(net.headed, logits, strict=False):
            heads[i].append((z if conv else z[0].T)[:n].argmax(1).numpy())
        for i, a in enumerate(net.activations(x)):
            a_BF = a.mean((2, 3)) if conv else a[0].T
            g_BG = net.goodness(i, a) if conv else a_BF**2 if net.squared else a_BF
            scalar[i].append((a * a).mean((1, 2, 3))[:n].numpy() if conv else (a_BF**2).mean(1)[:n].numpy())
            goodness[i].append(g_BG[:n].numpy().copy())
            gap[i].append(a_BF[:n].numpy().copy())
    _check_accuracy(store, cell, record, hits / len(task.y_test))
    said = {i: np.concatenate(parts) for i, parts in heads.items()}
    joined = [[np.concatenate(parts) for parts in kind] for kind in kinds]
    return _Layers(task.y_test, said, *joined)


NEAR = 0.01
"""How far the accuracy of weights from another backend, or of 16-bit activations, may lie from the record's."""


def _check_accuracy(store: Store, cell: Cell, record: Mapping[str, Any], found: float) -> None:
    """Refuse weights that do not predict what the record says of them."""
    told = record["metrics"]["test_accuracy"]
    made = record["provenance"]
    same = made.get("device") == "cpu" and made.get("cpu") == torch.backends.cpu.get_cpu_capability()
    if abs(found - told) > (1e-9 if same and not cell.training.bfloat16 else NEAR):
        raise KaxisError(
            f"weights {store.weights(cell)}: their test accuracy is {found:.4f}, the record of {cell} says "
            f"{told:.4f}; they are not its own: "
            "run it again with --weights --force"
        )


def known_case(K: int, n: int, bits: float) -> dict[str, float]:
    """What each estimator says of `n` samples of a Gaussian mixture that carries exactly `bits`; ``exact`` beside them.

    Examples
    --------
    >>> said = known_case(10, 2000, 0.5)
    >>> abs(said["ksg"] - said["exact"]) < 0.1
    True
    """
    x, y, exact = information.gaussian_mixture(bits, K, n)
    out = {"exact": exact, "ksg": information.ksg(x, y)}
    out |= {f"histogram_{b}": information.histogram(x, y, bins=b) for b in BINS}
    with one_thread():
        error = information.probe_error(x[:, None], y, K)
    return out | {"probe": information.fano_bound(error, K, information.label_entropy(y))}


def diagnose_rows(one: xr.Dataset, prob: float = 0.95) -> list[dict[str, Any]]:
    """A result of `diagnose` as plain rows: each layer's quantities, then the network's (layer None), means over seeds
    with t intervals.

    ``disagreement`` is the mean over pairs of layers, ``temperature`` the last; what a network does not have is left
    out.
    """
    place = {name: one.attrs[name] for name in ("source", "K", "learner")}

    def row(layer: int | None, quantity: str, values: xr.DataArray) -> dict[str, Any]:
        d = estimate(np.atleast_1d(values.values), prob)
        known = {"mean": d.mean, "ci_lower": d.lower, "ci_upper": d.upper, "n_seeds": d.n}
        return {**place, "layer": layer, "quantity": quantity, **known}

    rows = []
    for layer in one.layer.values.tolist():
        own = one.sel(layer=layer)
        if own.layer_accuracy.notnull().all():
            rows.append(row(layer, "accuracy", own.layer_accuracy))
        if "last_temperature" in one and own.last_temperature.notnull().all():
            rows.append(row(layer, "temperature", own.last_temperature))
        rows += [row(layer, str(e), own.information.sel(estimator=e)) for e in one.estimator.values]
    pairs = one.disagreement.where(one.layer < one.other)
    whole = {"accuracy": one.accuracy, "oracle": one.oracle, "disagreement": pairs.mean(("layer", "other"))}
    return [*rows, *(row(None, name, values) for name, values in whole.items() if values.notnull().all())]
