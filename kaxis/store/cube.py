"""From records to the cube: an `xarray.Dataset` over (source, K, learner, seed)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from kaxis.cell import Cell
from kaxis.errors import KaxisError, hint
from kaxis.learners import SETTINGS, TABLE
from kaxis.store.records import Store

__all__ = ["AXES", "build_cube", "load_cube"]

AXES = ("source", "K", "learner", "seed")
FINAL = ("train_accuracy", "test_accuracy", "train_loss", "test_loss")
FACTS = ("chance", "largest_class_share", "effective_classes", "n_train", "n_test", "epochs")
COUNTS = ("parameters", "buffers", "flops_step", "flops_predict")
SWITCHES = ("gradient", "power", "temperature", "readout", "start", "heads", "inference", "members")


def load_cube(store: Store, where: Mapping[str, str] | None = None) -> xr.Dataset:
    """The cube of a store.

    Parameters
    ----------
    store : Store
    where : mapping, optional
        Keeps the records whose configuration has these values, e.g. ``{"source": "digits", "lr": "0.001"}``.

    Returns
    -------
    xarray.Dataset
        See `build_cube`. ``attrs["problems"]`` lists files that were skipped.

    Raises
    ------
    KaxisError
        If the store holds no such record, or records of different configurations for one place in the cube.
    """
    records = list(store.records())
    if not records:
        raise KaxisError(
            f"store {store.path} holds no records; fill it with, for example: kaxis run digits --K 3 5 10 --store {store.path}"
        )
    chosen = [r for r in records if _matches(r, where or {}, records)]
    if not chosen:
        raise KaxisError(
            f"store {store.path}: none of {len(records)} records has {', '.join(f'{k}={v}' for k, v in (where or {}).items())}"
        )
    cube = build_cube(chosen)
    cube.attrs["problems"] = store.problems
    return cube


def build_cube(records: Iterable[Mapping[str, Any]]) -> xr.Dataset:
    """Records side by side.

    Returns
    -------
    xarray.Dataset
        Dims ``source, K, learner, seed``. ``status`` is done, failed or missing, ``reason`` says why it failed.
        Accuracies are fractions, losses nats, NaN where a cell is not done. ``*_curve`` variables have a further
        dim ``step``, ``layer_test_accuracy`` and ``temperature`` a dim ``layer``.
    """
    placed: dict[tuple[str, int, str, int], Mapping[str, Any]] = {}
    records = list(records)
    _refuse_mixtures(records)
    for record in records:
        cell = Cell(record["config"])
        placed[cell.source, cell.K, cell.learner, cell.seed] = record
    rank = {name: i for i, name in enumerate(TABLE)}
    axes: dict[str, list[Any]] = {
        "source": sorted({key[0] for key in placed}, key=lambda s: (not s.startswith("synthetic"), s)),
        "K": sorted({key[1] for key in placed}),
        "learner": sorted({key[2] for key in placed}, key=lambda s: (rank.get(s.split("[")[0], 99), s)),
        "seed": sorted({key[3] for key in placed}),
    }
    steps = sorted({step for r in records for step in r["curves"]["step"]})
    layers = max((len(r["metrics"].get("layer_test_accuracy", [])) for r in records), default=0)
    shape = tuple(len(axes[a]) for a in AXES)
    text = {
        name: np.full(shape, fill, dtype=object)
        for name, fill in (("status", "missing"), ("reason", ""), ("finished", ""))
    }
    numbers = {name: np.full(shape, np.nan) for name in (*FINAL, *FACTS, *COUNTS)}
    curves = {f"{name}_curve": np.full((*shape, len(steps)), np.nan) for name in FINAL}
    by_layer = {name: np.full((*shape, layers), np.nan) for name in ("layer_test_accuracy", "temperature")}
    index = {axis: {value: i for i, value in enumerate(values)} for axis, values in axes.items()}
    for key, r in placed.items():
        at: Any = tuple(index[axis][value] for axis, value in zip(AXES, key, strict=True))
        text["status"][at], text["reason"][at], text["finished"][at] = (
            r["status"],
            r["reason"],
            r["provenance"].get("finished", ""),
        )
        for name in numbers:
            numbers[name][at] = {**r["data"], **r["counts"], **r["metrics"]}.get(name, math.nan)
        for name in FINAL:
            for step, value in zip(r["curves"]["step"], r["curves"][name], strict=False):
                curves[f"{name}_curve"][(*at, steps.index(step))] = value
        for name in by_layer:
            values = r["metrics"].get(name, [])
            by_layer[name][(*at, slice(len(values)))] = values
    cube = xr.Dataset(
        {name: (AXES, values.astype(str)) for name, values in text.items()}
        | {name: (AXES, values) for name, values in numbers.items()}
        | {name: ((*AXES, "step"), values) for name, values in curves.items()}
        | {name: ((*AXES, "layer"), values) for name, values in by_layer.items()},
        coords={**axes, "step": steps, "layer": np.arange(layers)},
    )
    for variable in map(str, cube.data_vars):
        if "accuracy" in variable or variable == "chance":
            cube[variable].attrs["units"] = "fraction"
        elif "loss" in variable:
            cube[variable].attrs["units"] = "nat"
    return cube


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration's values by the names that users type."""
    config = record["config"]
    cell = Cell(config)
    learner = {k: v for k, v in config["learner"].items() if k != "name"}
    net = {("net" if k == "name" else k): v for k, v in config["net"].items()}
    checksums = {"checksums": str(sorted(record["data"].get("checksums", {}).items()))}
    return {
        "source": cell.source,
        "learner": cell.learner,
        "K": cell.K,
        "seed": cell.seed,
        **learner,
        **net,
        **config["train"],
        **checksums,
    }


def _matches(record: Mapping[str, Any], where: Mapping[str, str], records: list[Any]) -> bool:
    flat = _flat(record)
    for key, wanted in where.items():
        if not any(key in _flat(r) for r in records[:1] + records[-1:]) and not any(key in _flat(r) for r in records):
            raise KaxisError(f"where: '{key}' is not {hint(key, {k for r in records for k in _flat(r)})}")
        if key in flat and str(flat[key]) != wanted and not _same_number(flat[key], wanted):
            return False
    return True


def _same_number(value: object, text: str) -> bool:
    try:
        return float(str(value)) == float(text)
    except ValueError:
        return False


def _refuse_mixtures(records: list[Mapping[str, Any]]) -> None:
    """Raise if two records of one source differ in a setting that neither its place in the cube nor a bracket names."""
    seen: dict[tuple[str, str, str], set[str]] = {}
    for record in records:
        flat = _flat(record)
        named = set(re.findall(r"(\w+)=", flat["learner"]))
        for key, value in flat.items():
            if key in AXES or key in named:
                continue
            owner = flat["learner"] if key in SWITCHES else ""
            seen.setdefault((flat["source"], owner, key), set()).add(str(value))
    for (source, _, key), values in seen.items():
        if len(values) > 1:
            note = "; a bracket such as 'dtg_ff[lr=0.01]' makes a learner of its own" if key in SETTINGS else ""
            raise KaxisError(
                f"the store holds {key} = {' and '.join(sorted(values))} for {source}: choose with --where {key}={sorted(values)[0]}{note}"
            )
