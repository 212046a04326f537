"""Nothing is believed that is not checked: records, checkpoints, weights, caches, and studies that are not ours."""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kaxis.errors import KaxisError
from kaxis.execute.runner import run
from kaxis.io import read_bounded, seal, sweep, unseal
from kaxis.measure.diagnose import diagnose
from kaxis.spec.cell import Cell
from kaxis.spec.study import Study
from kaxis.spec.sweep import Sweep
from kaxis.stats.effects import paired
from kaxis.store.cube import load_cube
from kaxis.store.records import Store
from kaxis.train.keep import Kept, load_weights
from kaxis.train.loop import train

from .conftest import fake_result, noisy

Fill = Callable[..., Store]
Cli = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.filterwarnings("ignore:.*skipped")  # said on stderr too
AB = {"learner": "dtg_ff", "baseline": "bp_deepsup"}


def the_cell(K: int = 3, seed: int = 0) -> Cell:
    return Sweep.of({"source": "digits", "K": K, "seeds": seed, "learners": ["dtg_ff"]}).cells()[0]


def record_file(store: Store, cell: Cell) -> Path:
    return store.path / "cells" / f"{cell.id}.json"


def edit(file: Path, change: Callable[[dict[str, Any]], None], *, keep_digest: bool = False) -> None:
    """As by hand: the digest stays what it was, or goes as in a record of an older version."""
    record = json.loads(file.read_text())
    change(record)
    if not keep_digest:
        record["provenance"].pop("digest", None)
    file.write_text(json.dumps(record, indent=1))


# ---- foreign files --------------------------------------------------------------------------------------


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


# ---- what a record holds --------------------------------------------------------------------------------


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    *places, last = path.split(".")

    def change(record: dict[str, Any]) -> None:
        for place in places:
            record = record[place]
        if value is put:
            del record[last]
        else:
            record[last] = value

    return change


ALTERED = [
    ("metrics.test_accuracy", 1.7),
    ("metrics.test_accuracy", -3),
    ("metrics.test_accuracy", "0.9"),
    ("metrics.test_accuracy", True),
    ("metrics.test_accuracy", math.nan),
    ("metrics.test_accuracy", 1e308),
    ("metrics.test_accuracy", None),
    ("metrics.test_accuracy", 0.501),  # a changed digit: its curve says otherwise
    ("metrics.test_loss", math.inf),
    ("metrics.train_loss", -1.0),
    ("metrics.selected_step", 7),
    ("metrics.layer_test_accuracy", [0.5, "x"]),
    ("metrics", {}),
    ("metrics", []),
    ("status", "failed"),  # with its metrics kept
    ("status", "finished"),
    ("reason", "diverged"),
    ("reason", 3),
    ("curves.step", [10, 0]),
    ("curves.step", [0, 10**30]),
    ("curves.test_accuracy", [0.1]),
    ("curves.train_loss", 7),
    ("data.chance", 1.5),
    ("data.n_train", 0),
    ("data.n_train", "many"),
    ("counts.parameters", -1),
    ("provenance", None),
    *((field, put) for field in ("curves", "metrics", "counts", "reason", "data", "status", "provenance", "config")),
    ("data.chance", put),
    ("metrics.train_accuracy", put),
]


@pytest.mark.parametrize(("path", "value"), ALTERED)
def test_a_record_with_a_wrong_field_is_named_counted_and_trained_again(
    path: str, value: Any, fill: Fill, cli: Cli
) -> None:
    store, cell = fill(noisy()), the_cell()
    file = record_file(store, cell)
    record = json.loads(file.read_text())
    put(path, value)(record)
    if isinstance(record.get("provenance"), dict):
        record["provenance"].pop("digest", None)  # as older records are: by its fields alone
    file.write_text(json.dumps(record))
    assert not store.has(cell)  # so a run trains it again
    cube = load_cube(store)
    effect = paired(cube, **AB)
    assert int(effect.n_seeds.sel(K=3)[0]) == 4
    assert any(file.name in p for p in cube.attrs["problems"])
    assert any(cell.id in note or str(cell) in note for note in effect.attrs["notes"])
    code, out, _ = cli("status", "--store", store.path, "--json")
    assert code == 0
    seen = json.loads(out)
    assert any(file.name in p for p in seen["problems"])
    assert sum(r["cells"] for r in seen["rows"] if r["status"] == "done") == 29
    if path != "config":
        assert [(r["learner"], r["cells"]) for r in seen["rows"] if r["status"] == "damaged"] == [("dtg_ff", 1)]
    assert cli("store", "check", "--store", store.path)[0] == 1


@pytest.mark.parametrize(
    "change",
    [put("metrics.test_loss", 0.21), put("data.n_train", 11), put("provenance.finished", "2027"), put("more", 1)],
)
def test_a_digest_covers_the_whole_record(change: Callable[[dict[str, Any]], None], fill: Fill) -> None:
    """Edited so that every field is right by itself."""

    def whole(record: dict[str, Any]) -> None:
        change(record)
        record["curves"]["test_loss"][-1] = record["metrics"]["test_loss"]

    store, cell = fill(noisy()), the_cell()
    edit(record_file(store, cell), whole, keep_digest=True)
    assert store.read(cell) is None
    assert "not what its digest says" in str(load_cube(store).attrs["problems"])
    edit(record_file(store, cell), lambda record: None)  # without one it is a record of an older version
    assert store.read(cell) is not None


def test_a_record_may_be_laid_out_anew(fill: Fill) -> None:
    """White space is no content: an editor, or another system's line ends, harm nothing."""
    store, cell = fill(noisy()), the_cell()
    file = record_file(store, cell)
    before = store.read(cell)
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert store.read(cell) == before
    file.write_text(json.dumps(json.loads(file.read_text())))
    assert store.read(cell) == before


def test_records_of_older_versions_stay_valid_and_are_counted(fill: Fill, cli: Cli) -> None:
    store, cell = fill(noisy()), the_cell()
    code, out, _ = cli("store", "check", "--store", store.path)
    assert (code, "30 of them with a digest that agrees, 0 of before" in out) == (
        1,
        True,
    )  # made-up accuracies: doubted
    for file in (store.path / "cells").iterdir():
        edit(file, lambda record: None)
    assert len(list(store.records())) == 30
    assert store.undigested == 30
    code, out, _ = cli("store", "check", "--store", store.path, "--json")
    found = json.loads(out)
    assert (found["records"], len(found["without_digest"])) == (30, 30)
    assert any("no whole number of 10 samples" in p for p in found["problems"])
    assert store.read(cell) is not None


def test_whatever_a_finished_training_may_show_can_be_read_again(fill: Fill) -> None:
    """A test loss has no limit: only the training loss decides that a cell has diverged."""
    store, cell = fill(noisy()), the_cell()
    made = fake_result(0.9, 0.8)
    made["metrics"]["test_loss"] = made["curves"]["test_loss"][-1] = 3e38
    store.write(cell, made)
    assert store.read(cell) is not None


def test_the_digest_is_provenance_and_replacing_a_record_renews_it(fill: Fill) -> None:
    store, cell = fill(noisy()), the_cell()
    record = store.read(cell)
    assert record is not None
    store.write(cell, record)
    assert store.read(cell) is not None
    assert set(record) == {"config", *fake_result(0, 0)}


# ---- one bad file blocks nothing ------------------------------------------------------------------------


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


# ---- checkpoints, weights, caches -----------------------------------------------------------------------


def small(**options: Any) -> list[Cell]:
    return Sweep.of(
        {"source": "digits", "K": 4, "seeds": "0-1", "steps": 60, "batch_size": 32, "width": 16, "depth": 2, **options}
    ).cells()


class Stop(Exception):
    pass


def stopped_after(steps: int, cells: list[Cell], folder: Path) -> None:
    """Train and stop, as if killed, with a checkpoint written after every step."""
    left = [steps]

    def after_step() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Stop

    with pytest.raises(Stop):
        train(cells, keep=folder, keep_every=0.0, after_step=after_step)


def results(cells: list[Cell], **options: Any) -> list[Any]:
    return [(r["metrics"], r["curves"]) for r in train(cells, **options)[0]]


@pytest.mark.parametrize("learner", ["dtg_ff", "bp_ensemble", "bp_deepsup[norm=layernorm]", "ff_hybrid_bn"])
@pytest.mark.parametrize("steps", [1, 37, 59])
def test_an_mlp_goes_on_in_mid_training_to_the_same_bits(learner: str, steps: int, tmp_path: Path) -> None:
    cells = small(learners=[learner], seeds="0-1" if learner != "ff_hybrid_bn" else "0")
    stopped_after(steps, cells, tmp_path)
    assert len(list(tmp_path.glob("*.pt"))) == 1
    steps_done = []
    resumed = results(cells, keep=tmp_path, after_step=lambda: steps_done.append(1))
    assert len(steps_done) == 60 - steps
    assert resumed == results(cells)


def test_a_rule_of_somebodys_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    """Its module keeps nothing that changes besides parameters; where one does: tests/test_rules_conv.py."""
    import kaxis

    cells = small(
        learners=["predsim"], rules=[str(Path(kaxis.__file__).parent.parent / "docs" / "predsim.py")], seeds=0
    )
    whole = results(cells)
    stopped_after(30, cells, tmp_path)
    assert list(tmp_path.glob("*.pt"))
    assert results(cells, keep=tmp_path) == whole


def test_no_flipped_bit_of_a_checkpoint_is_gone_on_from(tmp_path: Path) -> None:
    cells = small(learners=["dtg_ff"])
    whole = results(cells)
    stopped_after(30, cells, tmp_path)
    (file,) = tmp_path.glob("*.pt")
    content = file.read_bytes()
    rng = np.random.default_rng(0)
    for at in [0, len(content) - 1, *rng.integers(0, len(content), 10)]:
        flipped = bytearray(content)
        flipped[at] ^= 1 << int(rng.integers(8))
        file.write_bytes(flipped)
        assert results(cells, keep=tmp_path) == whole


@pytest.mark.parametrize("done", [10**6, 60, 0, -5, "30", 30.5, None])
def test_a_checkpoint_does_not_end_a_training(done: Any, tmp_path: Path) -> None:
    """Even one whose digest is right: the number of steps done lies inside the training."""
    cells = small(learners=["dtg_ff"])
    stopped_after(30, cells, tmp_path)
    (file,) = tmp_path.glob("*.pt")
    payload = unseal(file.read_bytes())
    assert payload is not None
    kept = torch.load(io.BytesIO(payload), weights_only=True)
    made = io.BytesIO()
    torch.save({**kept, "done": done}, made)
    file.write_bytes(seal(made.getvalue()))
    assert results(cells, keep=tmp_path) == results(cells)


def test_a_checkpoint_without_a_digest_is_of_an_older_version(tmp_path: Path) -> None:
    cells = small(learners=["dtg_ff"])
    stopped_after(30, cells, tmp_path)
    (file,) = tmp_path.glob("*.pt")
    file.write_bytes(unseal(file.read_bytes()) or b"")
    steps: list[int] = []
    results(cells, keep=tmp_path, after_step=lambda: steps.append(1))
    assert len(steps) == 60


@pytest.fixture
def with_weights(tmp_path: Path) -> tuple[Store, Cell]:
    options = {"source": "digits", "K": 4, "steps": 60, "batch_size": 32, "width": 16, "depth": 2}
    study = Study.of("s", {**options, "seeds": 0, "learners": ["dtg_ff"]})
    store = Store(tmp_path / "store")
    run(study, store, jobs=1, device="cpu", weights=True)
    return store, study.cells()[0]


def test_flipped_bits_of_weights_are_refused(with_weights: tuple[Store, Cell]) -> None:
    store, cell = with_weights
    file = store.weights(cell)
    content = file.read_bytes()
    rng = np.random.default_rng(0)
    for at in [0, len(content) // 2, len(content) - 1, *rng.integers(0, len(content), 20)]:
        flipped = bytearray(content)
        flipped[at] ^= 1 << int(rng.integers(8))
        file.write_bytes(flipped)
        with pytest.raises(KaxisError, match=r"weights .*: not whole"):
            diagnose(store, estimators=())
    file.write_bytes(content)
    diagnose(store, estimators=())


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan])
def test_weights_that_contradict_the_record_are_refused(factor: float, with_weights: tuple[Store, Cell]) -> None:
    """Zeroed ones, say, whose digest is right."""
    store, cell = with_weights
    payload = unseal(store.weights(cell).read_bytes())
    assert payload is not None
    kept = {name: t * factor for name, t in torch.load(io.BytesIO(payload), weights_only=True).items()}
    made = io.BytesIO()
    torch.save(kept, made)
    store.weights(cell).write_bytes(seal(made.getvalue()))
    with pytest.raises(KaxisError, match=r"their test accuracy is 0\.\d+, the record of .* says"):
        diagnose(store, estimators=())


def test_weights_of_before_digests_are_read_and_compared(with_weights: tuple[Store, Cell]) -> None:
    store, cell = with_weights
    payload = unseal(store.weights(cell).read_bytes())
    assert payload is not None
    store.weights(cell).write_bytes(payload)
    diagnose(store, estimators=())
    store.weights(cell).write_bytes(payload[:-3])
    with pytest.raises(KaxisError, match="not whole"):
        diagnose(store, estimators=())


def test_weights_of_another_shape_are_not_spread_over_the_net(with_weights: tuple[Store, Cell], tmp_path: Path) -> None:
    made = io.BytesIO()
    torch.save({"0/w": torch.zeros(1)}, made)
    (tmp_path / "w.pt").write_bytes(seal(made.getvalue()))

    class Net:
        device = "cpu"

        def tensors(self, n: int) -> dict[str, torch.Tensor]:
            return {"w": torch.ones(4, 4)}

    with pytest.raises(KaxisError, match="w of another shape"):
        load_weights(tmp_path / "w.pt", Net(), [0])


def test_a_run_without_weights_leaves_those_of_another(with_weights: tuple[Store, Cell]) -> None:
    """Two runs at once, one with --weights: the other trains the cell too, and deletes nothing."""
    from kaxis.execute.grouping import stacks_of
    from kaxis.execute.provenance import provenance
    from kaxis.execute.worker import Job, work

    store, cell = with_weights
    record_file(store, cell).unlink()  # as it is while both train
    job = Job(store.path, "cpu", None, False, provenance("cpu"), 60.0)
    work(job, stacks_of([cell], 5)[0], lambda *done: None)
    assert store.has(cell)
    assert store.weights(cell).exists()
    diagnose(store, estimators=())


def test_what_killed_writers_left_is_swept_after_a_day(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    old, new, record = (tmp_path / "cells" / name for name in ("a.part", "b.part", f"{'0' * 20}.json"))
    for file in (old, new, record):
        file.write_text("")
    for file in (old, record):
        os.utime(file, (0, 0))
    store.prepare()
    assert [f.exists() for f in (old, new, record)] == [False, True, True]
    sweep(tmp_path / "nowhere")


def test_a_checkpoint_that_cannot_be_removed_is_no_matter(tmp_path: Path) -> None:
    Kept(tmp_path / "none", 0).forget(small(learners=["bp"]))
