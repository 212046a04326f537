"""The index of what was read: faster, and never another number."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kaxis.spec.sweep import Sweep
from kaxis.store import index, records
from kaxis.store.cube import load_cube
from kaxis.store.records import Store
from tests.helpers import fake_result


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Of two dozen cells, an hour old, one of them failed."""
    monkeypatch.setattr(index, "FEWEST", 1)
    made = Store(tmp_path / "store")
    made.prepare()
    for i, cell in enumerate(Sweep.of({"source": "digits", "K": [3, 5, 10], "seeds": "0-3", "steps": 10}).cells()):
        made.write(cell, fake_result(0.9, 0.5 + i / 1000, "failed" if i == 7 else "done"))
    _older(made)
    return made


def _older(store: Store, seconds: float = 3600) -> None:
    for file in (store.path / "cells").glob("*.json"):
        then = time.time() - seconds
        os.utime(file, (then, then))


def _read(store: Store) -> list[dict[str, Any]]:
    return list(store.records(curves=False, outcomes=False))


def _counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files of records that are opened from now on."""
    opened: list[Path] = []
    real: Callable[[Path], Any] = records._read

    def read(file: Path) -> Any:
        opened.append(file)
        return real(file)

    monkeypatch.setattr(records, "_read", read)
    return opened


def test_the_second_time_nothing_is_opened(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = [{k: v for k, v in r.items() if k not in index.LEFT} for r in store.records()]
    assert not (store.path / "index.json").exists(), "whoever wants curves reads the records"
    first = _read(store)
    opened = _counted(monkeypatch)
    second = _read(store)
    assert first == second == bare
    assert json.dumps(second) == json.dumps(bare), "bit for bit, and in order"
    assert opened == []


def test_the_cube_is_the_same(store: Store) -> None:
    for _ in range(2):
        assert load_cube(store, curves=False).identical(load_cube(store).drop_dims("step"))
    assert (
        load_cube(store, curves=False, outcomes=True).has_outcomes.any()
        == load_cube(store, outcomes=True).has_outcomes.any()
    )


def test_what_changed_is_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _read(store)
    file, other, gone = sorted((store.path / "cells").glob("*.json"))[:3]
    text = file.read_text().replace('"test_accuracy": 0.5', '"test_accuracy": 0.6')
    file.write_text(text)
    other.write_text("nonsense")
    gone.unlink()
    opened = _counted(monkeypatch)
    found = _read(store)
    assert {f.name for f in opened} == {file.name, other.name}
    assert len(found) == len(list((store.path / "cells").glob("*.json"))) - len(store.damaged)
    assert other.stem in store.damaged
    _read(store)
    assert other.stem in store.damaged, "what is damaged is said every time"


def test_a_young_record_is_not_believed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may change within one tick of the clock, to a file of the same size."""
    _older(store, 0)
    _read(store)
    opened = _counted(monkeypatch)
    assert len(_read(store)) == len(opened)


@pytest.mark.parametrize("spoilt", ["", "{}", "cut", "flipped", "version"])
def test_an_index_that_is_not_whole_is_passed_over(spoilt: str, store: Store) -> None:
    want = _read(store)
    file = store.path / "index.json"
    whole = file.read_bytes()
    if spoilt == "cut":
        file.write_bytes(whole[: len(whole) // 2])
    elif spoilt == "flipped":
        file.write_bytes(whole.replace(b"0.5", b"0.9"))
    elif spoilt == "version":
        file.write_bytes(index.seal(json.dumps({"version": 99}).encode()))
    else:
        file.write_text(spoilt)
    assert _read(store) == want


def test_a_store_that_cannot_be_written_is_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: Path) -> Any:
        raise PermissionError(13, "no", str(file))

    monkeypatch.setattr(index, "whole_file", refuse)
    assert len(_read(store)) == len(list((store.path / "cells").glob("*.json")))
    assert not (store.path / "index.json").exists()


def test_few_records_are_not_worth_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "FEWEST", 10_000)
    _read(store)
    assert not (store.path / "index.json").exists()


def test_of_another_version_of_the_package_nothing_is_believed(tmp_path: Path) -> None:
    """What this one refuses, that one may have taken."""
    file, stamp = tmp_path / "index.json", index.Stamp(1, 1)
    made = index.Index(file, 1)
    names = [f"{i:020x}.json" for i in range(index.FEWEST)]
    for name in names:
        made.add(name, stamp, {"status": "done"})
    made.keep(names)
    assert index.Index(file, 1).get(names[0], stamp) == {"status": "done"}
    assert index.Index(file, 2).get(names[0], stamp) is None


def test_a_record_that_took_another_s_place_is_seen(store: Store) -> None:
    """Of the same size, with the same date."""
    whole = len(_read(store))
    file = sorted((store.path / "cells").iterdir())[0]
    state, text = file.stat(), file.read_text()
    other = file.with_name("other")
    other.write_text(text.replace('"finished": "2026-01-02', '"finished": "2026-01-03'))
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    os.replace(other, file)
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns)
    assert len(_read(store)) == whole - 1, "its content is not what its digest says"
    assert [file.stem] == list(store.damaged)
