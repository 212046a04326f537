"""What people type, what stands in their files' names, and where the output goes: one line at most, nothing lost,
nothing taken as a command.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import xarray as xr
from PIL import Image

from kaxis import plots
from kaxis.cli.report import Report, console
from kaxis.errors import KaxisError, visible
from kaxis.execute.runner import run
from kaxis.io import file_name, whole_file, write_text
from kaxis.spec.study import Study
from kaxis.spec.sweep import Sweep
from kaxis.stats.effects import paired
from kaxis.stats.tidy import cube_from_rows
from kaxis.store.cube import load_cube
from kaxis.store.records import Store

from .conftest import noisy

Fill = Callable[..., Store]
Cli = Callable[..., tuple[int, str, str]]
HOSTILE = ["cost $5_a$", "$x^$", "photos[old]", "[/y]", "[red]x", ":smile:", "a\\b", "ü ß", "%s {0}"]


def process(line: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """A shell line in which `kaxis` is this package."""
    kaxis = f"{sys.executable} -W error -m kaxis"
    environment = {**os.environ, **options.pop("env", {})}
    return subprocess.run(
        ["bash", "-c", line.replace("kaxis ", f"{kaxis} ")],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        **options,
    )  # fmt: skip


def pictures(root: Path, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in classes:
            (root / split / name).mkdir(parents=True)
            for i in range(3):
                Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(root / split / name / f"{i}.png")
    return root


# ---- text is text ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE)
def test_names_reach_tables_and_figures_as_they_are(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {
            "source": name,
            "K": K,
            "learner": n,
            "seed": s,
            "accuracy": 0.5 + 0.01 * s + 0.02 * (n == name) + 0.001 * K * s,
        }
        for K in (5, 10)
        for n in (name, "B")
        for s in range(3)
    ]
    result = paired(cube_from_rows(rows), learner=name, baseline="B")
    figure, numbers = plots.k_conflict(result)
    files = plots.save(figure, numbers, tmp_path, file_name(name) or "x")
    assert all(f.stat().st_size for f in files)
    assert any(name in str(text.get_text()) for text in figure.axes[0].get_legend().get_texts())
    Report("a", name, {}, [{"x": name}], [("source", lambda r: r["x"])], [name]).show(as_json=False, csv_file=None)
    assert capsys.readouterr().out.count(name) == 3


@pytest.mark.parametrize("name", ["a\x1b[31mb", "a\x07", "\x9bx", "a\u202eb"])
def test_no_control_character_reaches_a_terminal(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    console().print(name)
    Report("a", name, {}, [{"x": name}], [("x", lambda r: r["x"])], [name]).show(as_json=False, csv_file=None)
    out = capsys.readouterr().out
    assert visible(name) in out
    assert name not in out
    assert name not in str(KaxisError(f"no {name} here"))
    with pytest.raises(KaxisError):
        Sweep.of({"source": f"folder:{tmp_path}/{name}", "learners": "bp"})


def test_a_set_with_dollars_and_brackets_trains_and_is_drawn(tmp_path: Path, cli: Cli) -> None:
    root = pictures(tmp_path / "d$x_$[old]", ("cost $5_a$", "[y]"))
    source = f"folder:{root}"
    study = Study.of(
        "s",
        {"source": source, "size": 8, "K": 2, "seeds": "0-1", "steps": 3, "learners": ["bp", "dtg_ff", "bp_deepsup"]},
    )
    store = Store(tmp_path / "s")
    run(study, store, jobs=1, device="cpu")
    assert source in cli("status", "--store", store.path)[1]
    assert cli("figure", "curves", "--store", store.path, "--out", tmp_path / "f")[0] == 0
    code, _, err = cli("figure", "k-conflict", "--store", store.path, "--out", tmp_path / "f")
    assert (code, err) == (0, "")
    code, out, _ = cli("data", "show", source, "--size", "16", "--K", "2", "--out", tmp_path / "f")
    assert code == 0
    assert "3 training images each" in out
    assert "[/y]" in cli("data", "list", "--data", tmp_path / "[/y]")[1]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("folder:/d/a b", "folder:/d/a_b"),
        ("folder:/d/a/b", "folder:/d/a_b"),
        ("folder:é", "folder:e"),
        ("a b", "a_b"),
        ("npz:x y", "npz:x.y"),
    ],
)
def test_two_sources_have_two_files(one: str, two: str) -> None:
    assert file_name(one) != file_name(two)
    assert len(file_name(f"folder:/{'x' * 500}")) < 150


def test_committed_names_of_figures_stay() -> None:
    assert file_name("cifar100/pca:32/total:2500") == "cifar100_pca_32_total_2500"
    assert file_name("dtg_ff[power=1,temperature=1]") == "dtg_ff_power_1_temperature_1"


@pytest.mark.parametrize(
    "setting",
    [{"font.family": "serif"}, {"text.usetex": True}, {"savefig.dpi": 20, "axes.grid": True}, {"svg.fonttype": "none"}],
)
def test_a_users_matplotlibrc_does_not_reach_the_figures(setting: dict[str, Any], tmp_path: Path, fill: Fill) -> None:
    result = paired(load_cube(fill(noisy())), learner="dtg_ff", baseline="bp_deepsup")
    plots.save(*plots.k_conflict(result), tmp_path / "a", "f")
    with matplotlib.rc_context(setting):
        plots.save(*plots.k_conflict(result), tmp_path / "b", "f")
    for kind in ("svg", "pdf", "png", "csv"):
        assert (tmp_path / "a" / f"f.{kind}").read_bytes() == (tmp_path / "b" / f"f.{kind}").read_bytes()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_table_never_loses_a_number(width: int, fill: Fill, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    """Where it is too wide for a terminal it becomes records; in a pipe nothing is folded."""
    from rich.console import Console

    store = fill(noisy(), learners=["bp_deepsup[lr=0.0003]", "dtg_ff[gradient=global,power=1,readout=learned]"])
    line = ["analyze", "paired", "--store", store.path, "--baseline", "bp_deepsup[lr=0.0003]"]
    piped = cli(*line)[1]
    assert "…" not in piped
    assert "dtg_ff[gradient=global,power=1,readout=learned] - bp_deepsup[lr=0.0003]" in piped
    monkeypatch.setattr(Console, "width", property(lambda self: width))
    told = cli(*line)[1]
    effect = paired(
        load_cube(store), learner="dtg_ff[gradient=global,power=1,readout=learned]", baseline="bp_deepsup[lr=0.0003]"
    )
    for K in (3, 5, 10):
        low, high = effect.ci.sel(K=K).values[:, 0]
        assert f"[{low:+.2f}, {high:+.2f}]" in told
    assert "…" not in told


def on_a_terminal(columns: int, command: list[str]) -> str:
    """What a program writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")} | {"TERM": "dumb"}
    process = subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL, env=environment)
    os.close(theirs)
    out = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(ours, 65536):
            out += part
    os.close(ours)
    assert process.wait() == 0
    return out.decode()


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("verb", ["paired", "gap", "contrast"])
def test_a_terminal_shows_every_number(verb: str, columns: int, fill: Fill, cli: Cli) -> None:
    """A real one, short names: a table that is squeezed would cut its numbers."""
    store = fill(noisy(), learners=["bp_deepsup", "dtg_ff"])
    line = ["analyze", verb, "--store", str(store.path)]
    rows = json.loads(cli(*line, "--json")[1])["rows"]
    told = on_a_terminal(columns, [sys.executable, "-m", "kaxis", *line])
    assert "…" not in told
    for row in rows:
        assert row["effect"] is None or f"{row['effect']:+.2f}" in told
        assert row["ci_lower"] is None or f"[{row['ci_lower']:+.2f}, {row['ci_upper']:+.2f}]" in told


def test_status_and_the_list_of_sets_are_whole_on_a_narrow_terminal(fill: Fill) -> None:
    store = fill(noisy(), learners=["bp_deepsup", "dtg_ff[gradient=global,readout=learned]"])
    told = on_a_terminal(50, [sys.executable, "-m", "kaxis", "status", "--store", str(store.path)])
    assert "dtg_ff[gradient=global,readout=learned]" in told
    listed = on_a_terminal(80, [sys.executable, "-m", "kaxis", "data", "list"])
    for word in ("fashion_mnist", "ImageNet's terms, by sign-up", "126,689", "DermaMNIST, colour, 28 px with a border"):
        assert word in listed
    assert "…" not in told + listed


# ---- outputs --------------------------------------------------------------------------------------------


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "x"
    write_text(file, "before")
    with pytest.raises(RuntimeError), whole_file(file) as part:  # noqa: PT012
        part.write_text("half")
        raise RuntimeError
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(OSError, match="is a folder"):
        write_text(tmp_path, "x")


def test_an_output_goes_where_a_link_points_and_replaces_no_pipe(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    write_text(tmp_path / "link", "x")
    assert (tmp_path / "target").read_text() == "x"
    assert (tmp_path / "link").is_symlink()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        write_text(tmp_path / "pipe", "x")
    assert (tmp_path / "pipe").is_fifo()


def test_a_cube_is_replaced_while_another_reads_it(tmp_path: Path, fill: Fill, cli: Cli) -> None:
    store, file = fill(noisy()), tmp_path / "l.nc"
    assert cli("cube", "--store", store.path, "--out", file)[0] == 0
    with xr.open_dataset(file) as held:
        assert cli("cube", "--store", store.path, "--out", file)[0] == 0
        assert held.test_accuracy.notnull().all()
    with xr.open_dataset(file) as again:
        assert again.sizes["seed"] == 5


@pytest.mark.parametrize(
    "line",
    [
        "cube --out {folder}",
        "analyze paired --csv {folder}",
        "analyze paired --csv {file}/below.csv",
        "figure k-conflict --out {file}",
        "figure curves --out {file}/below",
        "data show digits --K 3 --out {file}",
        "cube --out {folder}/none/l.nc",
    ],
)
def test_an_output_that_cannot_be_written_is_one_line(line: str, tmp_path: Path, fill: Fill, cli: Cli) -> None:
    store = fill(noisy())
    (tmp_path / "file").write_text("mine")
    words = line.format(folder=tmp_path, file=tmp_path / "file").split()
    code, _, err = cli(*words, *([] if words[0] == "data" else ["--store", store.path]))
    assert code == 2
    assert err.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("line", "code", "lines"),
    [
        ("kaxis status --store {s} >&-", 0, 0),
        ("kaxis status --store {s} > /dev/full", 1, 1),
        ("kaxis analyze paired --store {s} --json > /dev/full", 1, 1),
        ("kaxis --help | true; exit ${{PIPESTATUS[0]}}", 0, 0),
        ("kaxis analyze paired --store {s} | true; exit ${{PIPESTATUS[0]}}", 0, 0),
        ("kaxis run digits --learners nope 2> /dev/full", 2, 0),
        ("kaxis run digits --learners nope 2>&-", 2, 0),
        ("kaxis run digits --K 3 --seeds 0 --steps 3 --learners bp --jobs 2 --store {s}/new 2>&-", 0, 0),
        ("kaxis run digits --K 3 --seeds 0 --steps 3 --learners bp --jobs 1 --store {s}/new >&- 2>&- <&-", 0, 0),
    ],
)
def test_outputs_that_are_closed_or_full(line: str, code: int, lines: int, fill: Fill) -> None:
    done = process(line.format(s=fill(noisy()).path))
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == lines, done.stderr
    assert "fault of kaxis" not in done.stderr


@pytest.mark.parametrize("learner", ["ü", "漢字", "naïve"])
def test_files_are_utf_8_whatever_the_locale(learner: str, tmp_path: Path) -> None:
    write_text(tmp_path / "t.csv", f"K,learner,seed,accuracy\n5,A,0,.5\n5,{learner},0,.6\n")
    done = process(
        f"kaxis analyze paired {tmp_path}/t.csv --baseline A --csv {tmp_path}/o.csv",
        env={"LC_ALL": "C", "PYTHONUTF8": "0"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    with (tmp_path / "o.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["learner"] == learner


# ---- signals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "jobs"),
    [
        ("SIGTERM", 2),
        *(pytest.param(*p, marks=pytest.mark.slow) for p in (("SIGTERM", 1), ("SIGHUP", 2), ("SIGINT", 1))),
    ],
)
def test_a_signal_says_what_is_kept_and_leaves_nothing_behind(name: str, jobs: int, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "kaxis", "run", "digits", "--K", "3", "5", "--seeds", "0-9", "--steps", "200"]
    line += ["--learners", "bp", "dtg_ff", "--jobs", str(jobs), "--store", str(tmp_path)]
    heed = {
        "start_new_session": True,
        "preexec_fn": lambda: [signal.signal(s, signal.SIG_DFL) for s in (signal.SIGINT, signal.SIGHUP)],
    }
    with subprocess.Popen(line, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **heed) as training:  # type: ignore[call-overload]
        while not list((tmp_path / "cells").glob("*.json")):
            assert training.poll() is None
            time.sleep(0.05)
        os.killpg(training.pid, getattr(signal, name))  # a terminal that closes, or a batch system, asks them all
        _, err = training.communicate(timeout=60)
    assert training.returncode == 130
    kept = len(list(Store(tmp_path).records()))
    (said,) = err.splitlines()
    assert said.startswith(f"kaxis: interrupted; {kept} of 40 cells are kept in {tmp_path}")
    deadline = time.monotonic() + 20
    with pytest.raises(ProcessLookupError):  # noqa: PT012
        while time.monotonic() < deadline:
            os.killpg(training.pid, 0)
            time.sleep(0.05)


def test_a_hangup_that_nohup_turned_off_stays_off(tmp_path: Path) -> None:
    done = process(
        f"trap '' HUP; kaxis run digits --K 3 --seeds 0 --steps 300 --learners bp --jobs 1 --store {tmp_path} & "
        "p=$!; sleep 2; kill -HUP $p; wait $p"
    )
    assert done.returncode == 0
    assert len(list(Store(tmp_path).records())) == 1


# ---- command lines --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("run digits --seeds 0-1000000000", "1,000,000,001 numbers, 100,000 at most"),
        ("run digits --seeds 99999999999999999999", "not a whole number"),
        ("run synthetic --K 2-15000 --seeds 0-99", "1,000,000 at most"),
        ("run synthetic --K 1000000000", "can have 2 to"),
        ("run digits --width inf", "width = inf"),
        ("run digits --width 1e300", "width = 1e300"),
        ("run digits --width nan", "width = nan"),
        ("run digits --depth 1000000000", "depth = 1000000000"),
        ("run digits --steps 10000000000000", "steps = 10000000000000"),
        ("run digits --batch-size 100000000000", "batch_size"),
        ("run synthetic --n-train 100000000000", "n_train"),
        ("run digits --lr inf", "lr = inf"),
        ("run digits --jobs 100000", "--jobs 100000"),
        ("data show digits --columns 0", "--columns 0"),
        ("data show digits --columns 1000000", "--columns 1000000"),
        ("figure power --effect 1 --seeds 1000000000", "2 to 10,000"),
        ("audit --batch 1000000000000", "batch"),
        ("audit --budget 99999999999999999999GB", "budget"),
        ("run {brackets}", "nested too deeply"),
        ("run {binary}", "study file"),
        ("run {list}", "leg"),
        ("run {dots}", "nested too deeply"),
        ("run {digits}", "study file"),
        ("run {learners}", "30,000 are named"),
        ("run {plan}", "is in no leg"),
        ("analyze coverage --tilt nan", "tilt = nan"),
        ("run {many}", "30,000 are named"),
        ("run {true}", "steps = true"),
        ("analyze coverage --draws 1000000000000", "draws = 1000000000000"),
        ("audit {brackets}", "nested too deeply"),
    ],
)
def test_immoderate_command_lines_are_one_line_at_once(line: str, says: str, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "brackets.toml").write_text("a = " + "[" * 100_000)
    (tmp_path / "binary.toml").write_bytes(b"\x00\xff" * 50)
    (tmp_path / "list.toml").write_text("source = 'digits'\nleg = [1, 2]")
    (tmp_path / "dots.toml").write_text("source = 'digits'\n" + ".".join(["K", *["a"] * 5_000]) + " = 1")
    (tmp_path / "digits.toml").write_text(f"K = {'1' * 5_000}")
    (tmp_path / "learners.toml").write_text(f"source = 'digits'\nlearners = {['bp'] * 30_000}")
    plan = ", ".join(map(str, range(20, 75_020)))
    (tmp_path / "plan.toml").write_text(f"source = 'digits'\n[plan]\nlow = [3]\nhigh = [{plan}]")
    (tmp_path / "many.toml").write_text(f"source = 'digits'\nlearners = {[f'bp[lr={i}]' for i in range(1, 30_001)]}")
    (tmp_path / "true.toml").write_text("source = 'digits'\nsteps = true")
    kinds = ("brackets", "binary", "list", "dots", "digits", "learners", "plan", "many", "true")
    names = {n: tmp_path / f"{n}.toml" for n in kinds}
    started = time.monotonic()
    code, _, err = cli(*(word.format(**names) for word in line.split()))
    assert time.monotonic() - started < 10
    assert code == 2
    assert says in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("mark", ["\ufeff", ""])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_study_file_as_editors_write_it(mark: str, end: str, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_bytes(f"{mark}source = 'digits'{end}K = 3{end}learners = ['bp']{end}".encode())
    assert len(Study.load(tmp_path / "s.toml").cells()) == 5


# ---- rules ----------------------------------------------------------------------------------------------


RULE = """
import sys
import torch, kaxis
@kaxis.rule("{name}", strength=1.0)
class M(torch.nn.Module):
    def __init__(self, start, strength):
        super().__init__()
        self.out = start.linear("o", start.inputs, start.K)
    def loss(self, x, y):
        {body}
    def logits(self, x):
        return [self.out(x)]
"""


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return self.nope", "line 10: AttributeError: 'M' object has no attribute 'nope'"),
        ("sys.exit(3)", "line 10: exits with 3"),
        ("raise SystemExit", "line 10: exits with None"),
        ("return self.out(x)", "gave a tensor of shape (256, 3); one number"),
        ("return 3.0", "gave float; one number"),
        ("return torch.tensor(0.0)", "depends on no parameter"),
        ("return self.out(x) @ x", "line 10: RuntimeError"),
        ("return [][0]", "line 10: IndexError"),
        ("return self.loss(x, y)", "line 10: RecursionError"),
        ("raise type('Mute', (ValueError,), {'__str__': lambda s: 1 / 0})", "line 10: Mute"),
    ],
)
def test_an_error_in_a_rule_is_its_authors_and_fails_its_cells_alone(body: str, says: str, tmp_path: Path) -> None:
    from kaxis.spec.learners import TABLE
    from kaxis.spec.rules import RULES

    name = f"r{abs(hash(body))}"
    (tmp_path / "mine.py").write_text(RULE.format(name=name, body=body))
    options = {
        "source": "digits",
        "K": 3,
        "seeds": 0,
        "steps": 3,
        "learners": [name, "bp"],
        "rules": [str(tmp_path / "mine.py")],
    }
    try:
        store = Store(tmp_path / "s")
        summary = run(Study.of("s", options), store, jobs=1, device="cpu")
        assert len(summary.failed) == 1
        assert says in summary.failed[0]
        status = {r["config"]["learner"]["name"]: r["status"] for r in store.records()}
        assert status == {name: "failed", "bp": "done"}
        assert run(Study.of("s", options), store, jobs=1, device="cpu").trained == 0
    finally:
        TABLE.pop(name, None)
        RULES.pop(name, None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import sys; sys.exit()", "mine.py, line 1: exits with None"),
        ("exit('bye')", "exits with 'bye'"),
        ("x =", "mine.py, line 1: SyntaxError"),
        ("\n1 / 0", "mine.py, line 2: ZeroDivisionError"),
        ("import kaxis\nkaxis.rule('a', s=float('nan'))(object)", "s = nan: a finite number"),
        ("import kaxis\nkaxis.rule('a', s='x')(object)", "s = 'x': a finite number"),
    ],
)
def test_a_file_of_rules_that_does_not_run_is_one_line(text: str, says: str, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "mine.py").write_text(text)
    code, _, err = cli("run", "digits", "--rules", tmp_path / "mine.py", "--learners", "a", "--store", tmp_path / "s")
    assert code == 2
    assert says in err
    assert err.count("\n") == 1


def test_a_rule_may_import_files_beside_it_and_they_are_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kaxis.spec.learners import TABLE
    from kaxis.spec.rules import RULES, load_rules

    body = "import helper; return helper.SCALE * self.out(x).square().mean()"
    codes = []
    try:
        for folder, scale in (("a", 1), ("b", 2)):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "helper.py").write_text(f"SCALE = {scale}")
            (tmp_path / folder / "mine.py").write_text("import helper\n" + RULE.format(name="with_helper", body=body))
            load_rules([str(tmp_path / folder / "mine.py")])
            codes.append(RULES["with_helper"].code)
            assert scale == sys.modules["helper"].SCALE
    finally:
        TABLE.pop("with_helper", None)
        RULES.pop("with_helper", None)
        sys.modules.pop("helper", None)
        for folder in ("a", "b"):
            sys.path.remove(str(tmp_path / folder))
    assert codes[0] != codes[1]


def test_the_hash_of_a_rule_does_not_know_what_was_imported_before(tmp_path: Path) -> None:
    """Two files of one folder share a module; each by itself, and the second after the first, has one hash."""
    from kaxis.spec.learners import TABLE
    from kaxis.spec.rules import RULES, load_rules

    (tmp_path / "shared_part.py").write_text("SCALE = 1")
    body = "from shared_part import SCALE; return SCALE * self.out(x).square().mean()"
    for name in ("rule_one", "rule_two"):
        (tmp_path / f"{name}.py").write_text(RULE.format(name=name, body=body))
    ask = "import sys; from kaxis.spec.rules import RULES, load_rules; "
    ask += "load_rules(sys.argv[1:]); print(RULES['rule_two'].code)"
    files = [str(tmp_path / f"{n}.py") for n in ("rule_one", "rule_two")]
    codes = [
        subprocess.run([sys.executable, "-c", ask, *f], capture_output=True, text=True, check=True).stdout
        for f in (files, files[1:])
    ]
    (tmp_path / "shared_part.py").write_text("SCALE = 2")
    codes.append(subprocess.run([sys.executable, "-c", ask, *files], capture_output=True, text=True, check=True).stdout)
    assert codes[0] == codes[1] != codes[2]
    before = list(sys.path)
    try:
        load_rules(files)
        assert sys.path == [*before, str(tmp_path)]
    finally:
        sys.path[:] = before
        for name in ("rule_one", "rule_two"):
            TABLE.pop(name, None)
            RULES.pop(name, None)
        sys.modules.pop("shared_part", None)


def test_settings_of_a_rule_are_finite(tmp_path: Path) -> None:
    with pytest.raises(KaxisError, match="weight = nan: a finite number"):
        Sweep.of({"source": "digits", "learners": ["ff_hybrid[weight=nan]"]})
    with pytest.raises(KaxisError, match="weight = inf: a finite number"):
        Sweep.of({"source": "digits", "learners": ["ff_hybrid[weight=inf]"]})


def test_what_ff_cannot_do_fails_its_cells_alone(tmp_path: Path) -> None:
    options = {"source": "digits", "features": "pca:8", "K": "5 10", "seeds": 0, "steps": 3, "learners": ["ff", "bp"]}
    store = Store(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        summary = run(Study.of("s", options), store, jobs=1, device="cpu")
    assert [f for f in summary.failed if "needs more than K of them, there are 8" in f] == list(summary.failed)
    assert sorted((r["config"]["K"], r["status"]) for r in store.records()) == [
        (5, "done"),
        (5, "done"),
        (10, "done"),
        (10, "failed"),
    ]
