"""Stores of two machines become one, and nothing is overwritten in silence."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kaxis.spec.cell import Cell
from kaxis.store.records import Store
from tests.helpers import noisy, records

Fill = Callable[..., Store]
Cli = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("packed", [False, True])
def test_two_halves_become_the_whole(packed: bool, fill: Fill, cli: Cli, tmp_path: Path) -> None:
    whole = fill(noisy(), tmp_path / "whole")
    one = fill(lambda c: noisy()(c) if c.K < 10 else None, tmp_path / "one")
    two = fill(lambda c: noisy()(c) if c.K > 3 else None, tmp_path / "two")
    (one.path / "weights").mkdir()
    other = two.path
    if packed:
        other = tmp_path / "two.tar.gz"
        code, out, _ = cli("store", "pack", other, "--store", two.path)
        assert code == 0
        assert "20 records" in out
    code, out, _ = cli("store", "merge", other, "--store", one.path)
    assert code == 0
    assert "10 records taken" in out
    assert "10 there already to the same numbers, 0 conflicts" in out
    assert records(one.path) == records(whole.path)
    assert cli("store", "merge", other, "--store", one.path)[0] == 0, "again changes nothing"


def test_a_conflict_is_named_and_nothing_is_overwritten(fill: Fill, cli: Cli, tmp_path: Path) -> None:
    one = fill(noisy(), tmp_path / "one")

    def other_numbers(cell: Cell) -> float:
        return 0.25 if (cell.K, cell.seed, cell.learner) == (5, 2, "dtg_ff") else noisy()(cell)

    two = fill(other_numbers, tmp_path / "two")
    before = records(one.path)
    code, out, _ = cli("store", "merge", two.path, "--store", one.path)
    assert code == 1
    assert "29 there already to the same numbers, 1 conflicts" in out
    assert "digits K=5 dtg_ff seed 2: metrics.train_accuracy: 0.8" in out
    assert "0.35 there (made on ? and on ?)" in out
    assert records(one.path) == before


def test_damaged_records_stay_behind(fill: Fill, cli: Cli, tmp_path: Path) -> None:
    two = fill(noisy(), tmp_path / "two")
    spoilt = sorted((two.path / "cells").iterdir())[0]
    spoilt.write_text("{}")
    code, out, _ = cli("store", "merge", two.path, "--store", tmp_path / "one")
    assert code == 1
    assert "29 records taken" in out
    assert spoilt.name in out
    assert not (tmp_path / "one" / "cells" / spoilt.name).exists()


def test_out_of_a_file_comes_nothing_but_a_store(tmp_path: Path, cli: Cli) -> None:
    file = tmp_path / "evil.tar.gz"
    with tarfile.open(file, "w:gz") as made:
        for name in (
            "../out.json",
            "/tmp/out.json",
            "cells/../../out.json",
            "cells/x.json",
            "tried/studies/../../o.json",
        ):
            member = tarfile.TarInfo(name)
            member.size = 2
            made.addfile(member, io.BytesIO(b"{}"))
        link = tarfile.TarInfo("cells/" + "0" * 20 + ".json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        made.addfile(link)
    code, out, _ = cli("store", "merge", file, "--store", tmp_path / "one")
    assert (code, "0 records taken" in out) == (0, True)
    assert not list(tmp_path.rglob("out.json"))


@pytest.mark.parametrize(
    ("what", "said"),
    [("nothing", "no such store"), ("text", "no store, and no file of kaxis store pack"), ("", "name the stores")],
)
def test_what_is_no_store(what: str, said: str, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "text").write_text("text")
    code, _, err = cli("store", "merge", *([tmp_path / what] if what else []), "--store", tmp_path / "one")
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert said in err


def test_a_damaged_file_is_never_taken_in_part(fill: Fill, cli: Cli, tmp_path: Path) -> None:
    """Whatever byte of its content changed on the way."""
    fill(noisy(), tmp_path / "two")
    file = tmp_path / "two.tar.gz"
    assert cli("store", "pack", file, "--store", tmp_path / "two")[0] == 0
    whole = file.read_bytes()
    for place in range(64, len(whole) - 8, len(whole) // 40):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        code, _, err = cli("store", "merge", file, "--store", tmp_path / "one")
        assert (code, "no file of kaxis store pack" in err) == (2, True), (place, err)
        assert not (tmp_path / "one" / "cells").exists()


def test_a_linked_record_travels(fill: Fill, cli: Cli, tmp_path: Path) -> None:
    two = fill(noisy(), tmp_path / "two")
    linked = sorted((two.path / "cells").iterdir())[0]
    linked.rename(tmp_path / linked.name)
    linked.symlink_to(tmp_path / linked.name)
    assert cli("store", "pack", tmp_path / "two.tar.gz", "--store", two.path)[0] == 0
    assert cli("store", "merge", tmp_path / "two.tar.gz", "--store", tmp_path / "one")[0] == 0
    assert records(tmp_path / "one") == records(two.path)


def test_a_damaged_record_of_ours_is_named_and_stays(fill: Fill, cli: Cli, tmp_path: Path) -> None:
    one, two = fill(noisy(), tmp_path / "one"), fill(noisy(), tmp_path / "two")
    spoilt = sorted((one.path / "cells").iterdir())[0]
    spoilt.write_text("{}")
    code, out, _ = cli("store", "merge", two.path, "--store", one.path)
    assert code == 1
    assert f"{spoilt}: damaged, left as it is" in out
    assert spoilt.read_text() == "{}"


def test_check_looks_at_candidates_too(fill: Fill, cli: Cli, tmp_path: Path) -> None:
    fill(noisy(), tmp_path)
    other = tmp_path / "tried" / "cells" / f"{'0' * 20}.json"
    other.parent.mkdir(parents=True)
    other.write_text("{}")
    code, out, _ = cli("store", "check", "--store", tmp_path)
    assert code == 1
    assert str(other) in out


@pytest.mark.parametrize(("top", "taken"), [("./", True), ("mine/", False)])
def test_an_archive_that_was_made_by_hand_is_taken_or_refused(
    top: str, taken: bool, fill: Fill, cli: Cli, tmp_path: Path
) -> None:
    """Never passed over as empty."""
    two = fill(noisy(), tmp_path / "two")
    with tarfile.open(tmp_path / "hand.tar.gz", "w:gz") as made:
        made.add(two.path, top)
    code, out, err = cli("store", "merge", tmp_path / "hand.tar.gz", "--store", tmp_path / "one")
    assert (code, "30 records taken" in out) == ((0, True) if taken else (2, False))
    assert ("records are cells/ID.json; mine/cells/" in err) != taken


def test_study_files_that_are_none_stay_behind(fill: Fill, cli: Cli, tmp_path: Path) -> None:
    two = fill(noisy(), tmp_path / "two")
    (two.path / "studies" / "x.json").write_text("NaN")
    code, out, _ = cli("store", "merge", two.path, "--store", tmp_path / "one")
    assert (code, "studies/x.json: not a study" in out) == (1, True)
    assert not (tmp_path / "one" / "studies" / "x.json").exists()
    assert cli("store", "pack", tmp_path / "p.tar.gz", "--store", two.path)[0] == 0
    with tarfile.open(tmp_path / "p.tar.gz") as packed:
        assert "studies/x.json" not in packed.getnames()
