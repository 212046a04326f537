"""Foreign files."""

from __future__ import annotations

import json

import pytest

from kaxis.stats.effects import paired
from kaxis.store.cube import load_cube
from tests.helpers import Cli, Fill, noisy
from tests.store.spoilt import AB, record_file, the_cell

pytestmark = pytest.mark.filterwarnings("ignore:.*skipped")  # said on stderr too


@pytest.mark.parametrize("name", ["{}.json~", "{}.old", "{}.JSON", "{}.json.bak", "{}", "copy of {}.json", "notes.txt"])
def test_a_file_beside_a_record_replaces_nothing_and_is_named(name: str, fill: Fill, cli: Cli) -> None:
    store, cell = fill(noisy()), the_cell()
    before = paired(load_cube(store), **AB)
    file = record_file(store, cell)
    other = json.loads(file.read_text())
    other["metrics"]["test_accuracy"] = other["curves"]["test_accuracy"][-1] = 0.33
    beside = file.with_name(name.format(cell.id))
    beside.write_text(json.dumps(other))
    after = load_cube(store)
    assert paired(after, **AB).drop_attrs().identical(before.drop_attrs())
    assert any(beside.name in p and "not named as a record" in p for p in after.attrs["problems"])
    code, out, _ = cli("analyze", "paired", "--store", store.path, "--json")
    assert code == 0
    assert any(beside.name in note for note in json.loads(out)["attrs"]["notes"])
