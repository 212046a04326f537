"""From records to the cube: an `xarray.Dataset` over (source, K, learner, seed)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from kaxis.errors import KaxisError
from kaxis.outcomes import unpack
from kaxis.spec.cell import Cell
from kaxis.spec.learners import TABLE
from kaxis.store.records import Store
from kaxis.store.select import (
    AXES,
    Conditions,
    any_of,
    check_conditions,
    conditions_text,
    flat,
    flats,
    matches,
    refuse_mixtures,
)

__all__ = ["AXES", "build_cube", "flat", "load_cube", "select"]

FINAL = ("train_accuracy", "test_accuracy", "train_loss", "test_loss")
HELD = ("held_accuracy",)
"""Where training samples were held out."""

FACTS = ("chance", "largest_class_share", "effective_classes", "n_train", "n_test", "epochs")
ALONG_LAYERS = ("layer_test_accuracy", "temperature")
COUNTS = ("parameters", "buffers", "flops_step", "flops_predict")


def load_cube(
    store: Store | str | Path, where: Conditions | None = None, *, curves: bool = True, outcomes: bool = False
) -> xr.Dataset:
    """The cube of a store.

    Parameters
    ----------
    store : Store, or its folder
    where : mapping, optional
        Keeps the records whose configuration has these values, e.g. ``{"source": "digits", "lr": "0.001"}``.
    curves : bool
        Without them ten thousand records take a tenth of the memory.
    outcomes : bool
        Also ``right``, which test samples each cell got right: boolean, with a further dim ``sample`` in the order of
        the task's test samples, which the data, K and the seed's classes fix, the same for every learner. It is false
        past a source's ``n_test``, and everywhere in a cell without outcomes, as records before version 0.2 are;
        ``has_outcomes`` tells these apart.

    Returns
    -------
    xarray.Dataset
        See `build_cube`. ``attrs["problems"]`` lists files that were skipped, ``attrs["foreign"]`` those of them that
        stand for no cell here.

    Raises
    ------
    KaxisError
        If the store holds no such record, or records of different configurations for one place in the cube.
    """
    store = store if isinstance(store, Store) else Store(store)
    chosen, asked = _select(store, where, curves=curves, outcomes=outcomes)
    wrong = {cell.id: str(store.damaged[cell.id]) for cell in asked if cell.id in store.damaged}
    cube = _build(chosen, asked, wrong)
    if outcomes:
        cube = cube.assign(_outcomes(chosen, cube))
    cube.attrs["problems"] = store.problems
    cube.attrs["foreign"] = [p for p in store.problems if not any(f"{cell_id}.json" in p for cell_id in wrong)]
    return cube


def select(
    store: Store, where: Conditions | None = None, *, curves: bool = True
) -> tuple[list[Mapping[str, Any]], list[Cell]]:
    """Records that have these values, and cells with them that somebody asked for; a damaged record's cell is one of
    these.

    Raises as `load_cube`, but where two configurations share a place in the cube: that is `build_cube`'s.
    """
    chosen, asked = _select(store, where, curves=curves, outcomes=curves)
    return [record for record, _ in chosen], asked


Chosen = list[tuple[Mapping[str, Any], Mapping[str, Any]]]
"""Records with their `flat` values."""


def _select(store: Store, where: Conditions | None, *, curves: bool, outcomes: bool) -> tuple[Chosen, list[Cell]]:
    records = list(store.records(curves=curves, outcomes=outcomes))
    problems = list(store.problems)
    if not records:
        lost = f"; {len(problems)} files there are skipped, the first: {problems[0]}" if problems else ""
        raise KaxisError(
            f"store {store.path} holds no records{lost}; fill it with, for example: kaxis run digits --K 3 5 10 "
            f"--store {store.path}"
        )
    asked = [cell for study, _ in store.studies() for cell in study.cells()]
    asked += [damaged.cell for damaged in store.damaged.values() if damaged.cell is not None]
    all_flat = flats(r["config"] for r in records)
    where = _named_set(where or {}, all_flat)
    check_conditions(where, all_flat)
    chosen: Chosen = [(r, values) for r, values in zip(records, all_flat, strict=True) if matches(values, where)]
    if not chosen:
        raise KaxisError(f"store {store.path}: none of {len(records)} records has {conditions_text(where)}")
    done = {tuple(values[axis] for axis in AXES) for r, values in chosen if r["status"] == "done"}
    # A cell that failed under other settings, and is done by now in the same place, is history.
    chosen = [(r, v) for r, v in chosen if r["status"] == "done" or tuple(v[axis] for axis in AXES) not in done]
    refuse_mixtures(chosen)
    return chosen, [cell for cell in asked if matches(flat(cell), where)] if where else asked


def _named_set(where: Conditions, flats: Sequence[Mapping[str, Any]]) -> Conditions:
    """Conditions in which a set's bare name stands for the one source that it has here, where none is called just
    so.
    """
    if "source" not in where:
        return where
    there = {str(values["source"]) for values in flats}

    def meant(asked: str) -> str:
        own = [source for source in there if source.split("/")[0] == asked]
        return own[0] if asked not in there and len(own) == 1 else asked

    return {**where, "source": [meant(asked) for asked in any_of(where["source"])]}


def build_cube(
    records: Iterable[Mapping[str, Any]], asked: Iterable[Cell] = (), *, damaged: Mapping[str, str] | None = None
) -> xr.Dataset:
    """Records side by side.

    Parameters
    ----------
    records : iterable of dict
        From `Store.records`.
    asked : iterable of Cell
        Cells that somebody asked for; those without a record are in the cube as missing.
    damaged : mapping of str to str, optional
        By its id, what is wrong with the record of a cell that was asked for.

    Returns
    -------
    xarray.Dataset
        Dims ``source, K, learner, seed``. ``status`` is done, failed, damaged or missing, ``reason`` says why it failed
        or is not believed, ``asked`` whether the cell belongs to a grid that was run, ``made_on`` on what kind of
        machine it was trained: cells of one kind are bitwise what they would be beside any others; ``net`` its net.
        Accuracies are fractions, losses nats, NaN where a cell is not done. Where records have their curves,
        ``*_curve`` variables with a further dim ``step``; ``layer_test_accuracy`` and ``temperature`` have a dim
        ``layer``, which counts heads: of a learner with one head, at its last layer, it is 0.
    """
    there = list(records)
    chosen: Chosen = list(zip(there, flats(r["config"] for r in there), strict=True))
    refuse_mixtures(chosen)
    return _build(chosen, asked, damaged or {})


def _build(chosen: Chosen, asked: Iterable[Cell], damaged: Mapping[str, str]) -> xr.Dataset:
    placed: dict[tuple[str, int, str, int], Mapping[str, Any]] = {}
    for record, own in chosen:
        here = _place(own)
        first = placed.setdefault(here, record)
        if first is not record and first["config"] != record["config"]:
            raise KaxisError(
                f"{here[0]}, K = {here[1]}, {here[2]}, seed {here[3]}: two configurations that no condition tells "
                "apart; keep each in a store of its own"
            )
    absent = {(c.source, c.K, c.learner, c.seed): damaged.get(c.id, "") for c in asked}
    wanted = set(absent) | set(placed)
    rank = {name: i for i, name in enumerate(TABLE)}
    axes: dict[str, list[Any]] = {
        "source": sorted({key[0] for key in wanted}, key=lambda s: (not s.startswith("synthetic"), s)),
        "K": sorted({key[1] for key in wanted}),
        "learner": sorted({key[2] for key in wanted}, key=lambda s: (rank.get(s.split("[")[0], 99), s)),
        "seed": sorted({key[3] for key in wanted}),
    }
    index = {axis: {value: i for i, value in enumerate(values)} for axis, values in axes.items()}
    values = _Values(tuple(len(axes[a]) for a in AXES), list(placed.values()))
    for key in wanted:
        at: Any = tuple(index[axis][value] for axis, value in zip(AXES, key, strict=True))
        values.asked[at] = True
        if key in placed:
            values.put(at, placed[key])
        elif absent[key]:
            values.text["status"][at], values.text["reason"][at] = "damaged", absent[key]
    cube = values.dataset(axes)
    for variable in map(str, cube.data_vars):
        if "accuracy" in variable or variable == "chance":
            cube[variable].attrs["units"] = "fraction"
        elif "loss" in variable:
            cube[variable].attrs["units"] = "nat"
    return cube


class _Values:
    """The cube's variables as arrays, before anything is in them.

    Parameters
    ----------
    shape : tuple of int
        Of `AXES`.
    records : list of dict
        Whose looks and layers give the further dims.
    """

    def __init__(self, shape: tuple[int, ...], records: list[Mapping[str, Any]]) -> None:
        looked = [r for r in records if "curves" in r]
        self.steps = sorted({step for r in looked for step in r["curves"]["step"]})
        self.at_step = {step: i for i, step in enumerate(self.steps)}
        self.layers = max((len(r["metrics"].get(name, [])) for r in records for name in ALONG_LAYERS), default=0)
        fills = {"status": "missing", "reason": "", "finished": "", "made_on": "", "net": ""}
        self.text = {name: np.full(shape, fill, dtype=object) for name, fill in fills.items()}
        self.asked = np.zeros(shape, dtype=bool)
        self.numbers = {name: np.full(shape, np.nan) for name in (*FINAL, *HELD, *FACTS, *COUNTS)}
        self.curves = {f"{n}_curve": np.full((*shape, len(self.steps)), np.nan) for n in FINAL if looked}
        self.by_layer = {name: np.full((*shape, self.layers), np.nan) for name in ALONG_LAYERS}

    def put(self, at: Any, r: Mapping[str, Any]) -> None:
        """A record into its place."""
        made = r["provenance"]
        self.text["status"][at], self.text["reason"][at] = r["status"], r["reason"]
        self.text["net"][at] = r["config"]["net"]["name"]
        on = ("device", "gpu", "backend") if made.get("device") == "cuda" else ("device", "backend", "cpu")
        kind = (*(made.get(name, "") for name in on), f"torch {made.get('versions', {}).get('torch', '?')}")
        self.text["made_on"][at] = " ".join(part for part in kind if part)
        self.text["finished"][at] = made.get("first_finished") or made.get("finished", "")
        known = {**r["data"], **r["counts"], **r["metrics"]}
        for name in self.numbers:
            value = known.get(name)
            self.numbers[name][at] = math.nan if value is None else value
        for name in self.by_layer:
            values = r["metrics"].get(name, [])
            self.by_layer[name][(*at, slice(len(values)))] = values
        for name in FINAL if "curves" in r else ():
            for step, value in zip(r["curves"]["step"], r["curves"][name], strict=False):
                if value is not None:  # a conv net's training images are not looked at every epoch
                    self.curves[f"{name}_curve"][(*at, self.at_step[step])] = value

    def dataset(self, axes: Mapping[str, list[Any]]) -> xr.Dataset:
        return xr.Dataset(
            {name: (AXES, values.astype(str)) for name, values in self.text.items()}
            | {"asked": (AXES, self.asked)}
            | {name: (AXES, values) for name, values in self.numbers.items()}
            | {name: ((*AXES, "step"), values) for name, values in self.curves.items()}
            | {name: ((*AXES, "layer"), values) for name, values in self.by_layer.items()},
            coords={**axes, **({"step": self.steps} if self.curves else {}), "layer": np.arange(self.layers)},
        )


def _outcomes(chosen: Chosen, cube: xr.Dataset) -> dict[str, Any]:
    """Which test samples each cell got right, and whether it says so."""
    told = [(record, _place(values)) for record, values in chosen if "test_right" in record]
    most = max((record["data"]["n_test"] for record, _ in told), default=0)
    shape = tuple(cube.sizes[axis] for axis in AXES)
    right, has = np.zeros((*shape, most), bool), np.zeros(shape, bool)
    values: dict[str, list[Any]] = {axis: cube[axis].values.tolist() for axis in AXES}
    for record, key in told:
        place: Any = tuple(values[axis].index(value) for axis, value in zip(AXES, key, strict=True))
        n = record["data"]["n_test"]
        right[(*place, slice(n))] = unpack(record["test_right"], n)
        has[place] = True
    return {"right": ((*AXES, "sample"), right), "has_outcomes": (AXES, has)}


def _place(values: Mapping[str, Any]) -> tuple[str, int, str, int]:
    return values["source"], values["K"], values["learner"], values["seed"]
