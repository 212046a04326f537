"""One bad file blocks nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kaxis.io import read_bounded
from kaxis.spec.cell import Cell
from kaxis.spec.study import Study
from kaxis.stats.effects import paired
from kaxis.store.cube import load_cube
from tests.helpers import Cli, Fill, noisy
from tests.store.spoilt import AB, record_file, the_cell

pytestmark = pytest.mark.filterwarnings("ignore:.*skipped")  # said on stderr too


def _fifo(file: Path) -> None:
    os.mkfifo(file)


def _sparse(file: Path) -> None:
    with file.open("wb") as out:
        out.truncate(5 * 2**30)


BAD_FILES: dict[str, Callable[[Path], object]] = {
    "pipe": _fifo,
    "link to a device": lambda f: f.symlink_to("/dev/zero"),
    "dangling link": lambda f: f.symlink_to("nowhere"),
    "loop of links": lambda f: f.symlink_to(f),
    "folder": lambda f: f.mkdir(),
    "five gigabytes": _sparse,
    "deep nesting": lambda f: f.write_text("[" * 100_000),
    "empty": lambda f: f.write_text(""),
    "a list": lambda f: f.write_text("[1, 2]"),
    "not text": lambda f: f.write_bytes(b"\xff\xfe\x00"),
    "Infinity": lambda f: f.write_text('{"config": Infinity}'),
}


@pytest.mark.parametrize("kind", BAD_FILES)
@pytest.mark.parametrize("folder", ["cells", "studies"])
def test_one_bad_file_is_named_and_skipped(kind: str, folder: str, fill: Fill, cli: Cli) -> None:
    store = fill(noisy())
    file = store.path / folder / f"{'0' * 20}.json"
    BAD_FILES[kind](file)
    before = paired(load_cube(fill(noisy(), store.path.parent / "other")), **AB)
    cube = load_cube(store)
    assert paired(cube, **AB).drop_attrs().identical(before.drop_attrs())
    if kind != "dangling link":  # nothing is there
        assert any(file.name in p for p in cube.attrs["problems"])
    for verb in (["status"], ["analyze", "paired"], ["cube"], ["store", "check"]):
        code, _, err = cli(*verb, "--store", store.path)
        assert code in (0, 1)
        assert "fault of kaxis" not in err
    file.unlink() if not file.is_dir() or file.is_symlink() else file.rmdir()


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("K",), 10**30),
        (("seed",), 10**30),
        (("learner", "settings"), 3),
        (("learner", "members"), 10**30),
        (("train", "batch_size"), 0),
        (("learner",), []),
        (("source",), {}),
        (("source", "name"), ""),
    ],
)
def test_a_configuration_that_none_can_have_is_skipped(
    place: tuple[str, ...], value: Any, fill: Fill, cli: Cli
) -> None:
    """A record under the right name for it."""
    store, cell = fill(noisy()), the_cell()
    record = json.loads(record_file(store, cell).read_text())
    inside = record["config"]
    for name in place[:-1]:
        inside = inside[name]
    inside[place[-1]] = value
    record["provenance"].pop("digest")
    file = record_file(store, Cell(record["config"]))
    file.write_text(json.dumps(record))
    for verb in (["status"], ["analyze", "paired"], ["cube"]):
        code, _, err = cli(*verb, "--store", store.path)
        assert (code, "fault" in err) == (0, False)
    assert any(file.name in p for p in load_cube(store).attrs["problems"])


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": [f"{i}-{i + 99_999}" for i in range(0, 10**9, 100_000)][:200]},
        {"seeds": "0-9999", "K": list(range(2, 12)) * 1000},
        {"learners": ["nobodys_rule"]},
        {"learners": ["dtg_ff[shape=round]"]},
        {"seeds": "0-1000000000"},
        {"source": "imagenet22k"},
        {"lr": "Infinity"},
        {"K": 3},
        {"nonsense": 1},
    ],
)
def test_a_study_of_another_version_is_named_and_skipped(change: dict[str, Any], fill: Fill) -> None:
    store = fill(noisy())
    store.note_study(Study.of("s", {"source": "digits", "K": "3 5 10", "learners": ["bp_deepsup", "dtg_ff"]}))
    (file,) = (store.path / "studies").iterdir()
    spec = json.loads(file.read_text())
    spec["leg"][0] |= change
    if change == {"K": 3}:
        spec["leg"] = 7
    (store.path / "studies" / "other.json").write_text(json.dumps(spec).replace('"Infinity"', "Infinity"))
    cube = load_cube(store)
    assert (paired(cube, **AB).n_seeds == 5).all()
    assert any("other.json" in p for p in cube.attrs["problems"])


def test_nothing_but_a_file_of_sane_size_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, says in (("pipe", "not a regular file"), (".", "not a regular file")):
        with pytest.raises(OSError, match=says):
            read_bounded(tmp_path / name)
    (tmp_path / "large").write_bytes(b"12345")
    with pytest.raises(OSError, match="5 bytes, 4 at most"):
        read_bounded(tmp_path / "large", 4)
    assert read_bounded(tmp_path / "large", 5) == b"12345"
