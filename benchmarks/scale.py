"""What many machines and large stores cost: claims, an empty stack on each backend, the cube of N records.

    python benchmarks/scale.py [--records 1000 10000 100000]

Every line is of this machine while nothing else runs on it; the records are one study's, copied to further seeds.
"""

from __future__ import annotations

import argparse
import copy
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kaxis.io import text_digest
from kaxis.spec.cell import Cell
from kaxis.spec.study import Study
from kaxis.store.claims import claimed
from kaxis.store.records import Store

ROOT = Path(__file__).parent.parent


def templates() -> list[dict]:
    """One finished cell of each (K, learner) of the committed synthetic study."""
    found: dict[tuple[int, str], dict] = {}
    for record in Store(ROOT / "studies/results/main").records():
        source = record["config"]["source"]
        if source["name"] == "synthetic" and "holdout" not in source:
            found.setdefault((record["config"]["K"], record["config"]["learner"]["name"]), record)
    return [r for (_, name), r in found.items() if name in ("bp", "bp_deepsup", "bp_ensemble", "dtg_ff", "local_ce")]


def copies(n: int) -> Iterator[tuple[Cell, str]]:
    many = templates()
    for i in range(n):
        record = copy.deepcopy(many[i % len(many)])
        record["config"]["seed"] = i // len(many)
        record["provenance"] = {k: v for k, v in record["provenance"].items() if k != "digest"} | {"digest": ""}
        text = json.dumps(record, indent=1)
        head, tail = text.rsplit('""', 1)
        yield Cell(record["config"]), f'{head}"{text_digest(text.encode())}"{tail}'


def filled(folder: Path, n: int) -> None:
    (folder / "cells").mkdir(parents=True)
    for cell, text in copies(n):
        (folder / "cells" / f"{cell.id}.json").write_text(text)
    subprocess.run(["sync"], check=False)
    time.sleep(3)  # what is younger is not kept in an index


def cpu_of(*arguments: str | Path) -> tuple[float, float, float]:
    """Processor seconds, seconds and MB of a command."""
    started = time.monotonic()
    line = [sys.executable, "-m", "kaxis", *map(str, arguments)]
    script = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True); "
    script += "u = resource.getrusage(resource.RUSAGE_CHILDREN); print(u.ru_utime + u.ru_stime, u.ru_maxrss / 1024)"
    out = subprocess.run([sys.executable, "-c", script, *line], capture_output=True, text=True, check=True).stdout
    used, peak = map(float, out.split())
    return used, time.monotonic() - started, peak


def claims(folder: Path, n: int = 2000) -> float:
    started = time.monotonic()
    for i in range(n):
        with claimed(folder, [str(i)]):
            pass
    return n / (time.monotonic() - started)


def stacks(folder: Path, n: int = 200) -> None:
    """A second pass over a finished study of n groups, on each backend: what a group costs beside its training."""
    from kaxis.execute.backends import BACKENDS
    from kaxis.execute.progress import Progress
    from kaxis.execute.worker import Job

    options = {"source": "digits", "K": [3, 5], "seeds": f"0-{n // 2 - 1}", "steps": 10, "learners": ["bp"]}
    cells = Study.of("try", options).cells()
    store = Store(folder)
    store.prepare()
    record = templates()[0]
    for cell in cells:
        store.write(cell, {k: v for k, v in record.items() if k != "config"})
    job = Job(folder, "cpu", None, False, 60.0)
    for name in ("serial", "processes", "dask"):
        seconds = []
        for some in (cells[:2], cells):  # the first is what starting costs
            started = time.monotonic()
            BACKENDS[name](job, [[cell] for cell in some], Progress(len(some)), jobs=2)
            seconds.append(time.monotonic() - started)
        each = 1000 * (seconds[1] - seconds[0]) / (len(cells) - 2)
        print(f"{name}: {seconds[0]:.1f} s to start and end, {each:.1f} ms a group")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", nargs="*", type=int, default=[1000, 10000, 100000])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(f"claims: {claims(Path(folder) / 'claims'):,.0f} a second, made and given up")
        stacks(Path(folder) / "store")
    for n in asked.records:
        with tempfile.TemporaryDirectory() as folder:
            store = Path(folder) / "store"
            filled(store, n)
            for time_ in ("first", "second"):
                line = ["analyze", "paired", "--baseline", "bp_deepsup", "--learner", "dtg_ff", "--store", store]
                used, seconds, peak = cpu_of(*line)
                print(f"{n:,} records, {time_} time: {used:.1f} s of CPU, {seconds:.1f} s, {peak:,.0f} MB")
            index = store / "index.json"
            if index.exists():
                print(f"{n:,} records: an index of {index.stat().st_size / 2**20:.1f} MiB")
    print(f"this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


if __name__ == "__main__":
    main()
