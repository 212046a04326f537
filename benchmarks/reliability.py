"""Faults injected on purpose: what kaxis makes of kills, flipped bits, corrupt records, bad files and odd command lines.

    python benchmarks/reliability.py                             # everything, about a quarter of an hour on two cores
    python benchmarks/reliability.py --only records --scale 0.05 # a quick look at one kind

Right is: the whole and correct answer, or one line that says what is wrong. Wrong is: another number without a word, a traceback,
a fault that kaxis calls its own, a hang, a file that is half written. The table has a row for each kind of fault, the first cases that
went wrong stand below it, and the exit code is 1 if there are any. What is injected is drawn by `default_rng(0)`; only the moments at
which a signal falls into a running process are left to the machine.

Most cases run in one process after another, through `kaxis.cli.main`, each under an alarm; where the process dies or does not come
back, the case that it was at counts as wrong and a new process goes on with the next one. Kills and outputs are real processes.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gzip
import io
import itertools
import json
import math
import os
import resource
import select
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
KAXIS = [sys.executable, "-m", "kaxis"]
PATIENCE, SHORT = 60, 20
"""Seconds after which a case hangs; a command line that trains nothing, or the reading of a small file, after fewer."""

MEMORY = 8 * 2**30
"""Bytes of address space that a process of cases may take: a fault must not take the machine down."""

SMALL = "digits --K 3 5 --seeds 0-2 --learners bp_deepsup dtg_ff --steps 50 --weights".split()
LONG = "digits --K 3 5 --seeds 0-3 --learners bp bp_deepsup dtg_ff --steps 300 --jobs 2".split()


@dataclass(frozen=True)
class Seen:
    """What came of a case: in a few words that are counted, and why it is wrong, if it is."""

    outcome: str
    wrong: str = ""


@dataclass(frozen=True)
class Case:
    """One fault: the row of the table that it counts in, its name, and what does it."""

    row: str
    name: str
    run: Callable[[], Seen]


@dataclass
class Row:
    """A row of the table."""

    outcomes: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)

    def add(self, name: str, seen: Seen) -> None:
        self.outcomes[seen.outcome] += 1
        if seen.wrong:
            self.bad.append(f"{name}: {seen.wrong}")


Table = dict[str, Row]


class Hang(BaseException):
    """Raised by the alarm."""


# ---- running things -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ended:
    """How a command ended; no code where it never did."""

    code: int | None
    out: str
    err: str


@contextlib.contextmanager
def alarm(seconds: float) -> Iterator[list[bool]]:
    """Raises `Hang` inside the block after so many seconds; the list then holds True, also where the block swallows it."""
    rung: list[bool] = []

    def ring(*_: object) -> None:
        rung.append(True)
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield rung
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def captured() -> Iterator[Callable[[], tuple[str, str]]]:
    """Both outputs of this process as text, those of C libraries too."""
    streams, kept = (sys.stdout, sys.stderr), [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as first, tempfile.TemporaryFile() as second:

        def text() -> tuple[str, str]:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
            for file in (first, second):
                file.seek(0)
            return tuple(file.read().decode("utf-8", "replace") for file in (first, second))  # type: ignore[return-value]

        try:
            os.dup2(first.fileno(), 1)
            os.dup2(second.fileno(), 2)
            sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
            sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False, buffering=1)
            yield text
        finally:
            sys.stdout, sys.stderr = streams
            for number, handle in enumerate(kept, 1):
                os.dup2(handle, number)
                os.close(handle)


def cli(*tokens: str | Path, seconds: float = PATIENCE, folder: Path | None = None) -> Ended:
    """A command line in this process, which is left as it was found."""
    from kaxis.cli import main

    environment, here, code = dict(os.environ), os.getcwd(), None
    with captured() as text, warnings.catch_warnings():
        with alarm(seconds) as rung:
            try:
                os.chdir(folder or here)
                main([str(token) for token in tokens])
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            except Hang:
                pass
            except BaseException:
                traceback.print_exc()
                code = -1
        out, err = text()
    os.chdir(here)
    os.environ.clear()
    os.environ.update(environment)
    return Ended(None if rung else code, out, err)


def process(tokens: Sequence[str | Path], folder: Path, seconds: float = PATIENCE, **options: Any) -> Ended:
    """A command line as a process of its own."""
    made = subprocess.Popen(
        [*map(str, tokens)], cwd=folder, stdin=subprocess.DEVNULL, **{"stdout": -1, "stderr": -1, **options}
    )
    try:
        out, err = made.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        made.kill()
        out, err = made.communicate()
        return Ended(None, *((text or b"").decode("utf-8", "replace") for text in (out, err)))
    return Ended(made.returncode, *((text or b"").decode("utf-8", "replace") for text in (out, err)))


def own_lines(err: str) -> list[str]:
    """Lines on stderr but for warnings."""
    return [line for line in err.splitlines() if not line.startswith("kaxis: warning: ")]


def fault(ended: Ended, codes: Sequence[int] = (0, 1, 2)) -> str:
    """What is wrong with the way in which a command ended; empty if nothing is."""
    if ended.code is None:
        return "hung"
    last = next((line for line in reversed(ended.err.splitlines()) if line.strip()), "")[:200]
    if "Traceback" in ended.err or "Exception ignored" in ended.err:
        return f"a traceback, exit code {ended.code}: {last}"
    if "fault of kaxis" in ended.err:
        return f"a fault of kaxis: {last}"
    if ended.code not in codes:
        return f"exit code {ended.code}, {' or '.join(map(str, codes))} expected: {last}"
    if ended.code == 2 and len(own_lines(ended.err)) != 1:
        return f"exit code 2 with {len(own_lines(ended.err))} lines: {last}"
    return ""


def in_words(ended: Ended, codes: Sequence[int] = (0, 1, 2)) -> Seen:
    """An outcome for the table."""
    if wrong := fault(ended, codes):
        return Seen("wrong: " + wrong.split(":")[0].split(",")[0], wrong)
    return Seen({0: "done", 1: "failed in words", 2: "refused in one line"}.get(ended.code or 0, "ended"))


def some(things: Sequence[Any], scale: float) -> list[Any]:
    """A share of a list, evenly spaced."""
    n = min(len(things), max(1, round(scale * len(things))))
    return [things[i * len(things) // n] for i in range(n)]


def fresh(folder: Path) -> Path:
    """An empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def small_store(place: Path) -> Path:
    """A store that a real run has made, with weights; made once."""
    store = place / "small"
    if not store.exists():
        ended = process([*KAXIS, "run", *SMALL, "--store", store], place, 600, env=environment(place))
        if ended.code != 0:
            raise SystemExit(f"the small store could not be made: {ended.err}")
    return store


def environment(place: Path, **more: str) -> dict[str, str]:
    """Nothing of the person who runs this; a download finds no network."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("KAXIS_")}
    dead = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    home = {"HOME": str(place / "home"), "XDG_CACHE_HOME": str(place / "cache"), "MPLBACKEND": "agg"}
    return {**own, **dead, **home, "KAXIS_STORE": str(place / "unnamed"), "PYTHONPATH": str(ROOT), **more}


# ---- kills ----------------------------------------------------------------------------------------------------------


def kills(place: Path, scale: float, table: Table) -> None:
    """Signals into writers, and into runs that are then gone on with."""
    table["kills: a writer"] = writer = Row()
    table["kills: kaxis run"] = runs = Row()
    rng = np.random.default_rng(0)
    killed_writers(place, max(2, round(300 * scale)), rng, writer)
    killed_runs(place, max(1, round(12 * scale)), rng, runs)


def killed_writers(place: Path, times: int, rng: np.random.Generator, row: Row) -> None:
    """A process that writes without end is killed; what has a final name must be whole."""
    folder = place / "writer"
    mother = child_process(place, "writer", stdin=subprocess.PIPE)
    assert mother.stdin is not None
    lines = reader(mother)
    next(lines)  # it has imported everything
    for i in range(times):
        if i % 30 == 0:
            fresh(folder)
        number = (signal.SIGKILL, signal.SIGTERM)[i % 2]
        mother.stdin.write(f"{folder}\n".encode())
        mother.stdin.flush()
        pid = int(next(lines) or 0)
        time.sleep(float(rng.uniform(0, 0.15)))
        os.kill(pid, number)
        status = next(lines, None)
        row.add(f"{number.name} {i}", after_kill(folder, number, status))
        if status is None:
            break
    mother.kill()
    mother.wait()


def after_kill(folder: Path, number: signal.Signals, status: str | None) -> Seen:
    """Is every file of a final name whole, by a digest or by its own content?"""
    import torch

    from kaxis.io import unseal
    from kaxis.store.records import Store

    if status is None:
        return Seen("wrong: hung", f"the writer goes on after {number.name}")
    if (ended := os.waitstatus_to_exitcode(int(status))) not in (-number, 130):
        return Seen("wrong: ended otherwise", f"exit code {ended} after {number.name}")
    store = Store(folder)
    whole = sum(1 for _ in store.records())
    wrong = list(store.problems)
    for file in sorted(folder.glob("checkpoints/*.pt")):
        try:
            kept = torch.load(io.BytesIO(unseal(file.read_bytes()) or b""), weights_only=True)
            if not (kept["numbers"] == kept["step"]).all():
                wrong.append(f"{file.name}: numbers of two steps")
        except Exception as error:
            wrong.append(f"{file.name}: {error}")
        whole += 1
    for file in sorted(folder.glob("texts/*.[cs]*[vg]")):
        lines = file.read_text("utf-8").split("\n")
        if len(lines) != 2_001 or len(set(lines[:-1])) != 1:
            wrong.append(f"{file.name}: not whole")
        whole += 1
    names = [f.name for f in folder.rglob("*") if f.is_file()]
    odd = [n for n in names if not n.endswith((".json", ".pt", ".csv", ".svg", ".part"))]
    wrong += [f"{name}: whose is it?" for name in odd]
    if wrong:
        return Seen("wrong: a file that is not whole", "; ".join(wrong[:3]))
    return Seen("every file whole" + (", with leftovers" if any(n.endswith(".part") for n in names) else ""))


def writer_child() -> None:
    """Forks a process for every folder that it is told, which writes there until it is killed; says its id, then how it ended."""
    import torch

    from kaxis.cell import Cell
    from kaxis.cli import _interrupted_by_signals
    from kaxis.io import write_text
    from kaxis.store.records import Store
    from kaxis.train import keep

    files = sorted((ROOT / "studies/results/main/cells").glob("*.json"))[:20]
    records = [json.loads(file.read_text("utf-8")) for file in files]

    def write(folder: Path) -> None:
        store = Store(folder)
        store.prepare()
        (folder / "texts").mkdir(exist_ok=True)
        for n in itertools.count():
            record = records[n % len(records)]
            store.write(Cell(record["config"]), {k: v for k, v in record.items() if k != "config"})
            numbers = torch.full((20_000,), float(n))
            keep._write(folder / "checkpoints" / f"{n % 3}.pt", {"step": float(n), "numbers": numbers})
            write_text(folder / "texts" / ("figure.svg", "rows.csv")[n % 2], f"{n},{n},{n}\n" * 2_000)

    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(KeyboardInterrupt), _interrupted_by_signals():
                print(os.getpid(), flush=True)
                write(Path(line.strip()))
            os._exit(130)
        print(os.waitpid(pid, 0)[1], flush=True)


def killed_runs(place: Path, times: int, rng: np.random.Generator, row: Row) -> None:
    """Real runs end by a signal and are gone on with, until their records can be compared with those of a quiet run."""
    started = time.monotonic()
    quiet = place / "quiet"
    ended = process([*KAXIS, "run", *LONG, "--store", quiet], place, 600, env=environment(place))
    if ended.code != 0:
        row.add("the quiet run", Seen("wrong: failed", ended.err[-200:]))
        return
    usual, done, session = time.monotonic() - started, 0, 0
    while done < times:
        session += 1
        store = fresh(place / f"killed-{session}")
        for _ in range(3):  # then it may finish
            number = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)[done % 3]
            seen = killed_run(place, store, number, float(rng.uniform(0.05, 0.9)) * usual)
            if seen is None:  # it was done before
                break
            row.add(f"{number.name} {done}", seen)
            done += 1
            if done == times:
                break
        ended = process([*KAXIS, "run", *LONG, "--store", store], place, 600, env=environment(place))
        same = "" if ended.code == 0 else f"exit code {ended.code} of the run that goes on: {ended.err[-200:]}"
        row.add(f"store {session}", Seen("gone on with to the same numbers", same or different(quiet, store)))


def killed_run(place: Path, store: Path, number: signal.Signals, after: float) -> Seen | None:
    """One run, ended by a signal after some seconds; None if it ended by itself before."""
    with tempfile.TemporaryFile() as err:
        made = subprocess.Popen(
            [*KAXIS, "run", *LONG, "--store", str(store)],
            cwd=place,
            env=environment(place),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=err,
            start_new_session=True,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            made.wait(after)
            return None
        made.send_signal(number)
        try:
            made.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(made.pid, signal.SIGKILL)
            return Seen("wrong: hung", f"goes on after {number.name} at {after:.1f} s")
        orphans = left_after(made.pid, 15)
        err.seek(0)
        said = err.read().decode("utf-8", "replace").strip()
    at = f"{number.name} at {after:.1f} s"
    if orphans:
        return Seen("wrong: orphans", f"{at}: processes of it live on")
    if number == signal.SIGKILL:
        return Seen("killed, no orphans")
    if made.returncode == -number and not said and not any(store.rglob("*")):
        return Seen("ended by the signal before it began")
    if made.returncode != 130 or "kept" not in said or len(said.splitlines()) != 1 or "leaked" in said:
        return Seen("wrong: not 130 and one line", f"{at}: exit code {made.returncode}, stderr: {said[-300:]!r}")
    return Seen("130 and one line")


def left_after(group: int, seconds: float) -> bool:
    """Whether processes of a group are alive after some seconds; they are ended then."""
    for _ in range(round(seconds * 10)):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    return True


def different(one: Path, other: Path) -> str:
    """In what two stores differ; empty if every metric and curve is the same bit for bit."""
    from kaxis.store.records import Store

    stores = [Store(one), Store(other)]
    seen = [{s.name(r).name: (r["status"], r["metrics"], r["curves"]) for r in s.records()} for s in stores]
    if stores[1].problems:
        return stores[1].problems[0]
    if seen[0].keys() != seen[1].keys():
        return f"{len(seen[0])} and {len(seen[1])} records"
    unlike = [name for name in seen[0] if repr(seen[0][name]) != repr(seen[1][name])]
    return f"{len(unlike)} records have other numbers, the first {unlike[0]}" if unlike else ""


# ---- bits -----------------------------------------------------------------------------------------------------------


def flipped(content: bytes, rng: np.random.Generator, tail: int) -> tuple[bytes, str]:
    """A content with one bit flipped, in one of five cases among its last bytes, where its digest is; and where that was."""
    low = max(0, len(content) - tail) if rng.random() < 0.2 else 0
    at, bit = int(rng.integers(low, len(content))), int(rng.integers(8))
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :], f"byte {at} of {len(content)}, bit {bit}"


def bits(place: Path, scale: float) -> list[Case]:
    """Single bits flipped in records, in weights and in a checkpoint."""
    rng, times = np.random.default_rng(0), max(1, round(150 * scale))
    store = small_store(place)
    records, weights = sorted((store / "cells").glob("*.json")), sorted((store / "weights").glob("*.pt"))
    cases = []
    for i in range(times):
        file = records[i % len(records)]
        content, at = flipped(file.read_bytes(), rng, 95)
        run = functools.partial(flipped_record, fresh(place / "flipped"), file, content)
        cases.append(Case("bits: records", f"{file.name}, {at}", run))
    for i in range(times):
        file = weights[i % len(weights)]
        content, at = flipped(file.read_bytes(), rng, 78)
        cases.append(
            Case("bits: weights", f"{file.name}, {at}", functools.partial(flipped_weights, place, file, content))
        )
    checkpoint = Checkpoint(place / "checkpoint")
    for _ in range(times):
        content, at = flipped(checkpoint.content, rng, 78)
        cases.append(Case("bits: a checkpoint", at, functools.partial(checkpoint.resumed, content)))
    return cases


def flipped_record(folder: Path, file: Path, content: bytes) -> Seen:
    from kaxis.store.records import Store

    (folder / "cells").mkdir(exist_ok=True)
    (folder / "cells" / file.name).write_bytes(content)
    store = Store(folder)
    found = list(store.records())
    (folder / "cells" / file.name).unlink()
    if store.problems and not found:
        return Seen("named" if file.name in store.problems[0] else "wrong: not named", "")
    if found == [json.loads(file.read_text("utf-8"))]:
        return Seen("of no matter")
    if found and "digest" not in found[0]["provenance"]:
        return Seen("wrong: its digest is not looked for", "taken for a record of before digests, without a word")
    return Seen("wrong: used", "other content, without a word")


@functools.cache
def stack_of(file: Path) -> Any:
    """An untrained stack of the cell whose weights a file holds, with its networks."""
    from kaxis.cell import Cell
    from kaxis.sources.load import load_task
    from kaxis.train.loop import kind_of, networks_of

    record = json.loads((file.parent.parent / "cells" / f"{file.stem}.json").read_text("utf-8"))
    cell = Cell(record["config"])
    tasks = {cell.seed: load_task(cell.config["source"], cell.K, cell.seed)}
    networks = networks_of([cell])
    stack = kind_of(cell.config)([cell], networks, tasks, "cpu")
    return stack, range(len(networks))


def loaded(file: Path, like: Path) -> list[bytes]:
    """The numbers that `load_weights` puts into a stack."""
    from kaxis.train.keep import load_weights

    stack, networks = stack_of(like)
    load_weights(file, stack, networks)
    return [t.detach().numpy().tobytes() for n in networks for t in stack.tensors(n).values()]


def flipped_weights(place: Path, file: Path, content: bytes) -> Seen:
    from kaxis.errors import KaxisError

    other = place / "flipped.pt"
    other.write_bytes(content)
    try:
        found = loaded(other, file)
    except KaxisError as error:
        wrong = "" if str(other) in str(error) and "\n" not in str(error) else f"not named: {error}"
        return Seen("refused in one line", wrong)
    if found == loaded(file, file):
        return Seen("of no matter")
    return Seen("wrong: used", "other weights, without a word")


class Checkpoint:
    """A training that was interrupted half-way, and what it gives undisturbed."""

    def __init__(self, folder: Path) -> None:
        from kaxis.leg import Leg

        options = {"source": "digits", "K": 3, "seeds": "0-1", "learners": "dtg_ff", "steps": 60, "width": 16}
        self.cells, self.folder = Leg.of(options).cells(), fresh(folder)
        self.quiet, _ = self.train(None)
        with contextlib.suppress(KeyboardInterrupt):
            self.train(self.folder, keep_every=0.0, stop=31)
        (self.file,) = self.folder.glob("*.pt")
        self.content = self.file.read_bytes()
        again, steps = self.train(self.folder)
        assert again == self.quiet, "a whole checkpoint gives other numbers"
        assert 0 < steps < 60, "a whole checkpoint is not gone on from"

    def train(self, keep: Path | None, *, keep_every: float = 60.0, stop: int = 0) -> tuple[str, int]:
        """The results as text, and how many steps they took."""
        from kaxis.train.loop import train

        steps = 0

        def after_step() -> None:
            nonlocal steps
            steps += 1
            if steps == stop:
                raise KeyboardInterrupt

        results, _ = train(self.cells, keep=keep, keep_every=keep_every, after_step=after_step)
        return json.dumps([{k: r[k] for k in ("status", "metrics", "curves")} for r in results]), steps

    def resumed(self, content: bytes) -> Seen:
        self.file.write_bytes(content)
        results, steps = self.train(self.folder)
        if results != self.quiet:
            return Seen("wrong: other numbers", f"other numbers, after {steps} steps")
        if steps < 60:
            return Seen("wrong: gone on from", f"a damaged checkpoint was gone on from, after {60 - steps} steps")
        return Seen("passed over, the same numbers")


# ---- records --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Touched:
    """What a corruption has done to a store.

    Parameters
    ----------
    gone : tuple of str
        Files of records that are not to be used any more.
    named : str
        The file that must be named.
    more : bool
        Whether there is a record of another place now, which nothing tells from a real one.
    """

    gone: tuple[str, ...] = ()
    named: str = ""
    more: bool = False


Corrupt = Callable[[Path], Touched]
Made = Callable[[Path, bytes], object]

VERBS = {
    "status": ("status", "--json"),
    "paired": ("analyze", "paired", "--baseline", "bp_deepsup", "--json"),
    "cube": ("cube", "--out", "cube.nc"),
    "check": ("store", "check"),
}


def sealed(record: Mapping[str, Any]) -> str:
    """A record's text with a digest that agrees with it."""
    from kaxis.io import text_digest

    bare = {k: v for k, v in record["provenance"].items() if k != "digest"}
    text = json.dumps({**record, "provenance": {**bare, "digest": ""}}, indent=1)
    head, tail = text.rsplit('""', 1)
    return f'{head}"{text_digest(text.encode())}"{tail}'


def without_digest(record: Mapping[str, Any]) -> str:
    bare = {k: v for k, v in record["provenance"].items() if k != "digest"}
    return json.dumps({**record, "provenance": bare}, indent=1)


def put(record: Any, where: str, value: Any) -> None:
    """Set, or with `...` remove, an entry by its path."""
    *path, last = [int(key) if key.lstrip("-").isdigit() else key for key in where.split(".")]
    for key in path:
        record = record[key]
    if value is ...:
        del record[last]
    else:
        record[last] = value


def changed(i: int, changes: Mapping[str, Any], *, text: Callable[[Any], str] = sealed, moved: bool = False) -> Corrupt:
    """The i-th record with other entries; `moved` to the name that its configuration then has."""

    def corrupt(store: Path) -> Touched:
        from kaxis.cell import Cell

        files = sorted((store / "cells").glob("*.json"))
        file = files[i % len(files)]
        record = json.loads(file.read_text("utf-8"))
        for where, value in changes.items():
            put(record, where, value)
        name = f"{Cell(record['config']).id}.json" if moved else file.name
        content = text(record)
        file.unlink()
        (file.parent / name).write_bytes(content.encode("utf-8", "surrogatepass"))
        return Touched((file.name,), more=True) if moved else Touched((file.name,), name)

    return corrupt


def digit(i: int, rng: np.random.Generator) -> Corrupt:
    """One digit of a number in the i-th record is another one; its digest stays."""
    draw, other = float(rng.random()), int(rng.integers(1, 10))

    def corrupt(store: Path) -> Touched:
        files = sorted((store / "cells").glob("*.json"))
        file = files[i % len(files)]
        content = bytearray(file.read_bytes())
        first = content.index(b'"metrics"')
        places = [at for at in range(first, content.index(b'"streams"')) if chr(content[at]).isdigit()]
        at = places[int(draw * len(places))]
        content[at] = ord(str((int(chr(content[at])) + other) % 10))
        file.write_bytes(content)
        return Touched((file.name,), file.name)

    return corrupt


def content_of(i: int, made: Callable[[bytes], bytes]) -> Corrupt:
    """The i-th record's bytes are others."""

    def corrupt(store: Path) -> Touched:
        files = sorted((store / "cells").glob("*.json"))
        file = files[i % len(files)]
        file.write_bytes(made(file.read_bytes()))
        return Touched((file.name,), file.name)

    return corrupt


def in_place(i: int, made: Made, *, quiet: bool = False) -> Corrupt:
    """Something else stands where the i-th record was."""

    def corrupt(store: Path) -> Touched:
        files = sorted((store / "cells").glob("*.json"))
        file = files[i % len(files)]
        content = file.read_bytes()
        file.unlink()
        made(file, content)
        return Touched((file.name,), "" if quiet else file.name)

    return corrupt


def beside(name: Callable[[str], str], made: Made) -> Corrupt:
    """Something more stands beside the first record, under a name made from its id."""

    def corrupt(store: Path) -> Touched:
        file = min((store / "cells").glob("*.json"))
        other = file.with_name(name(file.stem))
        made(other, file.read_bytes())
        return Touched((), other.name)

    return corrupt


def study(changes: Mapping[str, Any] | str) -> Corrupt:
    """One more study file: the store's own with other entries, or a text."""

    def corrupt(store: Path) -> Touched:
        file = min((store / "studies").glob("*.json"))
        spec = json.loads(file.read_text("utf-8"))
        for where, value in changes.items() if not isinstance(changes, str) else ():
            put(spec, where, value)
        other = file.with_name("other-0123456789ab.json")
        other.write_text(changes if isinstance(changes, str) else json.dumps(spec), "utf-8")
        return Touched((), other.name)

    return corrupt


def sparse(file: Path, _: bytes = b"") -> None:
    """A hundred megabytes of nothing."""
    with file.open("wb") as opened:
        opened.truncate(100 * 2**20)


NESTED = "[" * 100_000
ODD = (1.7, -3, "0.9", True, math.nan, 1e308, None, [], {}, 10**400)


def corruptions() -> list[tuple[str, Corrupt]]:
    """A hundred, by name."""
    rng = np.random.default_rng(0)
    n = itertools.count()
    out: list[tuple[str, Corrupt]] = [(f"a changed digit, {i}", digit(i, rng)) for i in range(8)]
    ways = (sealed, without_digest, lambda record: json.dumps(record, indent=1))
    said = ("a digest that agrees", "no digest", "the old digest")
    for value in ODD:
        for where in ("metrics.test_accuracy", "counts.parameters", "data.chance"):
            if (where, str(value)) in (("counts.parameters", "0.9"), ("data.chance", "True")):
                continue
            k = next(n)
            both = {where: value} | ({"curves.test_accuracy.-1": value} if where.startswith("metrics") else {})
            out.append((f"{where} = {str(value)[:20]!r}, {said[k % 3]}", changed(k, both, text=ways[k % 3])))
    tops = ("status", "reason", "metrics", "curves", "counts", "data", "provenance", "config")
    for where in (*tops, "metrics.test_accuracy", "curves.step", "data.n_train", "config.learner", "config.source"):
        whole = json.dumps if where == "provenance" else sealed
        out.append((f"no {where}", changed(next(n), {where: ...}, text=whole)))
    for where, value in zip(tops, (3, None, [], "x", 1.5, True, [], "config"), strict=True):
        whole = json.dumps if where == "provenance" else sealed
        out.append((f"{where} = {value!r}", changed(next(n), {where: value}, text=whole)))
    out += [
        ("failed with metrics", changed(1, {"status": "failed", "reason": "diverged"})),
        ("failed without a reason", changed(2, {"status": "failed", "metrics": {}})),
        ("done with a reason", changed(3, {"reason": "diverged"})),
        ("a step that goes back", changed(4, {"curves.step.0": 99})),
        ("a step of 30 digits", changed(5, {"curves.step.-1": 10**30})),
        ("nine temperatures", changed(6, {"metrics.temperature": [1.0] * 9})),
        ("a curve that ends elsewhere", changed(7, {"curves.train_accuracy.-1": 0.5})),
        ("format 2", changed(8, {"config.format": 2}, moved=True)),
        ("another configuration under its name", changed(9, {"config.seed": 77})),
        ("K = 10^30, named so", changed(10, {"config.K": 10**30}, moved=True)),
        ("settings = 3, named so", changed(11, {"config.learner.settings": 3}, moved=True)),
        ("a learner nobody knows, named so", changed(0, {"config.learner.name": "nobody\x1b[31m"}, moved=True)),
        ("half a letter in a source, named so", changed(1, {"config.source.name": "\ud800"}, moved=True)),
        ("half a letter in a date", changed(2, {"provenance.finished": "\ud800"})),
    ]
    for share in (0.999, 0.9, 0.5, 0.3, 0.1, 0.01):
        out.append((f"cut off at {share}", content_of(next(n), lambda raw, share=share: raw[: int(share * len(raw))])))
    out += [
        ("nested 100,000 deep", content_of(0, lambda raw: NESTED.encode())),
        ("nested 900 deep inside", changed(1, {"extra": json.loads("[" * 900 + "]" * 900)}, text=json.dumps)),
        ("empty", content_of(2, lambda raw: b"")),
        ("zeros", content_of(3, lambda raw: bytes(len(raw)))),
        ("latin 1", content_of(4, lambda raw: raw.replace(b"done", b"d\xf6ne"))),
        ("a folder", in_place(5, lambda file, raw: file.mkdir())),
        ("a pipe", in_place(6, lambda file, raw: os.mkfifo(file))),
        ("a link to /dev/zero", in_place(7, lambda file, raw: file.symlink_to("/dev/zero"))),
        ("a link to nothing", in_place(8, lambda file, raw: file.symlink_to("nothing"), quiet=True)),
        ("a link to itself", in_place(9, lambda file, raw: file.symlink_to(file.name))),
        ("100 MB of nothing", in_place(10, sparse)),
        ("ID.json~", beside("{}.json~".format, Path.write_bytes)),
        ("ID.old", beside("{}.old".format, Path.write_bytes)),
        ("ID.JSON", beside("{}.JSON".format, Path.write_bytes)),
        ("ID.json.bak", beside("{}.json.bak".format, sparse)),
        ("another's name", beside(lambda stem: "0" * 20 + ".json", Path.write_bytes)),
        ("a study of a learner nobody knows", study({"leg.0.learners": ["nobody"]})),
        ("a study with Infinity", study({"leg.0.lr": math.inf})),
        ("a study with 1e999", study('{"name": "x", "created": "", "plan": null, "leg": [{"lr": 1e999}]}')),
        ("a study of a billion seeds", study({"leg.0.seeds": ["0-999999999"]})),
        ("a study of a billion seeds in ranges", study({"leg.0.seeds": ["0-99999"] * 10_000})),
        ("a study of 10^10 cells", study({"leg.0.seeds": ["0-99999"], "leg.0.K": ["3-50000"]})),
        ("a study that is no JSON", study("hello")),
        ("a study that is a list", study("[1, 2]")),
        ("a study nested 100,000 deep", study(NESTED)),
        ("a study without a date", study({"created": ...})),
        ("a study of a plan nobody knows", study({"plan": {"learner": "nobody"}})),
    ]
    return out


def records(place: Path, scale: float) -> list[Case]:
    """Corrupt records, and the numbers of the others."""
    small = small_store(place)
    cases = []
    for name, corrupt in some(corruptions(), scale):
        for verb in VERBS:
            run = functools.partial(corrupt_record, place, small, corrupt, verb)
            cases.append(Case("records", f"{name}; {' '.join(VERBS[verb][:2])}", run))
    return cases


def copied(place: Path, small: Path) -> Path:
    """The small store without its weights."""
    store = fresh(place / "records") / "store"
    shutil.copytree(small, store, ignore=shutil.ignore_patterns("weights", "checkpoints"))
    return store


def asked(place: Path, verb: str, store: Path) -> tuple[Ended, Any]:
    """How a verb ends, and the numbers that it gave."""
    import xarray as xr

    ended = cli(*VERBS[verb], "--store", store, folder=place)
    file = place / "cube.nc"
    if verb == "cube":
        numbers = xr.load_dataset(file) if file.exists() else None
        file.unlink(missing_ok=True)
        return ended, numbers
    if verb == "check":
        return ended, ended.out.partition(" records are whole")[0].rpartition(": ")[2]
    try:
        return ended, json.loads(ended.out)["rows"]
    except (ValueError, KeyError):
        return ended, None


@functools.cache
def expected(place: Path, small: Path, verb: str, gone: tuple[str, ...]) -> Any:
    """What a verb gives if some records are not there."""
    store = copied(place, small)
    for name in gone:
        (store / "cells" / name).unlink()
    return asked(place, verb, store)[1]


def corrupt_record(place: Path, small: Path, corrupt: Corrupt, verb: str) -> Seen:
    store = copied(place, small)
    touched = corrupt(store)
    ended, numbers = asked(place, verb, store)
    if wrong := fault(ended, (0, 1, 2)):
        return Seen("wrong: " + wrong.split(":")[0], wrong)
    if ended.code == 2:
        return Seen("refused in one line")
    if wrong := unlike(expected(place, small, verb, touched.gone), numbers, verb, touched.more):
        return Seen("wrong: other numbers", wrong)
    where = ended.err if verb in ("paired", "cube") else ended.out
    if touched.named and touched.named not in where:
        return Seen("wrong: not named", f"{touched.named} is not named; exit code {ended.code}")
    if verb == "check" and touched.named and ended.code != 1:
        return Seen("wrong: exit code", f"exit code {ended.code}, 1 expected")
    return Seen("named, the other numbers the same" if touched.named else "the other numbers the same")


def unlike(wanted: Any, numbers: Any, verb: str, more: bool) -> str:
    """In what numbers differ from those of a store in which the corrupt record is not there."""
    if numbers is None:
        return "no numbers"
    if verb == "cube":
        return unlike_cubes(wanted, numbers)
    if verb == "check":
        return "" if int(numbers) == int(wanted) + more else f"{numbers} whole records, {wanted} expected"
    if verb == "status":
        done = [
            {(r["source"], r["learner"]): r["cells"] for r in rows if r["state"] == "done"}
            for rows in (wanted, numbers)
        ]
        return "" if more or done[0] == done[1] else f"done: {done[1]}, {done[0]} expected"
    return unlike_rows(wanted, numbers, more)


def unlike_rows(wanted: Any, numbers: Any, more: bool) -> str:
    """Whether any row differs; where there is one more, what is adjusted over K may."""
    adjusted = ("p_holm", "p_max_t", "band_lower", "band_upper") if more else ()
    found = {(r["source"], r["K"], r["learner"]): r for r in numbers}
    if not more and len(numbers) != len(wanted):
        return f"{len(numbers)} rows, {len(wanted)} expected"
    for row in wanted:
        other = found.get((row["source"], row["K"], row["learner"]), {})
        for key in row:
            if key not in adjusted and row[key] != other.get(key):
                return f"K = {row['K']}: {key} {other.get(key)} instead of {row[key]}"
    return ""


def unlike_cubes(wanted: Any, numbers: Any) -> str:
    """Whether any number of a cell that is done in the one differs in the other."""
    axes = ("source", "K", "learner", "seed")
    try:
        found = numbers.sel({axis: wanted[axis] for axis in axes})
    except KeyError as error:
        return f"a place is not there: {error}"
    done = (wanted.status == "done").values
    if not (found.status.values[done] == "done").all():
        return "a cell is not done any more"
    for name in wanted.data_vars:
        one, other = wanted[name], found[name]
        if one.dtype.kind != "f":
            continue
        for dim in set(one.dims) - set(axes):
            other = other.sel({dim: one[dim]})
        if not np.array_equal(one.values[done], other.transpose(*one.dims).values[done], equal_nan=True):
            return f"{name} differs"
    return ""


# ---- archives -------------------------------------------------------------------------------------------------------


def npy(array: Any, **options: Any) -> bytes:
    """An array as the bytes of a npy file."""
    made = io.BytesIO()
    np.save(made, array, **options)
    return made.getvalue()


def header(text: str, version: tuple[int, int] = (1, 0), payload: bytes = bytes(512)) -> bytes:
    """A npy file with a header of one's own."""
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(text) + 1) + text.encode() + b"\n" + payload


def zipped(file: Path, members: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, content in members:
            archive.writestr(name, content)


def good_arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "train_images": rng.integers(0, 256, (6, 8, 9), dtype=np.uint8),
        "train_labels": np.array([0, 1, 2, 0, 1, 2]),
        "test_images": rng.integers(0, 256, (3, 8, 9), dtype=np.uint8),
        "test_labels": np.array([2, 1, 0]),
    }


Zip = Callable[[Path], object]


def arrays(**other: Any) -> Zip:
    """A npz of the good arrays with others in their places, or with `...` without them."""
    own = {k: v for k, v in {**good_arrays(), **other}.items() if v is not ...}
    return lambda file: np.savez(file, **own)


def members(method: int = zipfile.ZIP_STORED, **other: bytes) -> Zip:
    """A npz of the good arrays with other bytes as members."""
    own = {**{k: npy(v) for k, v in good_arrays().items()}, **other}
    return lambda file: zipped(file, [(f"{k}.npy", v) for k, v in own.items()], method)


def patched(made: Zip, change: Callable[[bytearray], object]) -> Zip:
    """A file whose bytes are then changed in place."""

    def both(file: Path) -> None:
        made(file)
        content = bytearray(file.read_bytes())
        change(content)
        file.write_bytes(content)

    return both


def replaced(old: bytes, new: bytes, count: int = -1) -> Callable[[bytearray], object]:
    def change(content: bytearray) -> None:
        content[:] = content.replace(old, new, count)

    return change


def cut(share: float) -> Callable[[bytearray], object]:
    def change(content: bytearray) -> None:
        del content[int(share * len(content)) :]

    return change


def in_directory(offset: int, value: bytes) -> Callable[[bytearray], object]:
    """Other bytes in every entry of a zip's central directory."""

    def change(content: bytearray) -> None:
        at = content.find(b"PK\x01\x02")
        while at >= 0:
            content[at + offset : at + offset + len(value)] = value
            at = content.find(b"PK\x01\x02", at + 4)

    return change


def broken_stream(method: int) -> Zip:
    """The first member's compressed bytes are other ones."""

    def change(content: bytearray) -> None:
        start = 30 + len("train_images.npy") + 9
        content[start : start + 40] = bytes(b ^ 0xFF for b in content[start : start + 40])

    return patched(members(method), change)


def good_npz() -> list[tuple[str, Zip]]:
    g = good_arrays()
    colour = {k: np.repeat(v[..., None], 3, 3) for k, v in g.items() if k.endswith("images")}
    return [
        ("as MedMNIST has it", arrays()),
        ("labels (N, 1)", arrays(train_labels=g["train_labels"][:, None], test_labels=g["test_labels"][:, None])),
        ("labels of uint8", arrays(train_labels=g["train_labels"].astype(np.uint8))),
        ("labels with the high byte first", arrays(train_labels=g["train_labels"].astype(">i4"))),
        ("images column by column", arrays(train_images=np.asfortranarray(g["train_images"]))),
        ("images (N, H, W, 1)", arrays(train_images=g["train_images"][..., None])),
        ("images (N, H, W, 3)", arrays(**colour)),
        ("a broken val", arrays(val_images=np.array([1.5]), val_labels=np.array(["x"]))),
        ("compressed", lambda file: np.savez_compressed(file, **g)),
        ("bzip2 inside", members(zipfile.ZIP_BZIP2)),
        ("bytes behind it", patched(arrays(), lambda content: content.extend(b"\0" * 20))),
    ]


def bad_npz() -> list[tuple[str, Zip]]:
    g = good_arrays()
    one = {k: v + 1 for k, v in g.items() if k.endswith("labels")}
    nan = np.array([0, 1, 2, 0, 1, np.nan])
    huge = "{'descr': '|u1', 'fortran_order': False, 'shape': (%d, 8, 9), }"
    many = [(f"{k}.npy", npy(v)) for k, v in g.items()] + [(f"val_{i}", b"") for i in range(100_000)]
    return [
        ("a pickle", arrays(train_labels=np.array([{}, 1, 2, 3, 4, 5], object))),
        ("a pickle under its name", members(train_images=b"\x80\x04cos\nsystem\n(S'true'\ntR.")),
        ("NaN labels", arrays(train_labels=nan)),
        ("labels of floats", arrays(train_labels=g["train_labels"] * 1.0)),
        ("labels of text", arrays(train_labels=np.array(list("abcabc")))),
        ("labels of dates", arrays(train_labels=g["train_labels"].astype("M8[D]"))),
        ("labels from 1", arrays(**one)),
        ("a label of -1", arrays(train_labels=np.array([0, 1, 2, 0, 1, -1]))),
        ("a label of 2^63", arrays(train_labels=np.array([0, 1, 2, 0, 1, 2**63], np.uint64))),
        ("a class without test images", arrays(test_labels=np.array([0, 1, 1]))),
        ("two lengths", arrays(train_labels=g["train_labels"][:5])),
        ("two sizes", arrays(test_images=np.zeros((3, 9, 9), np.uint8))),
        ("no pixels", arrays(train_images=np.zeros((6, 0, 9), np.uint8))),
        ("no images", arrays(train_images=np.zeros((0, 8, 9), np.uint8), train_labels=np.zeros(0, int))),
        ("images of floats", arrays(train_images=g["train_images"] / 255)),
        ("images of two channels", arrays(train_images=np.zeros((6, 8, 9, 2), np.uint8))),
        ("no test labels", arrays(test_labels=...)),
        ("a member twice", lambda file: zipped(file, [("train_images.npy", npy(g["train_images"]))] * 2)),
        ("the encrypted flag", patched(arrays(), in_directory(8, b"\1\0"))),
        ("a method nobody knows", patched(arrays(), in_directory(10, b"\x63\0"))),
        ("4 GB declared", patched(arrays(), in_directory(24, b"\xfe\xff\xff\xff"))),
        ("another checksum", patched(arrays(), in_directory(16, b"\1\2\3\4"))),
        ("a header without its end", members(train_images=header("{'descr': '|u1', 'shape': (6, 8, 9"))),
        ("a header of 9,000 brackets", members(train_images=header("(" * 9_000))),
        ("a header of 10^13 images", members(train_images=header(huge % 10**13))),
        ("a header of 10^30 images", members(train_images=header(huge % 10**30))),
        ("a header of -6 images", members(train_images=header(huge % -6))),
        ("a header of another shape", members(train_images=header(huge % 6, payload=bytes(100)))),
        ("version 9", members(train_images=header(huge % 6, (9, 0)))),
        ("text as a member", members(train_images=b"hello")),
        ("text as labels", members(test_labels=b"0 1 2")),
        ("bytes before it", patched(arrays(), lambda content: content.__setitem__(slice(0, 0), b"#!/bin/sh\n"))),
        ("a broken deflate stream", broken_stream(zipfile.ZIP_DEFLATED)),
        ("a broken bzip2 stream", broken_stream(zipfile.ZIP_BZIP2)),
        ("a broken lzma stream", broken_stream(zipfile.ZIP_LZMA)),
        ("100,004 members", lambda file: zipped(file, many)),
        *((f"cut off at {share}", patched(arrays(), cut(share))) for share in (0.99, 0.5, 0.1)),
        ("empty", lambda file: file.write_bytes(b"")),
        ("a text", lambda file: file.write_text("hello\n" * 99, "utf-8")),
        ("a folder", lambda file: file.mkdir()),
        ("a pipe", lambda file: os.mkfifo(file)),
    ]


def archives(place: Path, scale: float) -> list[Case]:
    """Good and bad npz and tar files."""
    folder = fresh(place / "archives")
    cases = []
    for i, (name, made) in enumerate(some(good_npz(), scale)):
        cases.append(Case("archives: npz", name, functools.partial(read_npz, folder / f"good-{i}.npz", made, True)))
    for i, (name, made) in enumerate(some(bad_npz(), scale)):
        cases.append(Case("archives: npz", name, functools.partial(read_npz, folder / f"bad-{i}.npz", made, False)))
    for i, (name, good, tar) in enumerate(some(tars(), scale)):
        cases.append(Case("archives: tar", name, functools.partial(read_tar, folder / f"tar-{i}", tar, good)))
    return cases


def read_npz(file: Path, made: Zip, good: bool) -> Seen:
    from kaxis.errors import KaxisError
    from kaxis.sources import readers

    made(file)
    try:
        with alarm(SHORT) as rung:
            pixels, labels, n_train = readers.npz(file)
    except KaxisError as error:
        if rung:
            return Seen("wrong: hung", f"no answer within {SHORT} s")
        return Seen(
            "refused in one line", f"refused: {error}" if good else "" if "\n" not in str(error) else "two lines"
        )
    except Hang:
        return Seen("wrong: hung", f"no answer within {SHORT} s")
    except BaseException as error:
        return Seen("wrong: another error", f"{type(error).__name__}: {error}")
    if not good and file.name:
        g = good_arrays()
        same = np.array_equal(labels[:6], g["train_labels"]) and np.array_equal(pixels[:6, ..., 0], g["train_images"])
        return Seen("read to the right arrays") if same else Seen("wrong: read", f"read as {pixels.shape}")
    with np.load(file) as held:
        x = np.concatenate([held["train_images"].reshape(6, 8, 9, -1), held["test_images"].reshape(3, 8, 9, -1)])
        y = np.concatenate([held["train_labels"].reshape(-1), held["test_labels"].reshape(-1)])
    right = n_train == 6 and np.array_equal(pixels, x) and np.array_equal(labels, y)
    return Seen("read to the right arrays") if right else Seen("wrong: other arrays", f"{pixels.shape}, {labels}")


Tar = Callable[[tarfile.TarFile, Path], object]
A, B = b"a" * 3_000, b"b" * 5_000


def entry(name: str, content: bytes = b"", **fields_: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A member of a tar archive, with fields of one's own."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields_.items():
        setattr(info, key, value)
    return info, content


def tar_of(
    *entries: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz", end: Callable[[bytearray], object] | None = None
) -> Zip:
    """A tar archive; its bytes may be changed at the `end`."""

    def made(file: Path) -> None:
        with tarfile.open(file, mode) as tar:  # type: ignore[call-overload]
            for info, content in entries:
                tar.addfile(info, io.BytesIO(content))

    return patched(made, end) if end else made


def with_size(name: str, size: bytes) -> Callable[[bytearray], object]:
    """Another size in the header of a member of a plain tar file, with the checksum that it needs."""

    def change(content: bytearray) -> None:
        at = content.index(name.encode())
        content[at + 124 : at + 136] = size
        content[at + 148 : at + 156] = b" " * 8
        content[at + 148 : at + 156] = b"%06o\0 " % sum(content[at : at + 512])

    return change


def tars() -> list[tuple[str, bool, Zip]]:
    a, b = entry("set/a.bin", A), entry("set/b.bin", B)
    link, hard = tarfile.SYMTYPE, tarfile.LNKTYPE
    negative, large = b"\xff" * 8 + b"\xff\xff\xfe\x00", b"\x80" + (2**40).to_bytes(11, "big")
    plain = functools.partial(tar_of, mode="w")
    return [
        ("gzip", True, tar_of(a, b)),
        ("plain", True, plain(a, b)),
        ("xz", True, tar_of(a, b, mode="w:xz")),
        ("names that begin with ./", True, tar_of(entry("./set/a.bin", A), entry("./set/b.bin", B))),
        ("more files", True, tar_of(entry("set/readme", b"x"), a, entry("other/a.bin", b"x"), b)),
        ("a file twice", True, tar_of(a, b, entry("set/a.bin", A))),
        ("bad paths beside", True, tar_of(entry("../evil", b"x"), entry("/tmp/kaxis-evil", b"x"), a, b)),
        ("links beside", True, tar_of(entry("set/l", type=link, linkname="../../outside"), a, b)),
        ("a folder that is a link", False, tar_of(entry("set", type=link, linkname="../outside"), a)),
        ("a link", False, tar_of(entry("set/a.bin", type=link, linkname="/etc/passwd"), b)),
        ("a hard link to outside", False, tar_of(entry("set/a.bin", type=hard, linkname="../../outside/x"), b)),
        ("a hard link to the other", False, tar_of(b, entry("set/a.bin", type=hard, linkname="set/b.bin"))),
        ("a device", False, tar_of(entry("set/a.bin", type=tarfile.CHRTYPE, devmajor=1, devminor=5), b)),
        ("a pipe", False, tar_of(entry("set/a.bin", type=tarfile.FIFOTYPE), b)),
        ("a folder", False, tar_of(entry("set/a.bin", type=tarfile.DIRTYPE), b)),
        ("an absolute path", False, tar_of(entry("/set/a.bin", A), b)),
        ("a path that goes up", False, tar_of(entry("set/../set/a.bin", A), b)),
        ("a wrong name", False, tar_of(entry("set/A.bin", A), b)),
        ("a file that lacks", False, tar_of(a)),
        ("no file", False, tar_of()),
        ("2^40 bytes declared", False, plain(a, b, end=with_size("set/a.bin", large))),
        ("2^40 bytes declared beside", False, plain(entry("set/x", A), a, b, end=with_size("set/x", large))),
        ("-512 bytes declared", False, plain(a, b, end=with_size("set/a.bin", negative))),
        ("-512 bytes declared beside", False, plain(entry("set/x", A), a, b, end=with_size("set/x", negative))),
        *((f"gzip cut off at {share}", False, tar_of(a, b, end=cut(share))) for share in (0.9, 0.5, 0.1)),
        (
            "gzip with other bytes",
            False,
            tar_of(a, b, end=lambda content: content.__setitem__(slice(30, 60), b"x" * 30)),
        ),
        (
            "xz with other bytes",
            False,
            tar_of(a, b, mode="w:xz", end=lambda c: c.__setitem__(slice(40, 80), b"x" * 40)),
        ),
        ("plain cut off in a file", False, plain(a, b, end=cut(0.4))),
        ("empty", False, lambda file: file.write_bytes(b"")),
        ("a text", False, lambda file: file.write_text("hello\n" * 999, "utf-8")),
        ("gzip of a text", False, lambda file: file.write_bytes(gzip.compress(b"hello\n" * 999))),
    ]


def read_tar(folder: Path, made: Zip, good: bool) -> Seen:
    """Unpack as `kaxis data get` does, and look at what has come to be."""
    from kaxis.errors import KaxisError
    from kaxis.sources.archives import Archive, _Unpack

    (fresh(folder) / "data").mkdir()
    (folder / "outside").mkdir()
    file = folder / "data" / "set.tar.gz"
    made(file)
    archive = Archive("http://localhost/set.tar.gz", "", "set", {"a.bin": (1, None)}, {"b.bin": (1, None)})
    outcome, wrong = "unpacked", "" if good else "taken without a word"
    try:
        with alarm(SHORT):
            _Unpack(archive)(str(file), "download", None)
    except KaxisError as error:
        outcome, wrong = "refused in one line", f"refused: {error}" if good or "\n" in str(error) else ""
    except (OSError, ValueError) as error:  # which `download` says in one line
        outcome, wrong = "refused by who calls it", f"{error}" if good else ""
    except Hang:
        outcome, wrong = "wrong: hung", f"no answer within {SHORT} s"
    except BaseException as error:
        outcome, wrong = "wrong: another error", f"{type(error).__name__}: {error}"
    there = {str(f.relative_to(folder)) for f in folder.rglob("*")}
    odd = there - {"data", "outside", "data/set.tar.gz", "data/set", "data/set/a.bin", "data/set/b.bin"}
    if odd or Path("/tmp/kaxis-evil").exists():
        return Seen("wrong: something is left", f"written: {', '.join(sorted(odd)) or '/tmp/kaxis-evil'}")
    if any(f.is_symlink() for f in folder.rglob("*")):
        return Seen("wrong: a link", "a link was made")
    for name, content in (("a", A), ("b", B)):
        there_now = folder / "data/set" / f"{name}.bin"
        if there_now.exists() and there_now.read_bytes() != content:
            return Seen("wrong: other bytes", f"{there_now.name} has {there_now.stat().st_size} bytes")
    return Seen(outcome, wrong)


# ---- images ---------------------------------------------------------------------------------------------------------


def encoded(pixels: Any, kind: str = "PNG", mode: str = "", **options: Any) -> bytes:
    """Pixels as an image file."""
    from PIL import Image

    made, image = io.BytesIO(), Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(made, kind, **options)
    return made.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG file by hand, for what Pillow does not write."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def exif(*tags: tuple[int, int, int, bytes], orientation: int = 6) -> bytes:
    """EXIF by hand: an orientation and more tags of (number, type, count, value of four bytes)."""
    every = sorted([*tags, (0x0112, 3, 1, struct.pack(">HH", orientation, 0))])
    body = b"".join(struct.pack(">HHI", *tag[:3]) + tag[3] for tag in every)
    return b"Exif\0\0MM\0*" + struct.pack(">IH", 8, len(every)) + body + bytes(4)


def with_exif(jpeg: bytes, content: bytes) -> bytes:
    """A JPEG file with EXIF in front."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


UPRIGHT: dict[int, Callable[[Any], Any]] = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: np.swapaxes(x, 0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(np.swapaxes(x, 0, 1), 2),
    8: lambda x: np.rot90(x, 1),
}
"""How pixels as they are stored come to stand upright, by EXIF's orientation."""


def colour(x: Any) -> Any:
    """Grey as three channels."""
    return np.repeat(x[..., None], 3, 2) if x.ndim == 2 else x[..., :3]


def pictures() -> list[tuple[str, bytes, Any, int]]:
    """Name, file, the right pixels (None: to be refused, a string: either refused or whatever comes), and by how much they may be off."""
    from PIL import Image

    rng = np.random.default_rng(0)
    grey, rgb = rng.integers(0, 256, (13, 9), dtype=np.uint8), rng.integers(0, 256, (13, 9, 3), dtype=np.uint8)
    wide = rng.integers(0, 65_536, (13, 9), dtype=np.uint16)
    alpha = np.dstack([rgb, grey])
    unit = rng.random((13, 9), dtype=np.float32)
    few = rng.integers(0, 256, (13, 9, 3), dtype=np.uint8) & 0xC0
    palette = Image.fromarray(few).quantize(64)
    held, cmyk = io.BytesIO(), rng.integers(0, 256, (13, 9, 4), dtype=np.uint8)
    palette.save(held, "PNG", transparency=0)
    ink = 255 - cmyk.astype(float)
    printed = np.rint(ink[..., :3] * ink[..., 3:] / 255)
    tagged = Image.Exif()
    down = np.rint(wide / 257).astype(np.uint8)
    deep = rng.integers(0, 65_536, (13, 9, 3), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep.reshape(13, -1))
    twelve = rng.integers(0, 4_096, (13, 9), dtype=np.uint16)
    tile = np.full((16, 16, 3), (200, 30, 90), np.uint8)
    jpeg, whole_png = encoded(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), "JPEG"), encoded(deep_noise(rng))
    out: list[tuple[str, bytes, Any, int]] = [
        ("8 bits grey", encoded(grey), colour(grey), 0),
        ("8 bits colour", encoded(rgb), rgb, 0),
        ("colour and alpha", encoded(alpha), rgb, 0),
        ("grey and alpha", encoded(np.dstack([grey, grey])), colour(grey), 0),
        ("a palette", held.getvalue(), np.asarray(palette.convert("RGB")), 0),
        ("1 bit", encoded(grey > 127), colour(np.where(grey > 127, 255, 0)), 0),
        ("CMYK", _cmyk(cmyk), printed, 1),
        ("JPEG of one colour", encoded(tile, "JPEG", quality=95), tile, 3),
        ("16 bits grey", encoded(wide), colour(down), 0),
        ("16 bits grey, TIFF", encoded(wide, "TIFF"), colour(down), 0),
        ("16 bits colour", png(9, 13, 16, 2, rows), np.rint(deep / 257), 1),
        ("12 bits in 16", encoded(twelve), colour(np.rint(twelve / 257)), 0),
        ("16 bits, PGM", b"P5 9 13 65535\n" + wide.astype(">u2").tobytes(), colour(down), 0),
        ("12 bits, PGM", b"P5 9 13 4095\n" + twelve.astype(">u2").tobytes(), colour(np.rint(twelve / 4_095 * 255)), 1),
        ("floats from 0 to 1", encoded(unit, "TIFF"), colour(np.rint(unit * 255)), 0),
        ("floats with NaN", encoded(np.where(unit > 0.9, np.nan, unit), "TIFF"), None, 0),
        ("floats to 255", encoded(unit * 255, "TIFF"), None, 0),
        ("floats below 0", encoded(unit - 0.5, "TIFF"), None, 0),
        ("whole numbers of 32 bits", encoded(wide.astype(np.int32), "TIFF"), None, 0),
        ("a film, its first picture", _film(grey), colour(grey), 0),
    ]
    for number, upright in UPRIGHT.items():
        tagged[0x0112] = number
        out.append((f"EXIF orientation {number}", encoded(rgb, exif=tagged.tobytes()), upright(rgb), 0))
    tagged[0x0112] = 6
    out += [
        ("EXIF orientation 6 of 16 bits", encoded(wide, exif=tagged.tobytes()), colour(np.rot90(down, -1)), 0),
        ("EXIF orientation 6 of a TIFF", encoded(rgb, "TIFF", exif=tagged), np.rot90(rgb, -1), 0),
        ("EXIF orientation 9", with_exif(encoded(tile, "JPEG", quality=95), exif(orientation=9)), tile, 3),
        (
            "EXIF with text for a ratio",
            with_exif(encoded(tile, "JPEG", quality=95), exif((0x011E, 2, 4, b"abc\0"))),
            tile,
            3,
        ),
        (
            "EXIF with text for a number",
            with_exif(encoded(tile, "JPEG", quality=95), exif((0x0100, 2, 4, b"abc\0"))),
            tile,
            3,
        ),
        (
            "EXIF that points outside",
            with_exif(encoded(tile, "JPEG", quality=95), exif((0x010E, 2, 99, b"\xff" * 4))),
            tile,
            3,
        ),
        ("EXIF cut off", with_exif(encoded(tile, "JPEG", quality=95), exif()[:17]), tile, 3),
        *((f"JPEG cut off at {share}", jpeg[: int(share * len(jpeg))], None, 0) for share in (0.9, 0.5, 0.02)),
        *((f"PNG cut off at {share}", whole_png[: int(share * len(whole_png))], None, 0) for share in (0.9, 0.5, 0.02)),
        ("TIFF cut off", encoded(wide, "TIFF")[:150], None, 0),
        (
            "TIFF whose pixels are at a fraction",
            encoded(rgb, "TIFF", compression=None).replace(b"\x11\x01\x04\x00", b"\x11\x01\x0b\x00"),
            None,
            0,
        ),
        ("empty", b"", None, 0),
        ("a text", b"hello\n" * 99, None, 0),
        ("a web page", b"<!DOCTYPE html><html>404</html>", None, 0),
        ("zeros", bytes(5_000), None, 0),
        ("900 million pixels declared", png(30_000, 30_000, 8, 0, bytes(99)), None, 0),
        ("no pixels declared", png(0, 13, 8, 0, b""), None, 0),
        (
            "DDS of a kind nobody knows",
            b"DDS |\0\0\0" + struct.pack("<I", 0x1007) + bytes(64) + b" \0\0\0" + bytes(48),
            None,
            0,
        ),
        ("AVIF with other bytes", _avif(rgb), None, 0),
    ]
    return out


def deep_noise(rng: np.random.Generator) -> Any:
    return rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)


def _cmyk(pixels: Any) -> bytes:
    from PIL import Image

    made = io.BytesIO()
    Image.fromarray(pixels, "CMYK").save(made, "TIFF")
    return made.getvalue()


def _film(grey: Any) -> bytes:
    from PIL import Image

    made = io.BytesIO()
    Image.fromarray(grey).save(made, "GIF", save_all=True, append_images=[Image.fromarray(255 - grey)])
    return made.getvalue()


def _avif(pixels: Any) -> bytes:
    """A damaged AVIF file, where Pillow knows the format; else a text."""
    from PIL import features

    if not features.check("avif"):
        return b"no AVIF here"
    content = bytearray(encoded(pixels, "AVIF"))
    at = content.index(b"mdat") + 4
    content[at:] = bytes(b ^ 0x55 for b in content[at:])
    return bytes(content)


def images(place: Path, scale: float) -> list[Case]:
    """Image files of all kinds."""
    return [
        Case("images", name, functools.partial(decoded, raw, right, off))
        for name, raw, right, off in some(pictures(), scale)
    ]


def decoded(raw: bytes, right: Any, off: int) -> Seen:
    from kaxis.errors import KaxisError
    from kaxis.sources.readers import decode

    try:
        with alarm(SHORT), captured() as text, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = decode(raw, "a picture.jpg", lambda image: image)
            text()
    except KaxisError as error:
        wrong = f"refused: {error}" if right is not None else "two lines" if "\n" in str(error) else ""
        return Seen("refused in one line" if not wrong else "wrong: refused", wrong)
    except Hang:
        return Seen("wrong: hung", f"no answer within {SHORT} s")
    except BaseException as error:
        return Seen("wrong: another error", f"{type(error).__name__}: {error}")
    if right is None:
        return Seen("wrong: read", f"read as {found.shape}, from {found.min()} to {found.max()}")
    if found.shape != np.shape(right):
        return Seen("wrong: another shape", f"{found.shape} instead of {np.shape(right)}")
    worst = float(np.abs(found.astype(float) - np.asarray(right, float)).max())
    return Seen("right") if worst <= off else Seen("wrong: other values", f"off by up to {worst:g}")


# ---- command lines --------------------------------------------------------------------------------------------------

STRANGE = (
    *("", " ", "-1", "0", "1e308", "nan", "inf", "-inf", "9" * 30, "1.5", "ünï☃", "x" * 5_000, "[]", "true", "0x10"),
    *("1_000", "１２", "null", "1e-320", "../..", "a,b", "=", "-", "5-3", "0-99999999", "\x1b[31m"),
)
OPTIONS: list[tuple[str, str]] = [
    ("analyze paired", "--prob --baseline --learner --interval --where --store --csv"),
    ("analyze contrast", "--low --high --shape --scale --prob"),
    ("analyze contrast --low 3", "--high"),
    ("analyze equivalence", "--margin"),
    ("analyze equivalence --margin 1", "--learner"),
    ("analyze power", "--effect"),
    ("analyze power --effect 1", "--target --where"),
    ("analyze coverage", "--n --draws --icc --tilt --shrink --intervals --shape"),
    ("analyze coverage --draws 50 --n 5", "--icc --tilt --shrink --question"),
    ("analyze conflict", "--real --synthetic"),
    ("analyze differential --of digits", "--against --K"),
    ("analyze factorial", "--factors --prob"),
    ("analyze gap", "--baseline --prob"),
    ("analyze layers", "--learner --prob"),
    ("figure k-conflict --out drawn", "--name --learner"),
    ("figure power --out drawn", "--effect"),
    ("figure power --out drawn --effect 1", "--seeds --target"),
    ("figure coverage --out drawn --draws 50 --n 5", "--icc --intervals --shapes"),
    ("figure curves --out drawn", "--learner --where"),
    ("audit --net mlp", "--size --batch --K --width --depth --budget --learners"),
    ("audit", "--size --batch --parts --budget --precision"),
    ("audit locality", "--size --batch --K --width --depth --learner --net"),
    ("data show digits --out drawn", "--K --size --columns --seed --labels"),
    ("diagnose --show accuracy", "--prob --where"),
    ("diagnose", "--show"),
    ("cube", "--where"),
    ("run digits --dry-run", "--jobs --device"),
]
PATHS = """
status --store {}
store check --store {}
cube --store {}
cube --out {}
analyze paired --csv {}
analyze paired {}
figure paired --out {}
data check npz:{}
data check folder:{}
data list --data {}
run folder:{} --dry-run
run npz:{} --dry-run
run digits --rules {} --dry-run
audit --rules {}
audit {}.toml
audit --net mlp --figure {}
data show digits --out {}
diagnose --show accuracy --csv {}
run digits --steps 20 --profile {}
run digits --dry-run --store {}
data get bloodmnist --data {}
""".strip().split("\n")
PLACES = ("missing", "", "a-file", "a-folder", "a-file/below", "a-pipe", "x" * 300, "/dev/zero", "a\nb", "ünï☃")


def toml_studies() -> dict[str, bytes]:
    """Study files that are broken, by what is wrong with them."""
    head = "source = 'digits'\nK = [3]\nseeds = 0\n"
    thousands = ", ".join(f'"dtg_ff[lr=0.{i:05}]"' for i in range(1, 30_000))
    texts = {
        "100,000 brackets": "K = " + NESTED,
        "100,000 tables": "K = " + "{a=" * 100_000,
        "5,000 dots": head + "steps" + ".a" * 5_000 + " = 1",
        "5,000 dots in a list": head + "learners = [{a" + ".a" * 5_000 + " = 1}]",
        "a byte order mark": "\ufeff" + head,
        "carriage returns": head.replace("\n", "\r"),
        "a list at the top": "[1, 2, 3]",
        "a key twice": head + "K = [5]\n",
        "a table twice": head + "[plan]\n[plan]\n",
        "nothing": "",
        "a comment": "# nothing",
        "no source": "K = [3]",
        "legs that are a number": head + "leg = 3",
        "legs that are numbers": head + "leg = [1, 2]",
        "no legs": head + "leg = []",
        "a plan that is a list": head + "plan = [1]",
        "a plan of K twice": head + "[plan]\nlow = [3]\nhigh = [3]",
        "a plan of 75,000 K": head + "[plan]\nlow = '3-40000'\nhigh = '50000-85000'",
        "30,000 learners": head + f"learners = [{thousands}]",
        "a number for text": head + "net = 5",
        "a date for a number": head + "lr = 2024-01-01",
        "infinity": head + "lr = inf",
        "NaN": head + "lr = nan",
        "true for a number": head + "steps = true",
        "a negative K": head.replace("3", "-3"),
        "99,999 seeds of 8 K": "source = 'digits'\nK = '3-10'\nseeds = '0-99999'",
        "an integer of 5,000 digits": head + "steps = " + "9" * 5_000,
        "a key of control characters": head + '"\\u001b[31m" = 1',
        "audits": "[[audit]]\nnet = 'mlp'",
    }
    raw = {
        "NUL": head.encode() + b"\0",
        "binary": bytes(range(256)),
        "latin 1": "source = 'dïgits'".encode("latin-1"),
        "UTF-16": head.encode("utf-16"),
    }
    return {**{name: text.encode() for name, text in texts.items()}, **raw}


def csv_tables() -> dict[str, bytes]:
    """Tables that are broken, or nearly."""
    head = "K,learner,seed,accuracy\n"
    good = head + "".join(f"{K},{name},{s},0.{5 + s}{K}\n" for K in (3, 5) for name in "AB" for s in range(4))
    texts = {
        "whole": good,
        "a byte order mark": "\ufeff" + good,
        "a heading alone": head,
        "nothing": "",
        "blank lines": "\n\n\n",
        "semicolons": good.replace(",", ";"),
        "tabs": good.replace(",", "\t"),
        "a heading twice": "K,K,learner,seed,accuracy\n3,3,A,0,0.5\n",
        "a row twice": good + "3,A,0,0.5\n",
        "a short row": good + "3,A\n",
        "a quote that is never closed": good + '3,"A,0,0.5\n',
        "per cent": good.replace("0.", "50."),
        "a decimal comma": good + '7,A,0,"0,5"\n',
        "NaN everywhere": good.replace("0.", "nan#").replace("#", "\n").replace("\n5", "\n5"),
        "all failed": "".join(
            line.rpartition(",")[0] + ",failed\n" if line[0] != "K" else line + "\n" for line in good.split()
        ),
        "infinity": good + "7,A,0,inf\n",
        "K of 30 digits": good + f"{'9' * 30},A,0,0.5\n",
        "K of 18 digits": good + "".join(f"{'9' * 18},{n},{s},0.5\n" for n in "AB" for s in range(4)),
        "K = 0": good + "0,A,0,0.5\n",
        "K = 2.5": good + "2.5,A,0,0.5\n",
        "a seed below 0": good.replace(",0,", ",-7,"),
        "a seed of 2^63": good + f"3,A,{2**63},0.5\n",
        "no learner": good + "3,,9,0.5\n",
        "control characters": good + "3,\x1b[31mA,0,0.5\n",
        "one learner": good.replace(",B,", ",A,").replace("3,A,0,0.53\n", "", 1),
        "one seed": head + "3,A,0,0.5\n3,B,0,0.6\n",
        "a chance of 1": good.replace("accuracy\n", "accuracy,chance\n")
        .replace("3\n", "3,1\n")
        .replace("5\n", "5,1\n"),
        "a chance of 2": head.replace("\n", ",chance\n") + "3,A,0,0.5,2\n",
        "a field of 200,000 letters": good + f"3,{'x' * 200_000},0,0.5\n",
        "10,000 columns": head.replace("\n", ",x" * 10_000 + "\n"),
        "unicode": good.replace("A", "ünï☃").replace("B", "\u202eB"),
    }
    raw = {"NUL": good.encode() + b"\0\0", "binary": bytes(range(256)) * 9, "UTF-16": good.encode("utf-16")}
    return {**{name: text.encode() for name, text in texts.items()}, **raw}


LEARNER = """
import torch, kaxis
@kaxis.rule('{name}')
class Mine(torch.nn.Module):
    def __init__(self, start, **settings):
        super().__init__()
        self.w = torch.nn.Linear(64, 3)
        {build}
    def loss(self, x, y):
        {loss}
    def logits(self, x):
        {logits}
"""


def rule_files() -> dict[str, tuple[str, bool]]:
    """Files of rules that go wrong, and whether that shows only in training."""
    own = {
        "build": "pass",
        "loss": "return torch.nn.functional.cross_entropy(self.w(x), y)",
        "logits": "return [self.w(x)]",
    }

    def learner(name: str, **other: str) -> tuple[str, bool]:
        return LEARNER.format(name=name, **{**own, **other}), True

    bad_text = "class Bad(Exception):\n    def __str__(self): return 1 / 0\n"
    return {
        "exits": ("raise SystemExit(3)", False),
        "exits with a text": ("import sys\nsys.exit('over')", False),
        "raises": ("1 / 0", False),
        "raises many lines": ("raise ValueError('a\\nb\\n' * 999)", False),
        "raises what cannot be told": (bad_text + "raise Bad", False),
        "raises no exception": ("raise GeneratorExit", False),
        "calls itself": ("def f(): f()\nf()", False),
        "imports nothing that is there": ("import nobody_has_this", False),
        "imports itself": ("import importlib, os\nimportlib.import_module(os.path.basename(__file__)[:-3])", False),
        "does nothing": ("", False),
        "is no Python": ("def", False),
        "is of NUL": ("a\0b", False),
        "is nested": ("(" * 5_000, False),
        "has a name of two words": ("import kaxis\n@kaxis.rule('a b')\nclass A: ...", False),
        "has the name of another": ("import kaxis\n@kaxis.rule('bp')\nclass A: ...", False),
        "has a setting that is NaN": ("import kaxis\n@kaxis.rule('a', b=float('nan'))\nclass A: ...", False),
        "is no class": ("import kaxis\nkaxis.rule('nothing')(None)", True),
        "trains": learner("trains"),
        "raises when built": learner("built", build="1 / 0"),
        "exits in its loss": learner("exits", loss="raise SystemExit(0)"),
        "calls itself in its loss": learner("itself", loss="return self.loss(x, y)"),
        "has a loss of NaN": learner("nan", loss="return self.w(x).sum() * float('nan')"),
        "has a loss of many numbers": learner("many", loss="return self.w(x)"),
        "has a loss of text": learner("text", loss="return 'low'"),
        "has no logits": learner("none", logits="return None"),
        "has logits of another shape": learner("shape", logits="return [self.w(x).T]"),
        "raises what cannot be told in its loss": (bad_text + learner("untold", loss="raise Bad")[0], True),
    }


def command_lines(place: Path) -> list[tuple[str, list[str]]]:
    """Two hundred and forty, and the folder that they run in filled with what they name."""
    from kaxis.leg import Leg

    rng = np.random.default_rng(0)
    out: list[tuple[str, list[str]]] = []

    def strange() -> str:
        return STRANGE[int(rng.integers(len(STRANGE)))]

    synthetic = "n_train n_test input_dim teacher label_noise nested superclasses balance margin".split()
    for f in fields(Leg):
        if f.name in ("source", "rules"):
            continue
        source = "synthetic" if f.name.startswith(tuple(synthetic)) else "digits"
        net = ["--net", "vgg8"] if f.name in ("dropout", "lr_min", "accumulate", "goodness", "depth_only") else []
        base = ["run", source, "--K", "3", "--seeds", "0", "--learners", "dtg_ff", "--dry-run", *net]
        for value in (strange(), strange()):
            option = f"--{f.name.replace('_', '-')}"
            kept = [t for t in base if t != option] if option not in base else _without(base, option)
            out.append(("", [*kept, f"{option}={value}"]))
    for verb, options in OPTIONS:
        out += [("", [*verb.split(), f"{option}={strange()}"]) for option in options.split()]
    for i, verb in enumerate(PATHS):
        for k in (i, i + 3):
            out.append(("", [part.replace("{}", PLACES[k % len(PLACES)]) for part in verb.split()]))
    for i, (name, content) in enumerate(toml_studies().items()):
        (place / f"study-{i}.toml").write_bytes(content)
        out.append((f"a study: {name}", ["run", f"study-{i}.toml", "--dry-run"]))
    for i, (name, content) in enumerate(csv_tables().items()):
        (place / f"table-{i}.csv").write_bytes(content)
        verb = ("paired", "contrast", "rankings", "power --effect 1", "equivalence --margin 1")[i % 5]
        pair = [] if i % 5 == 2 else ["--baseline", "A"]
        out.append((f"a table: {name}", ["analyze", *verb.split(), f"table-{i}.csv", *pair, "--json"]))
    for i, (name, (text, trains)) in enumerate(rule_files().items()):
        (place / f"kaxis_rules_{i}.py").write_text(text, "utf-8")
        named = text.partition("kaxis.rule('")[2].partition("'")[0] or "dtg_ff"
        base = ["run", "digits", "--K", "3", "--seeds", "0", "--learners", named, "--rules", f"kaxis_rules_{i}.py"]
        how = ["--steps", "2", "--jobs", "1", "--store", "rules"] if trains else ["--dry-run"]
        out.append((f"a rule that {name}", [*base, *how]))
    return out


def _without(tokens: Sequence[str], option: str) -> list[str]:
    """Tokens without an option and its value."""
    at = list(tokens).index(option)
    return [*tokens[:at], *tokens[at + 2 :]]


def commands(place: Path, scale: float) -> list[Case]:
    """Command lines, in a folder of their own."""
    small = small_store(place)
    folder = fresh(place / "commands")
    (folder / "a-file").write_text("hello", "utf-8")
    (folder / "a-folder").mkdir()
    os.mkfifo(folder / "a-pipe")
    os.environ["KAXIS_STORE"] = str(small)
    cases = []
    for name, tokens in some(command_lines(folder), scale):
        text = name or " ".join(t if len(t) < 60 else f"{t[:30]}... ({len(t)})" for t in tokens)
        cases.append(Case(f"commands: {_family(name, tokens)}", text, functools.partial(command, folder, tokens)))
    return cases


def _family(name: str, tokens: Sequence[str]) -> str:
    return {"a study": "study files", "a table": "tables", "a rule": "rules"}.get(name[:7].rstrip(":"), "options")


def command(folder: Path, tokens: Sequence[str]) -> Seen:
    return in_words(cli(*tokens, seconds=SHORT, folder=folder))


# ---- outputs --------------------------------------------------------------------------------------------------------


def outputs(place: Path, scale: float, table: Table) -> None:
    """Real processes whose outputs cannot take what they write."""
    table["outputs"] = row = Row()
    small, folder = small_store(place), fresh(place / "outputs")
    (folder / "a-file").write_text("hello", "utf-8")
    (folder / "a-folder").mkdir()
    text = "K,learner,seed,accuracy\n" + "".join(f"3,ü☃{n},{s},0.{5 + s}\n" for n in "AB" for s in range(4))
    (folder / "table.csv").write_text(text, "utf-8")
    kaxis, own = " ".join(KAXIS), environment(place, KAXIS_STORE=str(small))
    paired, short = "analyze paired", "run digits --K 3 --seeds 0 --learners bp --steps 5 --jobs 1"
    ascii_only = "LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 "
    lines: list[tuple[str, tuple[int, ...], int]] = [
        # The command, its exit codes, the number of lines on stderr.
        (f"{kaxis} {paired} > /dev/full", (1,), 1),
        (f"{kaxis} {paired} --json > /dev/full", (1,), 1),
        (f"{kaxis} status > /dev/full", (1,), 1),
        (f"{kaxis} cube > /dev/full", (1,), 1),
        (f"{kaxis} data list > /dev/full", (1,), 1),
        (f"{kaxis} store check > /dev/full", (1,), 1),
        (f"{kaxis} --help > /dev/full", (1,), 1),
        (f"{kaxis} {short} --store full > /dev/full", (1,), 1),
        (f"{kaxis} {paired} --prob 7 2> /dev/full", (2,), 0),
        (f"{kaxis} {paired} --prob 7 2>&-", (2,), 0),
        (f"{kaxis} {paired} >&-", (0,), 0),
        (f"{kaxis} {short} --store closed >&- 2>&- <&-", (0,), 0),
        (f"{kaxis} {paired} --json | true; exit ${{PIPESTATUS[0]}}", (0,), 0),
        (f"{kaxis} cube | true; exit ${{PIPESTATUS[0]}}", (0,), 0),
        (f"{kaxis} data list | true; exit ${{PIPESTATUS[0]}}", (0,), 0),
        (f"{kaxis} {paired} --csv a-folder", (2,), 1),
        (f"{kaxis} {paired} --csv a-file/below.csv", (2,), 1),
        (f"{kaxis} cube --out a-folder", (2,), 1),
        (f"{kaxis} cube --out a-file/below.nc", (2,), 1),
        (f"{kaxis} figure paired --out a-file", (2,), 1),
        (f"{kaxis} {short} --store a-file/below", (2,), 1),
        (f"{ascii_only}{kaxis} {paired} table.csv --baseline ü☃A", (0,), 0),
        (f"{ascii_only}{kaxis} {paired} table.csv --baseline ü☃A --json --csv rows.csv", (0,), 0),
        (f"{ascii_only}{kaxis} {paired} table.csv --baseline ö", (2,), 1),
    ]
    for line, codes, count in some(lines, scale):
        ended = process(["bash", "-c", line], folder, env=own)
        wrong = fault(ended, codes)
        if not wrong and len(own_lines(ended.err)) != count:
            wrong = f"{len(own_lines(ended.err))} lines on stderr, {count} expected: {ended.err[:200]!r}"
        row.add(line.replace(kaxis, "kaxis"), Seen(in_words(ended, codes).outcome if not wrong else "wrong", wrong))


# ---- processes of cases ---------------------------------------------------------------------------------------------

IN_ONE: dict[str, Callable[[Path, float], list[Case]]] = {
    "bits": bits,
    "records": records,
    "archives": archives,
    "images": images,
    "commands": commands,
}
BY_ITSELF: dict[str, Callable[[Path, float, Table], None]] = {"kills": kills, "outputs": outputs}
WHAT = {
    "kills: a writer": "SIGKILL, SIGTERM 0 to 150 ms after it begins to write records, checkpoints, texts",
    "kills: kaxis run": "SIGKILL, SIGTERM, SIGHUP of `kaxis run --jobs 2`; gone on with, compared bit for bit",
    "bits: records": "one bit of a record flipped",
    "bits: weights": "one bit of a file of weights flipped, then loaded",
    "bits: a checkpoint": "one bit of a checkpoint flipped, then trained on",
    "records": "a corrupt record or study in a store; `status`, `analyze paired`, `cube`, `store check`",
    "archives: npz": "good and bad npz files read",
    "archives: tar": "good and bad tar files unpacked",
    "images": "image files decoded, their values computed apart",
    "commands: options": "odd values and paths for the options of all verbs",
    "commands: study files": "broken study files, `run --dry-run`",
    "commands: tables": "broken CSV tables, `analyze`",
    "commands: rules": "files of rules that go wrong, loaded or trained",
    "outputs": "full, closed and unwritable outputs, another locale",
}


def child_process(place: Path, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """This file as a process of its own, whose stdout is for `reader`."""
    own = [sys.executable, str(Path(__file__).resolve()), "--place", str(place), "--child", *arguments]
    errors = (place / "errors.txt").open("ab")
    return subprocess.Popen(own, stdout=subprocess.PIPE, stderr=errors, cwd=place, env=environment(place), **options)


def reader(made: subprocess.Popen[bytes]) -> Iterator[str]:
    """Its lines; ends where it does, and where it says nothing for too long."""
    assert made.stdout is not None
    handle, held = made.stdout.fileno(), b""
    while True:
        while b"\n" not in held:
            ready, _, _ = select.select([handle], [], [], 4 * PATIENCE if not held else PATIENCE)
            more = os.read(handle, 1 << 16) if ready else b""
            if not more:
                return
            held += more
        line, held = held.split(b"\n", 1)
        yield line.decode()


def child(kind: str, place: Path, scale: float, start: int) -> None:
    """Cases of one kind from one on: two lines of JSON each, before and after."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    for i, case in enumerate(IN_ONE[kind](place, scale)):
        if i < start:
            continue
        print(json.dumps([i, case.row, case.name]), file=report, flush=True)
        seen = case.run()
        print(json.dumps([seen.outcome, seen.wrong]), file=report, flush=True)


def in_one(kind: str, place: Path, scale: float, table: Table) -> None:
    """The cases of a kind in one process after another: a new one where the last has died or hung."""
    start = 0
    while True:
        made = child_process(place, kind, "--scale", str(scale), "--start", str(start))
        lines = reader(made)
        for line in lines:
            start, row, name = json.loads(line)
            after = next(lines, None)
            if after is None:
                code = made.poll()
                made.kill()
                seen = (
                    Seen("wrong: the process died", f"the process ends with {code}")
                    if code
                    else Seen("wrong: hung", "hung")
                )
            else:
                seen = Seen(*json.loads(after))
            table.setdefault(row, Row()).add(name, seen)
            start += 1
            if after is None:
                break
        else:
            if made.wait() != 0:
                table.setdefault(kind, Row()).add("all", Seen("wrong: could not begin", f"exit code {made.returncode}"))
            return
        made.wait()


def show(table: Table, most: int = 12) -> None:
    """The table in markdown, and the first cases that went wrong."""
    print("| kind | what is done | times | outcomes | wrong |\n|---|---|---:|---|---:|")
    for name, row in table.items():
        outcomes = "; ".join(f"{text} {n}" for text, n in row.outcomes.most_common())
        print(f"| {name} | {WHAT.get(name, '')} | {row.outcomes.total()} | {outcomes} | {len(row.bad)} |")
    for name, row in table.items():
        if row.bad:
            print(f"\n{name}:\n")
            for case in row.bad[:most]:
                print(f"- {case.encode('unicode_escape').decode()[:400]}")
            if len(row.bad) > most:
                print(f"- and {len(row.bad) - most} more")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", choices=[*BY_ITSELF, *IN_ONE], help="one kind")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies how often")
    parser.add_argument("--all", action="store_true", help="name every case that went wrong")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--start", type=int, default=0, help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.child == "writer":
        writer_child()
        return 0
    if a.child:
        child(a.child, a.place, a.scale, a.start)
        return 0
    table: Table = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        os.environ.update(environment(place))
        for kind in [a.only] if a.only else ["kills", *IN_ONE, "outputs"]:
            started = time.monotonic()
            if kind in IN_ONE:
                in_one(kind, place, a.scale, table)
            else:
                BY_ITSELF[kind](place, a.scale, table)
            print(f"{kind}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        show(table, 10_000 if a.all else 12)
    return 1 if any(row.bad for row in table.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
