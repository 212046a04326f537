"""Image sets on the command line: from a folder of photographs or a npz file to paired effects."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from kaxis.sources.images import load_images
from kaxis.spec.study import Study
from kaxis.store.records import Store
from tests.helpers import kaxis, write_folder, write_npz

NET = ["--net", "vgg8", "--width", "0.03", "--epochs", "1", "--batch-size", "16", "--seeds", "0-1", "--jobs", "1"]


def test_run_and_analyze_a_set_of_your_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_npz(tmp_path / "mine.npz")
    store = ["--store", tmp_path / "store"]
    line = ["run", "npz:mine.npz", "--K", "2", "3", *NET, "--learners", "dtg_ff", "bp_deepsup", "--data", tmp_path]
    assert kaxis(*line, *store) == 0
    assert "8 trained" in capsys.readouterr().out
    assert kaxis(*line, *store, "--dry-run") == 0
    assert "8 cells, 0 to do" in capsys.readouterr().out
    longer = ["2" if before == "--epochs" else word for before, word in zip(["", *line], line, strict=False)]
    assert kaxis(*longer, *store, "--dry-run") == 0
    out = capsys.readouterr().out
    assert "8 cells, 8 to do" in out
    assert "TFLOP, about" in out
    assert kaxis("analyze", "paired", "--baseline", "bp_deepsup", "--json", *store) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(r["source"], r["K"], r["n_seeds"]) for r in rows] == [("npz:mine.npz", 2, 2), ("npz:mine.npz", 3, 2)]


def test_outcomes_are_not_read_beside_other_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Which test image was right means nothing once the images are others."""
    line = ["run", "npz:mine.npz", "--K", "3", *NET, "--learners", "dtg_ff", "bp_deepsup", "--data", tmp_path]
    write_npz(tmp_path / "mine.npz")
    assert kaxis(*line, "--store", tmp_path / "store") == 0
    ask = ["analyze", "images", "--per-class", "--store", tmp_path / "store", "--data", tmp_path]
    assert kaxis(*ask) == 0
    write_npz(tmp_path / "mine.npz", seed=1)
    load_images.cache_clear()
    capsys.readouterr()
    assert kaxis(*ask) == 2
    assert "was trained on other files than are here now" in capsys.readouterr().err


def test_switches_and_lists_of_conv_nets_are_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_npz(tmp_path / "x.npz")
    line = ["run", f"npz:{tmp_path}/x.npz", *NET, "--learners", "bp", "--store", tmp_path / "s"]
    assert kaxis(*line, "--augment", "crop", "flip", "--activation-checkpointing", "--depth-only") == 0
    (record,) = [r for r in Store(tmp_path / "s").records() if r["config"]["seed"] == 0]
    assert record["config"]["train"]["augment"] == ["crop", "flip"]
    assert record["config"]["train"]["activation_checkpointing"] is True
    assert record["config"]["net"]["depth_only"] is True
    assert kaxis("run", "--help") == 0
    assert "rsqrt_width" in capsys.readouterr().out


def test_photographs_at_another_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path / "insects", n=4)
    line = ["run", f"folder:{tmp_path}/insects", "--size", "32", *NET, "--learners", "bp"]
    assert kaxis(*line, "--store", tmp_path / "s") == 0
    assert kaxis("data", "check", "folder:insects", "--data", tmp_path) == 0
    assert "8 training and 8 test images" in capsys.readouterr().out


def test_a_contact_sheet_shows_what_the_learner_sees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_npz(tmp_path / "x.npz")
    for more in ([], ["--augmented"], ["--labels", "merge:2"]):
        K = "2" if more[:1] == ["--labels"] else "3"
        assert kaxis("data", "show", "npz:x.npz", "--K", K, "--data", tmp_path, "--out", tmp_path / "f", *more) == 0
    files = sorted((tmp_path / "f").glob("*.png"))
    assert [f.stem for f in files] == ["npz_x.npz_fine", "npz_x.npz_fine_augmented", "npz_x.npz_merge2"]
    for file in files:
        with Image.open(file) as sheet:
            assert min(sheet.size) > 100


def test_data_list_names_all_nine_sets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert kaxis("data", "list", "--data", tmp_path) == 0
    out = capsys.readouterr().out
    nine = "cifar10 cifar100 fashion_mnist stl10 tiny_imagenet imagenet100 pathmnist dermamnist bloodmnist"
    assert all(name in out for name in nine.split())
    assert out.count("missing") == 9


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("data get imagenet100", "sign up at image-net.org"),
        ("data get digits", "not one of"),
        ("data check stl11", "did you mean 'stl10'"),
        ("data show synthetic", "has no images"),
        ("run folder:none --net vgg8", "no folder at"),
        ("run npz:x.npz --net vgg8 --size 20", "take a multiple of 16"),
        ("run npz:x.npz --net vgg8 --K 4", "2 to 3 classes"),
        ("run npz:x.npz --net vgg8 --device cuda", "no CUDA"),
        ("run npz:x.npz --small", "only a study file"),
        ("run s.toml --small", r"has no \[small\] table"),
        ("run npz:x.npz --net vgg8 --holdout 1.5", "holdout = 1.5"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    line: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    import torch

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    write_npz(tmp_path / "x.npz")
    (tmp_path / "s.toml").write_text("source = 'digits'")
    assert kaxis(*line.split()) == 2
    error = capsys.readouterr().err
    assert re.search(says, error)
    assert error.count("\n") == 1


def test_a_corrupt_photograph_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_folder(tmp_path / "a")
    (root / "val" / "ant" / "0.png").write_bytes(b"\x89PNG but not really")
    assert kaxis("run", f"folder:{root}", "--size", "32", *NET, "--store", tmp_path / "s") == 2
    error = capsys.readouterr().err
    assert "val/ant/0.png" in error
    assert error.count("\n") == 1


def test_the_small_setting_of_a_study(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(
        "source = 'cifar10'\nnet = 'vgg8'\nlearners = ['dtg_ff', 'bp']\nseeds = '42 43'\n[[leg]]\n[[leg]]\nwidth = 2\n"
        "[small]\nwidth = 0.25\nepochs = 3\nseeds = 0\n[[small.leg]]\nK = [2, 5]\n"
        "[plan]\nlearner = 'dtg_ff'\nbaseline = 'bp'\n"
    )
    whole, small = Study.load(file), Study.load(file, small=True)
    assert [sweep.net.width for sweep in whole.sweeps] == [1.0, 2.0]
    assert (small.name, len(small.sweeps), small.sweeps[0].net.width, small.sweeps[0].training.epochs) == (
        "s-small",
        1,
        0.25,
        3.0,
    )
    assert small.sweeps[0].K == (2, 5)
    assert small.plan == whole.plan
    assert Study.load(file, {"epochs": 7}, small=True).sweeps[0].training.epochs == 7
