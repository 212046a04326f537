"""Every command and every program in README.md and docs/ does what a reader would type it for."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHELL = re.compile(r"^    (kaxis .*)$", re.M)
PYTHON = re.compile(r"^```python\n(.*?)^```", re.M | re.S)
COMMANDS = sorted({line for page in PAGES for line in SHELL.findall(page.read_text("utf-8"))})
SMALL = ["--K", "3", "--seeds", "0-1", "--steps", "1000", "--learners"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a reader's clone, with a store, a table, photographs."""
    here = tmp_path_factory.mktemp("clone")
    for name in ("docs", "examples", "studies"):
        (here / name).symlink_to(ROOT / name)
    rng = np.random.default_rng(0)
    for kind in (f"{split}/{name}" for split in ("train", "val") for name in "abc"):
        (here / "photos" / kind).mkdir(parents=True)
        for i in range(4):
            Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(here / "photos" / kind / f"{i}.png")
    rows = [f"{n},{K},{s},{rng.uniform(0.5, 0.6)}" for n in "AB" for K in (5, 10, 50) for s in range(5)]
    (here / "results.csv").write_text("\n".join(["learner,K,seed,accuracy", *rows]))
    shutil.copytree(ROOT / "studies/results/main", here / "runs")
    rules = ["--rules", "docs/predsim.py", "examples/greedy.py"]
    for store, words in (("runs", ["bp_deepsup", "predsim", "greedy", *rules]), ("kept", ["dtg_ff", "--weights"])):
        code, said = kaxis(here, ["run", "digits", *SMALL, *words, "--store", store])
        assert code == 0, said
    for source, learner in (("synthetic", "bp_deepsup"), ("digits", "bp_deepsup[lr=0.003]")):
        few = ["--K", "5", "10", "--seeds", "0-2", "--steps", "20", "--learners", "dtg_ff", learner]
        code, said = kaxis(here, ["run", source, *few, "--store", "rates"])
        assert code == 0, said
    return here


def kaxis(here: Path, words: list[str]) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-m", "kaxis", *words], cwd=here, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_pages(command: str, place: Path) -> None:
    """What trains is planned alone; what is timed is timed on little."""
    for part in command.split("#")[0].split("&&"):
        words = shlex.split(part)[1:]
        if words[0] == "run":
            words += ["--dry-run"] if "--dry-run" not in words else []
        if words[0] == "diagnose":
            words += ["--store", "kept"]
        code, said = kaxis(place, words)
        assert code == 0, said


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if PYTHON.search(p.read_text("utf-8"))], ids=lambda p: p.name)
def test_a_program_of_the_pages(page: Path, place: Path) -> None:
    """It runs by itself. (Files of a package of one's own are run in test_architecture.py.)"""
    for program in PYTHON.findall(
        re.sub(r"<!-- \w+\.py -->\n```python\n.*?```", "", page.read_text("utf-8"), flags=re.S)
    ):
        quick = program.replace('"steps": 1000', '"steps": 20').replace('Store("runs")', 'Store("tried")')
        names = "import kaxis\nfrom torch import nn\n"
        done = subprocess.run([sys.executable, "-c", names + quick], cwd=place, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_script_of_the_examples(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples/compare.py", "20"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "dtg_ff - bp_deepsup" in done.stdout
    assert (tmp_path / "compare/k_conflict.svg").exists()


@pytest.mark.slow
def test_the_notebook_of_the_examples() -> None:
    """It runs, and says what it said when it was committed."""
    kept = nbformat.read(ROOT / "examples/slopes.ipynb", 4)
    again = NotebookClient(deepcopy(kept), resources={"metadata": {"path": ROOT / "examples"}}).execute()
    said = [[o.text for c in nb.cells for o in c.get("outputs", []) if "text" in o] for nb in (kept, again)]
    assert said[0] == said[1]
    assert "synthetic" in said[0][0]
