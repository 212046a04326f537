"""What a page says of the records themselves: which there are, how they were trained and by what, what to type."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kaxis.cli.common import open_store
from kaxis.cli.report import LEFT

if TYPE_CHECKING:
    import xarray as xr

    from kaxis.page import Section
    from kaxis.store.select import Conditions

__all__ = ["Place", "cells", "commands", "made"]


def cells(cube: xr.Dataset) -> Section:
    """What is done, failed, missing and damaged, and why."""
    from kaxis.page import Section, Table

    status, rows, lines = cube.status, [], []
    for source in map(str, status.source.values):
        for name in map(str, status.learner.values):
            own = status.sel(source=source, learner=name)
            asked = own.where(cube.asked.sel(source=source, learner=name) | (own != "missing"), "")
            count = Counter(map(str, asked.values.ravel()))
            if sum(count[s] for s in STATES):
                rows.append([source, name, *(str(count[s]) for s in STATES)])
    stack = cube[["status", "reason"]].stack(cell=("source", "K", "learner", "seed"))
    failed = stack.isel(cell=(stack.status.isin(["failed", "damaged"])).values)
    for at in range(failed.sizes["cell"]):
        one = failed.isel(cell=at)
        place = "{} K={} {} seed {}".format(*one.cell.item())
        lines.append(f"{place}: {one.status.item()}, {one.reason.item()}")
    table = Table("Cells", ["source", "learner", *STATES], rows, frozenset(LEFT), lines)
    return Section("Done, failed and missing", "cells", tables=[table])


def made(cube: xr.Dataset, store: Path | None, where: Conditions) -> Iterator[Section]:
    """How the networks were trained, and by what."""
    from kaxis.page import Section, Table
    from kaxis.store.cube import flat, select

    records, _ = select(open_store(store), where, curves=False)
    from kaxis.spec.cell import Cell

    settings: dict[str, dict[str, dict[str, None]]] = {}
    by: Counter[tuple[str, ...]] = Counter()
    for r in records:
        values = flat(Cell(r["config"]))
        if (source := str(values["source"])) not in cube.source.values:
            continue
        for key, value in values.items():
            if key not in ("source", "K", "seed", "learner"):
                settings.setdefault(key, {}).setdefault(source, {})[str(value)] = None
        p = r["provenance"]
        versions = p.get("versions", {})
        commit = (p.get("git") or {}).get("commit") or ""
        machine = " ".join(filter(None, (p.get("device"), p.get("gpu"), p.get("backend"), p.get("cpu"))))
        by[versions.get("kaxis", "?"), versions.get("torch", "?"), machine, commit[:8], p["finished"][:10]] += 1
    names = list(map(str, cube.source.values))
    cells = [[k, *(_several(s.get(n, {})) for n in names)] for k, s in settings.items() if any(s.values())]
    heads = ["option", *names]
    yield Section("Settings", "settings", tables=[Table("Options", heads, cells, frozenset(heads))])
    rows = [[*who, str(n)] for who, n in sorted(by.items(), key=lambda item: item[0][-1])]
    heads = ["kaxis", "torch", "machine", "commit", "finished", "cells"]
    yield Section("Provenance", "provenance", tables=[Table("Made by", heads, rows, frozenset(heads[:-1]))])


@dataclass(frozen=True)
class Place:
    """Where the numbers of a page are from: some records of a store, or a table."""

    store: Path | None
    table: Path | None
    where: Conditions

    def flags(self) -> str:
        if self.table:
            return f" {shlex.quote(str(self.table))}"
        from kaxis.store.select import any_of

        values = [f"{key}={one}" for key, wanted in self.where.items() for one in any_of(wanted)]
        only = f" --where {shlex.join(values)}" if values else ""
        return f"{only} --store {shlex.quote(str(open_store(self.store).path))}"

    def runs(self, sources: set[str]) -> list[str]:
        if self.table:
            return []
        sweeps = [sweep for study, _ in open_store(self.store).studies() for sweep in study.sweeps]
        own = [sweep for sweep in sweeps if sources & {cell.source for cell in sweep.cells()}]
        end = f" --store {shlex.quote(str(open_store(self.store).path))}"
        return [line + end for line in dict.fromkeys(f"kaxis run {shlex.join(sweep.flags())}" for sweep in own)]


def commands(cube: xr.Dataset, place: Place, pair: tuple[str, str], asked: Sequence[str] | None) -> Section:
    """What to type to have the same records, tables and page."""
    from kaxis.page import Section

    lines, end = place.runs(set(map(str, cube.source.values))), place.flags()
    only = f" --source {shlex.join(asked)}" if asked else ""
    who = f"--baseline {shlex.quote(pair[0])} --learner {shlex.quote(pair[1])}"
    lines += [f"kaxis analyze paired {who}{end}", f"kaxis analyze slope {who} --drop-incomplete{end}"]
    return Section("Commands", "commands", code=[*lines, f"kaxis report {who}{only}{end}"])


STATES = ("done", "failed", "missing", "damaged")


def _several(values: Mapping[str, None]) -> str:
    """What an option was, where learners have different ones."""
    return ", ".join(list(values)[:4]) + (" ..." if len(values) > 4 else "")
