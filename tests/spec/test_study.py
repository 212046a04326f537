"""Studies, legs, cells, learners' names: what a user types and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaxis.errors import KaxisError
from kaxis.spec.learners import TABLE, parse
from kaxis.spec.options import integers
from kaxis.spec.study import Study
from kaxis.spec.sweep import Sweep
from tests.helpers import ROOT, Cli

FILES = ROOT / "studies"


STUDIES = sorted(file for file in FILES.glob("*.toml") if file.stem != "audit")


@given(st.lists(st.integers(0, 500), min_size=1, max_size=8))
def test_integers_read_what_they_are_written_as(values: list[int]) -> None:
    assert integers([str(v) for v in values]) == integers(",".join(map(str, values))) == tuple(values)


@given(st.integers(0, 100), st.integers(0, 30))
def test_ranges(first: int, more: int) -> None:
    assert integers(f"{first}-{first + more}") == tuple(range(first, first + more + 1))


BAD: list[tuple[dict[str, Any], str]] = [
    ({"K": "1"}, "K = 1: .* 2 to 10 classes"),
    ({"K": "0"}, "K = 0"),
    ({"K": "-3"}, "K = -3"),
    ({"K": "11"}, "K = 11"),
    ({"K": "5 5"}, "5 is given twice"),
    ({"seeds": "4-0"}, "4-0.*runs backwards; write 0-4"),
    ({"seeds": "0,1,0"}, "seeds: 0 is given twice"),
    ({"seeds": "x"}, "'x' is not a whole number"),
    ({"steps": 0}, "steps = 0"),
    ({"lr": -1}, "lr = -1"),
    ({"lr": "fast"}, "lr = fast"),
    ({"learners": ["dtg_f"]}, "did you mean 'dtg_ff'"),
    ({"learners": ["bp", "bp"]}, "bp is given twice"),
    ({"learners": ["dtg_ff[gradient=locl]"]}, "did you mean 'local'"),
    ({"learners": ["dtg_ff[lr=x]"]}, r"dtg_ff\[lr=x\].*lr = x"),
    ({"learners": ["dtg_ff[foo=1]"]}, "key=value with a key out of"),
    ({"learners": ["bp[gradient=local]"]}, "needs heads=every"),
    ({"learners": ["bp_deepsup[members=3]"]}, "need inference=softmax_mean"),
    ({"source": "cifar"}, "did you mean 'cifar1"),
    ({"source": "synthetic", "labels": "coarse"}, "name the teacher's superclasses"),
    ({"labels": "coarse"}, "digits has one of: fine, merge:N"),
    ({"labels": "merge:1"}, "2 to 10 groups"),
    ({"features": "pca:0"}, "raw or pca:D"),
    ({"teacher_width": 3}, "not an option of the source 'digits'"),
    ({"source": "synthetic", "train_total": 300}, "not an option of the source 'synthetic'"),
    ({"per_class": 3, "train_total": 30}, "choose one"),
    ({"train_total": 4, "K": 5}, "less than one image"),
    ({"t_min": 3}, "not below t_max"),
    ({"norm": "batchnorm"}, "norm = batchnorm"),
    ({"stepz": 3}, "did you mean 'steps'"),
    ({"classes": ["1", "1"]}, "named twice"),
    ({"source": "cifar10", "net": "vgg8", "learners": ["bp[lr=1e-6]"]}, "lr = 1e-06 of 'bp.*below lr_min = 1e-05"),
    ({"lr": "inf"}, "lr = inf"),
    ({"t_max": "inf"}, "t_max = inf"),
    ({"learners": []}, "name at least one"),
    ({"learners": ["bp_deepsup[t_max=3]"]}, "t_max has no effect"),
    ({"learners": ["dtg_ff[start=torch]"]}, "start has no effect"),
    ({"learners": ["deeperforward[start=draw]"]}, "start has no effect on a readout that is made of groups"),
    ({"learners": ["deeperforward[bias=no]"]}, "readout=groups has no bias to leave out"),
    ({"learners": ["deeperforwrd"]}, "did you mean 'deeperforward'"),
    ({"learners": ["deeperforward"], "K": [9], "width": 8}, "K = 9: learner 'deeperforward' makes K groups of the 8"),
    ({"learners": ["bp[norm=groupnorm]"], "K": [9], "width": 8}, "makes K groups of the 8 units of a layer"),
    (
        {"learners": ["hcl_ff"], "K": [9], "width": 8},
        "K = 9: learner 'hcl_ff' makes K groups of the 8 units of a layer",
    ),
    ({"learners": ["bp[lr=1,lr=2]"]}, "lr is given twice"),
    ({"learners": ["predsim[lr=-1]"]}, "learner 'predsim.lr=-1.': lr = -1.0: input should be greater than 0"),
    ({"learners": ["predsim[clip=-3]"]}, "clip = -3.0: input should be greater than or equal to 0"),
    ({"learners": ["hcl_ff[share=2]"]}, "share = 2: a number, 0.001 to 1"),
    ({"learners": ["softhebb[share=1]"]}, "share = 1: a number, 0 to 0.99"),
    ({"learners": ["layerwise[auxiliary=1.7]"]}, "auxiliary = 1.7: a whole number, 0 to 2"),
    ({"learners": ["predictive_coding[settling=0]"]}, "settling = 0: a whole number, 1 or more"),
    (
        {"learners": ["bp", "predsim"], "label_smoothing": 0.1},
        "label_smoothing = 0.1: does not reach learner 'predsim'",
    ),
    ({"learners": ["bp", "predsim"], "norm": "layernorm"}, "norm = layernorm: does not reach learner 'predsim'"),
    (
        {"source": "cifar10", "net": "vgg8", "learners": ["bp", "hcl_ff"], "accumulate": 4},
        "accumulate = 4: learner 'hcl_ff' takes whole batches",
    ),
    ({"learners": ["predsim"], "holdout": 0.1, "tune": ["lr=-1,0.1"]}, "learner 'predsim.lr=-1.': lr = -1.0"),
    ({"learners": ["dtg_ff[power=1]"], "holdout": 0.1, "tune": ["power=1,2"]}, "says power itself"),
    ({"learners": ["fa[heads=every]"]}, "gradient=fa sends the last head's loss back; it needs heads=last"),
    ({"learners": ["dtg_ff[gradient=dfa]"]}, "gradient=dfa sends the last head's loss back"),
    ({"learners": ["dtg_ff[gradient=none,temperature=1]"]}, "leave nothing to train"),
    ({"activation": "sigmoid"}, "activation = sigmoid: input should be 'relu' or 'tanh'"),
    ({"learners": ["dtg_ff[lr=1e-3]", "dtg_ff[lr=0.001]"]}, "given twice"),
    ({"classes": ["1", "2"], "K": 3}, "2 to 2 classes"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=[str(o) for o, _ in BAD])
def test_bad_input_is_one_line_that_names_the_value(options: dict[str, Any], message: str) -> None:
    with pytest.raises(KaxisError, match=message) as caught:
        Sweep.of({"source": "digits", **options})
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("file", STUDIES, ids=lambda f: f.stem)
def test_study_files_load_and_have_distinct_cells(file: Path) -> None:
    study = Study.load(file)
    assert Study.load(str(file)) == study
    cells = study.cells()
    assert len({c.id for c in cells}) == len(cells)
    if len({json.dumps([c.config["net"], c.config["train"]]) for c in cells}) == 1:  # else --where takes them apart
        assert len({(c.source, c.K, c.learner, c.seed) for c in cells}) == len(cells)


def test_study_file_errors_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    for text, message in (
        ("source = 'digits'\nstepz = 3", "did you mean 'steps'"),
        ("source = ", "s.toml"),
        ("source = 'digits'\nleg = 3", "leg"),
        ("source = 'digits'\n[plan]\nlearnr = 'x'", "did you mean 'learner'"),
        ("source = 'digits'\n[plan]\nlow = [3]", "low and high go together"),
        ("source = 'digits'\n[plan]\nlow = [3]\nhigh = [3]", "K = 3 appears twice"),
        ("source = 'digits'\nK = [3]\n[plan]\nlow = [3]\nhigh = [5]", "K = 5 is in no sweep"),
        ("source = 'digits'\n[plan]\nlearner = 'dtgff'", "did you mean 'dtg_ff'"),
        ("source = 'digits'\nplan = 3", "plan = 3"),
        ("source = 'digits'\n[plan]\nlearner = 'bp_deepsup'", "learner and baseline are both 'bp_deepsup'"),
        ("source = 'digits'\n[small]\nstepz = 3", r"\[small\]: 'stepz' .*did you mean 'steps'"),
        ("source = 'digits'\nleg = []", "leg"),
        ("source = 'digits'\nsweep = []", "write one or more"),
        ("source = 'digits'\n[[sweep]]\nK = 3\n[[leg]]\nK = 5", "two names for the same"),
        ("K = [3]", "source"),
    ):
        file.write_text(text)
        with pytest.raises(KaxisError, match=message) as caught:
            Study.load(file)
        assert str(file) in str(caught.value)


def test_flags_go_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("source = 'digits'\nsteps = 7\n[[sweep]]\nK = [3]\n[[sweep]]\nK = [4]")
    study = Study.load(tmp_path / "s.toml", {"steps": "9", "seeds": ["0-1"]})
    assert {sweep.training.steps for sweep in study.sweeps} == {9}
    assert [sweep.K for sweep in study.sweeps] == [(3,), (4,)]
    assert len(study.cells()) == 2 * 2 * 4


def test_the_old_name_of_a_sweep_still_works(tmp_path: Path) -> None:
    for name in ("leg", "sweep"):
        (tmp_path / f"{name}.toml").write_text(
            f"source = 'digits'\n[[{name}]]\nK = [3]\n[small]\n[[small.{name}]]\nK = [5]"
        )
    for small in (False, True):
        old, new = (Study.load(tmp_path / f"{name}.toml", small=small) for name in ("leg", "sweep"))
        assert [c.id for c in old.cells()] == [c.id for c in new.cells()]
        assert old.as_dict() == new.as_dict()


def test_a_study_survives_being_written_down() -> None:
    for file in STUDIES:
        study = Study.load(file)
        again = Study.of(study.name, json.loads(json.dumps(study.as_dict())))
        assert [c.id for c in again.cells()] == [c.id for c in study.cells()]
        assert again.plan == study.plan


def test_cell_ids_depend_on_what_decides_the_numbers_and_on_nothing_else() -> None:
    def ids(**options: Any) -> set[str]:
        return {
            c.id for c in Sweep.of({"source": "digits", "K": 3, "seeds": "0", "learners": ["bp"], **options}).cells()
        }

    assert ids() == ids(lr="0.001", steps="8000") == ids(t_max=3.0) == ids(readout_scale="rsqrt_K")
    for changed in (
        {"lr": 0.01},
        {"seeds": "1"},
        {"K": 4},
        {"features": "pca:4"},
        {"width": 64},
        {"labels": "merge:5"},
    ):
        assert ids() != ids(**changed)
    assert ids(learners=["dtg_ff"]) != ids(learners=["dtg_ff"], t_max=3.0)


def test_sources_with_the_same_K_never_collide() -> None:
    options = [
        {"K": 20},
        {"labels": "coarse"},
        {"labels": "merge:20"},
        {"K": 20, "per_class": 100},
        {"K": 20, "train_total": 2500},
        {"K": 20, "features": "pca:32"},
        {"classes": ["apple", "bear"]},
    ]
    names = [Sweep.of({"source": "cifar100", "learners": "bp", "seeds": "0", **o}).cells()[0].source for o in options]
    assert len(set(names)) == len(names)


def test_table_is_the_documented_one() -> None:
    """Rows of the published learners, switch by switch."""
    table = {name: tuple(row.switches().values()) for name, row in TABLE.items()}
    assert table["bp"] == ("global", "1", "1", "learned", "torch", "last", "last", 1)
    assert table["bp_ensemble"] == ("global", "1", "1", "learned", "torch", "last", "softmax_mean", 4)
    assert table["bp_deepsup"] == ("global", "1", "1", "learned", "torch", "every", "logit_sum", 1)
    assert table["dtg_ff"] == ("local", "2", "learned", "fixed", "draw", "every", "logit_sum", 1)
    assert table["local_ce"] == ("local", "1", "1", "learned", "torch", "every", "logit_sum", 1)


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.rule is None])
def test_names_are_canonical(name: str) -> None:
    assert parse(f" {name}[ ] ").name == name
    row = TABLE[name]
    assert parse(f"{name}[power={row.power}]") is row
    assert parse(f"{name}[lr=0.1,clip=2]").name == f"{name}[clip=2,lr=0.1]"


def test_a_file_of_audits_is_sent_to_its_own_command() -> None:
    with pytest.raises(KaxisError, match=r"kaxis audit .*audit\.toml"):
        Study.load(FILES / "audit.toml")


def test_cells_that_no_analysis_takes_together_are_named_before_they_are_trained(tmp_path: Path, cli: Cli) -> None:
    study = tmp_path / "s.toml"
    legs = "".join(f"[[sweep]]\nlearners = '{name}'\nlr = {lr}\n" for name, lr in (("bp", 0.001), ("dtg_ff", 0.004)))
    study.write_text(f"source = 'digits'\nK = 3\nseeds = 0\n{legs}")
    with pytest.warns(UserWarning, match=r"digits: cells differ in lr \(0.001, 0.004\), which no bracket names"):
        assert cli("run", study, "--dry-run", "--store", tmp_path / "runs")[0] == 0
    study.write_text("source = 'digits'\nK = 3\nseeds = 0\nlearners = ['bp', 'dtg_ff[lr=0.004]']")
    assert cli("run", study, "--dry-run", "--store", tmp_path / "runs")[::2] == (0, "")
