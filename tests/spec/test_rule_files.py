"""Rules."""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import torch

from kaxis.errors import KaxisError
from kaxis.execute.runner import run
from kaxis.spec.rules import load_rules, rule
from kaxis.spec.study import Study
from kaxis.spec.sweep import Sweep
from kaxis.store.records import Store
from tests.helpers import Cli

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
        ("torch.set_default_dtype(torch.float64); return self.out(x).sum()", "makes float64 torch's default"),
        ("torch.set_default_dtype(torch.float64); return [][0]", "line 10: IndexError"),
        ("torch.set_default_device('meta'); return self.out(x).sum()", "makes meta torch's default"),
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
        assert torch.get_default_dtype() == torch.float32
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
        ("import torch; torch.set_default_dtype(torch.float64)", "mine.py: makes float64 torch's default"),
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


def test_a_file_that_failed_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither rules of before its error nor a module beside it, by which it would pass the second time."""
    from kaxis.spec.learners import TABLE
    from kaxis.spec.rules import RULES

    (tmp_path / "beside_float64.py").write_text("import torch\ntorch.set_default_dtype(torch.float64)\n")
    file = tmp_path / "mine.py"
    file.write_text(RULE.format(name="half", body="return self.out(x).sum()") + "import beside_float64\n")
    for _ in range(2):
        with pytest.raises(KaxisError, match=r"mine\.py: makes float64 torch's default"):
            load_rules([str(file)])
        assert "half" not in TABLE
        assert "half" not in RULES


def test_a_folder_beside_a_rule_that_is_no_package_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "own.py").write_text("x = 1\n")
    file = tmp_path / "mine.py"
    file.write_text(
        "from lib import own\nimport torch, kaxis\n@kaxis.rule('folded')\nclass Mine(torch.nn.Module): ...\n"
    )
    with pytest.raises(KaxisError, match=r"mine\.py: what it imports cannot be followed; .* an __init__\.py"):
        load_rules([str(file)])


@pytest.mark.parametrize("name", ["source", "learner", "code", "steps", "width", "tune", "readout"])
def test_a_setting_may_not_have_a_name_of_the_configurations(name: str) -> None:
    with pytest.raises(KaxisError, match=f"setting '{name}' has a name that a configuration has"):
        rule("mine", **{name: 1.0})


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


def test_a_rule_of_ones_own_can_be_planned(tmp_path: Path, cli: Cli) -> None:
    """And what is planned is trained, but for a part of the study that flags choose."""
    (tmp_path / "planned.py").write_text(RULE.format(name="planned", body="return (self.out(x) ** 2).mean()"))
    text = f"""source = "digits"
K = [3, 5]
seeds = "0-1"
steps = 3
rules = ["{tmp_path / "planned.py"}"]
learners = ["bp_deepsup", "planned[strength=2]"]

[plan]
learner = "planned[strength=2.0]"
baseline = "{{}}"
"""
    study, store = tmp_path / "own.toml", ["--store", tmp_path / "store"]
    study.write_text(text.format("bp_deepsup"))
    assert cli("run", study, "--on", "serial", *store)[0] == 0
    (kept,) = [study for study, _ in Store(tmp_path / "store").studies()]
    assert kept.plan is not None
    assert kept.plan.learner == "planned[strength=2]"
    said = cli("analyze", "contrast", "--learner", "planned[strength=2]", *store)[1]
    assert "primary contrast of the study 'own', planned before the first result" in said
    study.write_text(text.format("dtg_ff"))
    code, _, err = cli("run", study, "--dry-run", *store)
    assert (code, "plan: dtg_ff is in no sweep, which train one of: bp_deepsup, planned" in err) == (2, True), err
    assert cli("run", study, "--dry-run", "--learners", "bp_deepsup", *store)[0] == 0


def test_what_failed_is_not_counted_as_trained(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "bad.py").write_text(RULE.format(name="bad", body="return [][0]"))
    words = ["run", "digits", "--K", "3", "--seeds", "0-1", "--steps", "3", "--learners", "bp", "bad", "--on", "serial"]
    words += ["--rules", str(tmp_path / "bad.py"), "--store", str(tmp_path / "s")]
    assert "2 trained in" in (first := cli(*words)[1])
    assert "0 there before, 2 failed" in first
    assert "0 trained in 0 s, 2 there before, 2 failed" in cli(*words)[1]
    (tmp_path / "bad.py").write_text(RULE.format(name="bad", body="return (self.out(x) ** 2).mean()"))
    time.sleep(1.1)  # records are dated to the second
    assert "2 trained in" in cli(*words)[1]
    said = cli("status", "--store", tmp_path / "s")[1]
    assert "failed:" not in said, "what is done by now is not failed"
