"""Faults injected and hostile input, counted: kills inside writes, flipped bits, altered records, archives, command
lines.

    python benchmarks/faults.py [--scale 0.1]

Prints the table of docs/reliability.md and every case that came out wrong; exit code 1 if there is one. Takes about a
minute and a half on two cores.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import shutil
import signal
import sys
import tarfile
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kaxis.cli import main
from kaxis.errors import KaxisError
from kaxis.execute.runner import run
from kaxis.io import unseal, write_text
from kaxis.sources import readers
from kaxis.sources.archives import ARCHIVES, _Unpack
from kaxis.spec.study import Study
from kaxis.spec.sweep import Sweep
from kaxis.store.records import Store
from kaxis.train.checkpoint import Checkpoint, load_weights
from kaxis.train.loop import stack_of, train

RNG = np.random.default_rng(0)
SMALL = {
    "source": "digits",
    "K": "3 5",
    "seeds": "0-2",
    "steps": 40,
    "batch_size": 32,
    "width": 16,
    "depth": 2,
    "learners": ["bp_deepsup", "dtg_ff"],
}
Outcome = tuple[str, str]
"""What came of a case, in words that begin with "wrong" if it is, and the case."""


class Hung(BaseException):
    pass


@contextlib.contextmanager
def at_most(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Hung

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def command(*words: str | Path) -> tuple[int | None, str, str]:
    """A command line in this process: exit code (None: hung), stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("always")
        try:
            with at_most(60):
                main([str(w) for w in words])
        except SystemExit as end:
            return int(end.code or 0), out.getvalue(), err.getvalue()
        except Hung:
            pass
    return None, out.getvalue(), err.getvalue()


def judged(code: int | None, err: str) -> str | None:
    """What is wrong with the end of a command, whatever it was asked."""
    if code is None:
        return "wrong: hung"
    if "fault of kaxis" in err or "Traceback" in err:
        return "wrong: a fault of kaxis"
    if code not in (0, 1, 2):
        return f"wrong: exit code {code}"
    lines = [line for line in err.splitlines() if not line.startswith("kaxis: warning:")]
    return "wrong: more than one line" if code == 2 and len(lines) != 1 else None


# ---- the kinds ------------------------------------------------------------------------------------------


def kills(place: Path, times: int) -> Iterator[Outcome]:
    """A process that writes records, checkpoints and texts without end is killed at a random moment."""
    store, study = Store(place / "store"), Study.of("s", SMALL)
    run(study, store, jobs=1, device="cpu")
    cells = study.cells()
    made = {cell.id: store.read(cell) for cell in cells}
    kept, text = place / "kept.pt", place / "text.csv"
    for i in range(times):
        child = os.fork()
        if child == 0:
            from kaxis.train.checkpoint import _write

            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            for n in itertools.count():
                cell = cells[n % len(cells)]
                store.write(cell, made[cell.id] or {})
                _write(kept, {"n": n, "tensor": torch.full((500,), float(n))})
                write_text(text, f"{n}\n" * 500)
        time.sleep(float(RNG.uniform(0.0, 0.06)))
        os.kill(child, signal.SIGKILL if i % 2 else signal.SIGTERM)
        os.waitpid(child, 0)
        whole = len(list(store.records())) == len(cells) and not store.problems
        if kept.exists():
            whole &= unseal(kept.read_bytes()) is not None
        if text.exists():
            lines = text.read_text().splitlines()
            whole &= len(lines) == 500 and len(set(lines)) == 1
        yield ("whole" if whole else "wrong: half a file"), f"kill {i}"


def flips(content: bytes, times: int) -> Iterator[tuple[str, bytes]]:
    for _ in range(times):
        at, bit = int(RNG.integers(len(content))), int(RNG.integers(8))
        changed = bytearray(content)
        changed[at] ^= 1 << bit
        yield f"bit {bit} of byte {at} of {len(content)}", bytes(changed)


def bits_in_records(place: Path, times: int) -> Iterator[Outcome]:
    store, study = Store(place / "store"), Study.of("s", SMALL)
    run(study, store, jobs=1, device="cpu")
    cell = study.cells()[0]
    file, before = store.path / "cells" / f"{cell.id}.json", store.read(cell)
    content = file.read_bytes()
    for case, changed in flips(content, times):
        file.write_bytes(changed)
        found = store.read(cell)
        if found is None:
            list(store.records())
            yield ("refused and named" if store.problems else "wrong: lost without a word"), case
        else:
            yield ("immaterial, read as it was" if found == before else "wrong: used"), case


def bits_in_weights(place: Path, times: int) -> Iterator[Outcome]:
    store, study = Store(place / "store"), Study.of("s", {**SMALL, "K": 3, "seeds": 0, "learners": ["dtg_ff"]})
    run(study, store, jobs=1, device="cpu", weights=True)
    (cell,) = study.cells()
    from kaxis.sources.load import load_task

    stack = stack_of([cell], [(0, 0)], {0: load_task(cell.config["source"], 3, 0)}, "cpu")
    for case, changed in flips(store.weights(cell).read_bytes(), times):
        store.weights(cell).write_bytes(changed)
        try:
            load_weights(store.weights(cell), stack, [0])
            yield "wrong: loaded", case
        except KaxisError:
            yield "refused and named", case


class Stop(Exception):
    pass


def bits_in_checkpoints(place: Path, times: int) -> Iterator[Outcome]:
    cells = Sweep.of({**SMALL, "K": 3, "seeds": "0", "learners": ["dtg_ff"]}).cells()
    whole = [r["metrics"] for r in train(cells)[0]]
    left = [20]

    def after_step() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Stop

    with contextlib.suppress(Stop):
        train(cells, keep=place, keep_every=0.0, after_step=after_step)
    file = Checkpoint(place, 0)._file(cells)
    content = file.read_bytes()
    for case, changed in flips(content, times):
        file.write_bytes(changed)
        resumed = [r["metrics"] for r in train(cells, keep=place, keep_every=1e9)[0]]
        yield ("passed over, trained anew to the same bits" if resumed == whole else "wrong: other numbers"), case


def alterations() -> Iterator[tuple[str, Callable[[Path], None]]]:
    """A hundred ways to spoil a record's file, each with its name."""

    def field(path: str, value: Any, keep_digest: bool) -> Callable[[Path], None]:
        def change(file: Path) -> None:
            record = json.loads(file.read_text())
            if not keep_digest:
                record["provenance"].pop("digest", None)
            *places, last = path.split(".")
            inside = record
            for place in places:
                inside = inside[place]
            if value is field:
                del inside[last]
            else:
                inside[last] = value
            file.write_text(json.dumps(record))

        return change

    fields = [
        "metrics.test_accuracy",
        "metrics.train_loss",
        "curves.test_accuracy",
        "data.chance",
        "data.n_test",
        "counts.parameters",
        "status",
        "reason",
    ]
    values: list[Any] = [1.7, -3, "0.9", True, float("nan"), 1e308, None, [], {}]
    for path, value in itertools.product(fields, values):
        # Without its digest a record must be refused by the field; true is 1 for a count of numbers in JSON, and no
        # number here.
        yield f"{path} = {value!r}", field(path, value, keep_digest=False)
    for path in (
        "config",
        "status",
        "reason",
        "metrics",
        "curves",
        "counts",
        "data",
        "provenance",
        "metrics.test_accuracy",
        "curves.step",
        "data.chance",
    ):
        yield f"without {path}", field(path, field, keep_digest=True)
    for digit in range(6):
        yield (
            f"digit {digit} changed",
            lambda f, d=digit: f.write_text(
                f.read_text().replace(f"0.{d}", f"0.{(d + 1) % 10}", 1) + ("" if f"0.{d}" in f.read_text() else "x")
            ),
        )
    for share in (0.0, 0.3, 0.9, 0.999):
        yield f"cut off at {share}", lambda f, s=share: f.write_bytes(f.read_bytes()[: int(s * f.stat().st_size)])
    yield "nested", lambda f: f.write_text("[" * 200_000)
    yield "binary", lambda f: f.write_bytes(bytes(range(256)))
    yield "folder", lambda f: (f.unlink(), f.mkdir())[0]
    yield "pipe", lambda f: (f.unlink(), os.mkfifo(f))[0]
    yield "device", lambda f: (f.unlink(), f.symlink_to("/dev/zero"))[0]
    yield "dangling", lambda f: (f.unlink(), f.symlink_to("none"))[0]
    yield "5 GB", lambda f: os.truncate(f, 5 * 2**30)


def corrupt_records(place: Path, times: int) -> Iterator[Outcome]:
    """A spoilt record in a store: four verbs go on, name it, and say of the others what they said before."""
    store, study = Store(place / "store"), Study.of("s", SMALL)
    run(study, store, jobs=1, device="cpu")
    cell = study.cells()[0]

    def effects(folder: Path) -> Any:
        code, out, err = command("analyze", "paired", "--store", folder, "--baseline", "bp_deepsup", "--json")
        return code, err, [(r["K"], r["effect"], r["n_seeds"]) for r in json.loads(out or '{"rows": []}')["rows"]]

    lean = place / "lean"
    shutil.copytree(store.path, lean)
    (lean / "cells" / f"{cell.id}.json").unlink()
    expected = effects(lean)[2]
    for name, change in itertools.islice(alterations(), times):
        spoilt = place / "spoilt"
        shutil.copytree(store.path, spoilt)
        file = spoilt / "cells" / f"{cell.id}.json"
        change(file)
        said, word = [], "named, the other numbers the same"
        for verb in (("status", "--json"), ("analyze", "paired", "--json"), ("cube",), ("store", "check")):
            code, out, err = command(*verb, "--store", spoilt)
            wrong = judged(code, err)
            word = wrong or word
            said.append(out + err)
        if word.startswith("named"):
            code, err, numbers = effects(spoilt)
            if numbers != expected:
                word = (
                    judged(code, err)
                    or f"wrong: other numbers, {numbers} instead of {expected}, exit code {code}: {err}"
                )
            elif name != "dangling" and not all(cell.id in text for text in said):
                word = "wrong: not named"
        yield word, name
        os.truncate(file, 0) if name == "5 GB" else None
        shutil.rmtree(spoilt)


def npy(x: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, x, allow_pickle=True)
    return out.getvalue()


def archives(place: Path, times: int) -> Iterator[Outcome]:
    """npz sets and tar archives: right ones are read, others refused in one line, and nothing is written elsewhere."""
    good = {"train_images": np.zeros((6, 8, 8), np.uint8), "test_images": np.zeros((4, 8, 8), np.uint8)}
    good |= {"train_labels": np.array([0, 1, 2] * 2), "test_labels": np.array([0, 1, 2, 0])}
    cases: list[tuple[str, Callable[[Path], None], bool]] = []

    def zipped(change: dict[str, Any], raw: Callable[[bytes], bytes] = bytes) -> Callable[[Path], None]:
        def write(file: Path) -> None:
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w") as archive:
                for name, x in {**good, **change}.items():
                    archive.writestr(f"{name}.npy", npy(x) if isinstance(x, np.ndarray) else x)
            file.write_bytes(raw(out.getvalue()))

        return write

    cases.append(("right", zipped({}), True))
    cases.append(
        (
            "right, colour",
            zipped({n: np.zeros((len(good[n]), 8, 8, 3), np.uint8) for n in ("train_images", "test_images")}),
            True,
        )
    )
    bad_labels = [
        np.array([1, 2, 3] * 2),
        np.zeros(5, int),
        np.full(6, np.nan),
        np.full(6, -1),
        np.array(["a"] * 6),
        np.array([{}] * 6, object),
        np.zeros((6, 2), int),
    ]
    cases += [(f"labels {i}", zipped({"train_labels": y}), False) for i, y in enumerate(bad_labels)]
    bad_images = [
        np.zeros((6, 0, 8), np.uint8),
        np.zeros((6, 8, 8), np.float32),
        np.zeros((6, 9, 9), np.uint8),
        np.zeros((0, 8, 8), np.uint8),
        np.zeros((6, 8, 8, 2), np.uint8),
    ]
    cases += [(f"images {i}", zipped({"train_images": x}), False) for i, x in enumerate(bad_images)]
    headers = [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\x10\x00{'descr': oops}\n",
        npy(good["train_images"]).replace(b"(6, 8, 8)", b"(6, 8,88)"),
        b"text",
    ]
    cases += [(f"header {i}", zipped({"train_images": h}), False) for i, h in enumerate(headers)]
    cases += [
        (f"cut off at {s}", zipped({}, lambda b, s=s: b[: int(s * len(b))]), False) for s in (0.0, 0.2, 0.5, 0.8, 0.97)
    ]
    cases.append(
        (
            "encrypted",
            zipped({}, lambda b: b.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01")),
            False,
        )
    )
    cases += [
        (f"not a zip {i}", lambda f, t=t: f.write_bytes(t) and None, False)
        for i, t in enumerate((b"<html>", b"PK\x03\x04", bytes(1000)))
    ]
    for name, write, right in cases[: times // 2]:
        file = place / "x.npz"
        write(file)
        try:
            with at_most(60):
                readers.npz(file)
            yield ("read" if right else "wrong: read"), f"npz {name}"
        except KaxisError as error:
            yield (
                (
                    "wrong: refused"
                    if right
                    else "refused in one line"
                    if "\n" not in str(error)
                    else "wrong: many lines"
                ),
                f"npz {name}",
            )
        except (Hung, Exception) as error:
            yield f"wrong: {type(error).__name__}", f"npz {name}"
    yield from tars(place, times - len(cases[: times // 2]))


def tars(place: Path, times: int) -> Iterator[Outcome]:
    official = ARCHIVES["cifar100"]
    one, two = (f"{official.folder}/{f}" for f in official.files)
    kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
    names = [one, f"../{one}", f"/tmp/{one}", f"{official.folder}/../../{one}", "x"]
    for kind, name, link in itertools.islice(
        itertools.product([*kinds, tarfile.REGTYPE], names, ["../../outside"]), times
    ):
        into = place / "into"
        shutil.rmtree(place / "into", ignore_errors=True)
        into.mkdir()
        (place / "outside").write_text("mine")
        with tarfile.open(into / "a.tar.gz", "w:gz") as out:
            for member, fields, content in ((name, {"type": kind, "linkname": link}, b"no"), (two, {}, b"test")):
                info = tarfile.TarInfo(member)
                info.size = len(content) if fields.get("type", tarfile.REGTYPE) == tarfile.REGTYPE else 0
                for key, value in fields.items():
                    setattr(info, key, value)
                out.addfile(info, io.BytesIO(content))
        right = kind == tarfile.REGTYPE and name == one
        case = f"tar {kind!r} {name}"
        try:
            _Unpack(official)(str(into / "a.tar.gz"), "download", None)
            word = "read" if right else "wrong: read"
        except KaxisError:
            word = "wrong: refused" if right else "refused in one line"
        except Exception as error:
            word = f"wrong: {type(error).__name__}"
        links = [p for p in into.rglob("*") if p.is_symlink() or not (p.is_file() or p.is_dir())]
        if (
            links
            or (place / "outside").read_text() != "mine"
            or set(p.name for p in place.iterdir()) - {"x.npz", "into", "outside"}
        ):
            word = "wrong: something else was written"
        yield word, case


def command_lines(place: Path, times: int) -> Iterator[Outcome]:
    """Values that no option can want, on every verb."""
    (place / "file").write_text("x")
    (place / "brackets.toml").write_text("a = " + "[" * 100_000)
    for name, text in (
        ("list", "leg = [1, 2]\nsource = 'digits'"),
        ("bom", "\ufeffsource = 'digits'\nK = 3"),
        ("twice", "K = 3\nK = 4"),
        ("nul", "K = '\0'"),
    ):
        (place / f"{name}.toml").write_text(text)
    tables = [
        "",
        "K,learner,seed,accuracy\n",
        "K;learner;seed;accuracy\n5;A;0;1\n",
        "K,learner,seed,accuracy\n5,A,0,7\n5,B,0,nan\n",
        "\0\0\0",
        "K,learner,seed,accuracy\n" + "5,A,0,.5\n" * 2,
    ]
    for i, text in enumerate(tables):
        (place / f"t{i}.csv").write_text(text)
    values = [
        "-1",
        "0",
        "1e300",
        "inf",
        "nan",
        "99999999999999999999",
        "",
        "x",
        "\u202e",
        "0-1000000000",
        "-" * 50,
        "[" * 500,
        "1" * 5000,
    ]
    options = [
        "K",
        "seeds",
        "learners",
        "steps",
        "epochs",
        "width",
        "depth",
        "lr",
        "batch-size",
        "holdout",
        "labels",
        "features",
        "net",
        "size",
        "per-class",
        "jobs",
    ]
    lines = [["run", "digits", "--dry-run", f"--{o}", v] for o in options for v in values]
    more = [
        "--columns 0",
        "--K 1000000000",
        "--size 7",
        "--seed x",
        "--out {file}",
        "--labels coarse",
        "--columns 99999999",
    ]
    lines += [["data", "show", "digits", *m.format(file=place / "file").split()] for m in more]
    lines += [
        ["run", str(place / f"{n}.toml"), "--dry-run"] for n in ("brackets", "list", "bom", "twice", "nul", "none")
    ]
    lines += [
        ["analyze", verb, str(place / f"t{i}.csv"), "--baseline", "A"]
        for verb in ("paired", "contrast", "gap")
        for i in range(len(tables))
    ]
    lines += [["audit", f"--{o}", v] for o in ("batch", "budget", "width") for v in values[:5]]
    lines += [["figure", "power", "--effect", v, "--seeds", v] for v in values[:6]]
    picked = RNG.permutation(len(lines))[:times]
    for i in picked:
        words = lines[int(i)]
        code, _, err = command(*words, *(["--store", place / "none"] if words[0] in ("run", "figure") else []))
        yield (
            judged(code, err) or {0: "done", 1: "done, with failures said", 2: "refused in one line"}[code or 0],
            " ".join(words)[:120],
        )


KINDS: dict[str, tuple[Callable[[Path, int], Iterator[Outcome]], int]] = {
    "kills inside writes of records, checkpoints and texts": (kills, 300),
    "flipped bits in a record": (bits_in_records, 150),
    "flipped bits in weights": (bits_in_weights, 150),
    "flipped bits in a checkpoint": (bits_in_checkpoints, 150),
    "spoilt records, four verbs each": (corrupt_records, 100),
    "npz and tar files": (archives, 60),
    "command lines": (command_lines, 240),
}


def table(scale: float) -> int:
    """Print a row a kind; returns how many cases were wrong."""
    print("| what | times | what came of it |\n|---|---|---|")
    wrong = []
    for name, (kind, times) in KINDS.items():
        with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            os.environ["XDG_CACHE_HOME"] = os.environ["KAXIS_STORE"] = str(Path(place) / "cache")
            work = Path(place) / "work"
            work.mkdir()
            found = list(kind(work, max(3, int(times * scale))))
        counts = Counter(word for word, _ in found)
        print(f"| {name} | {len(found)} | {', '.join(f'{n} {word}' for word, n in counts.most_common())} |", flush=True)
        wrong += [f"{name}: {word[7:]}: {case}" for word, case in found if word.startswith("wrong")]
    for line in wrong:
        print(line)
    return len(wrong)


if __name__ == "__main__":
    sys.exit(bool(table(float(sys.argv[2]) if sys.argv[1:2] == ["--scale"] else 1.0)))
