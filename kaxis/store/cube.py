"""From records to the cube: an `xarray.Dataset` over (source, K, learner, seed)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from kaxis.cell import Cell
from kaxis.errors import KaxisError, hint
from kaxis.learners import SETTINGS, TABLE
from kaxis.store.records import Store

__all__ = ["AXES", "build_cube", "flat", "load_cube", "select"]

AXES = ("source", "K", "learner", "seed")
FINAL = ("train_accuracy", "test_accuracy", "train_loss", "test_loss")
HELD = ("held_accuracy",)
"""Where training samples were held out."""

FACTS = ("chance", "largest_class_share", "effective_classes", "n_train", "n_test", "epochs")
COUNTS = ("parameters", "buffers", "flops_step", "flops_predict")
SWITCHES = ("gradient", "power", "temperature", "readout", "start", "heads", "inference", "members", "rule", "code")


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
    cube = build_cube(*select(store, where))
    cube.attrs["problems"] = store.problems
    return cube


def select(store: Store, where: Mapping[str, str] | None = None) -> tuple[list[dict[str, Any]], list[Cell]]:
    """Records that have these values, and cells with them that somebody asked for.

    Raises as `load_cube`, also where two configurations share a place in the cube.
    """
    records = list(store.records())
    if not records:
        raise KaxisError(
            f"store {store.path} holds no records; fill it with, for example: kaxis run digits --K 3 5 10 --store {store.path}"
        )
    asked = [cell for study, _ in store.studies() for cell in study.cells()]
    flats = [flat(Cell(r["config"])) for r in records]
    _check_conditions(where or {}, flats)
    chosen = [r for r, values in zip(records, flats, strict=True) if _matches(values, where or {})]
    if not chosen:
        raise KaxisError(f"store {store.path}: none of {len(records)} records has {_conditions_text(where or {})}")
    _refuse_mixtures(chosen)
    return chosen, [cell for cell in asked if _matches(flat(cell), where or {})]


def build_cube(records: Iterable[Mapping[str, Any]], asked: Iterable[Cell] = ()) -> xr.Dataset:
    """Records side by side.

    Parameters
    ----------
    records : iterable of dict
        From `Store.records`.
    asked : iterable of Cell
        Cells that somebody asked for; those without a record are in the cube as missing.

    Returns
    -------
    xarray.Dataset
        Dims ``source, K, learner, seed``. ``status`` is done, failed or missing, ``reason`` says why it failed,
        ``asked`` whether the cell belongs to a grid that was run.
        Accuracies are fractions, losses nats, NaN where a cell is not done. ``*_curve`` variables have a further
        dim ``step``, ``layer_test_accuracy`` and ``temperature`` a dim ``layer``.
    """
    placed: dict[tuple[str, int, str, int], Mapping[str, Any]] = {}
    records = list(records)
    _refuse_mixtures(records)
    for record in records:
        cell = Cell(record["config"])
        placed[cell.source, cell.K, cell.learner, cell.seed] = record
    wanted = {(c.source, c.K, c.learner, c.seed) for c in asked} | set(placed)
    rank = {name: i for i, name in enumerate(TABLE)}
    axes: dict[str, list[Any]] = {
        "source": sorted({key[0] for key in wanted}, key=lambda s: (not s.startswith("synthetic"), s)),
        "K": sorted({key[1] for key in wanted}),
        "learner": sorted({key[2] for key in wanted}, key=lambda s: (rank.get(s.split("[")[0], 99), s)),
        "seed": sorted({key[3] for key in wanted}),
    }
    steps = sorted({step for r in records for step in r["curves"]["step"]})
    layers = max((len(r["metrics"].get("layer_test_accuracy", [])) for r in records), default=0)
    shape = tuple(len(axes[a]) for a in AXES)
    text = {
        name: np.full(shape, fill, dtype=object)
        for name, fill in (("status", "missing"), ("reason", ""), ("finished", ""))
    }
    numbers = {name: np.full(shape, np.nan) for name in (*FINAL, *HELD, *FACTS, *COUNTS)}
    curves = {f"{name}_curve": np.full((*shape, len(steps)), np.nan) for name in FINAL}
    by_layer = {name: np.full((*shape, layers), np.nan) for name in ("layer_test_accuracy", "temperature")}
    is_asked = np.zeros(shape, dtype=bool)
    index = {axis: {value: i for i, value in enumerate(values)} for axis, values in axes.items()}
    for key in wanted:
        is_asked[tuple(index[axis][value] for axis, value in zip(AXES, key, strict=True))] = True
    for key, r in placed.items():
        at: Any = tuple(index[axis][value] for axis, value in zip(AXES, key, strict=True))
        text["status"][at], text["reason"][at], text["finished"][at] = (
            r["status"],
            r["reason"],
            r["provenance"].get("first_finished") or r["provenance"].get("finished", ""),
        )
        for name in numbers:
            value = {**r["data"], **r["counts"], **r["metrics"]}.get(name)
            numbers[name][at] = math.nan if value is None else value
        for name in FINAL:
            for step, value in zip(r["curves"]["step"], r["curves"][name], strict=False):
                if value is not None:  # a conv net's training images are not looked at every epoch
                    curves[f"{name}_curve"][(*at, steps.index(step))] = value
        for name in by_layer:
            values = r["metrics"].get(name, [])
            by_layer[name][(*at, slice(len(values)))] = values
    cube = xr.Dataset(
        {name: (AXES, values.astype(str)) for name, values in text.items()}
        | {"asked": (AXES, is_asked)}
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


def flat(cell: Cell) -> dict[str, Any]:
    """A configuration's values by the names that users type: options, switches, ``source``, ``K``, ``learner``, ``seed``."""
    config = cell.config
    learner = {k: v for k, v in config["learner"].items() if k not in ("name", "settings")}
    learner |= config["learner"].get("settings", {})
    net = {("net" if k == "name" else k): v for k, v in config["net"].items()}
    place = {"source": cell.source, "learner": cell.learner, "K": cell.K, "seed": cell.seed}
    train = {k: " ".join(v) if isinstance(v, list) else v for k, v in config["train"].items()}
    defaults: dict[str, Any] = {"select": "last"}
    if "rule" not in config["learner"]:
        defaults |= {"weight_decay": 0.0, "label_smoothing": 0.0}  # an MLP's configuration names them where they differ
    return {**defaults, **place, **learner, **net, **train}


def _check_conditions(where: Mapping[str, str], flat: list[dict[str, Any]]) -> None:
    """Keys that exist, and for places in the cube values that exist."""
    for key, wanted in where.items():
        if not any(key in values for values in flat):
            raise KaxisError(f"where: '{key}' is not {hint(key, sorted({k for values in flat for k in values}))}")
        there = sorted({str(values[key]) for values in flat if key in values})
        if not any(_matches(values, {key: wanted}) for values in flat if key in values):
            raise KaxisError(f"where: none of {len(flat)} records has {key}={wanted}; it is {hint(wanted, there)}")


def _conditions_text(where: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in where.items())


def _matches(flat: Mapping[str, Any], where: Mapping[str, str]) -> bool:
    """Whether a configuration has these values; one without the key is not concerned."""
    return all(
        key not in flat or str(flat[key]) == wanted or _same_number(flat[key], wanted) for key, wanted in where.items()
    )


def _same_number(value: object, text: str) -> bool:
    try:
        return float(str(value)) == float(text)
    except ValueError:
        return False


def _refuse_mixtures(records: Sequence[Mapping[str, Any]]) -> None:
    """Raise if two records of one source differ in a setting that neither its place in the cube nor a bracket names."""
    seen: dict[tuple[str, str, str], set[str]] = {}
    for record in records:
        values = flat(Cell(record["config"]))
        values["checksums"] = str(sorted(record["data"].get("checksums", {}).items()))
        named = set(re.findall(r"(\w+)=", values["learner"]))
        for key, value in values.items():
            if key in AXES or key in named:
                continue
            own = key in SWITCHES or key in Cell(record["config"]).config["learner"].get("settings", {})
            owner = values["learner"] if own else ""
            seen.setdefault((values["source"], owner, key), set()).add(str(value))
    for (source, _, key), found in seen.items():
        if len(found) > 1:
            note = "; a bracket such as 'dtg_ff[lr=0.01]' makes a learner of its own" if key in SETTINGS else ""
            raise KaxisError(
                f"the store holds {key} = {' and '.join(sorted(found))} for {source}: choose with --where {key}={sorted(found)[0]}{note}"
            )
