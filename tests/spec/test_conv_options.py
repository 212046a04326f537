"""Options of conv nets: what is refused, and what is the default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kaxis.errors import KaxisError
from kaxis.execute.grouping import flops
from kaxis.spec.study import Study
from kaxis.spec.sweep import Sweep
from tests.helpers import ROOT


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"source": "cifar10", "net": "vgg8", "size": 40}, "take a multiple of 16"),
        ({"source": "cifar10", "net": "vgg11", "size": 48}, "take a multiple of 32"),
        ({"source": "digits", "net": "vgg8"}, "size = 8"),
        ({"source": "synthetic", "net": "vgg8"}, "needs images"),
        ({"source": "cifar10", "net": "vgg9"}, "vgg9"),
        ({"source": "cifar10", "net": "vgg8", "features": "pca:8"}, "sees images"),
        ({"source": "cifar10", "net": "vgg8", "depth": 3}, "not an option of the net 'vgg8'"),
        ({"source": "cifar10", "dropout": 0.1}, "not an option of the net 'mlp'"),
        ({"source": "cifar10", "width": 0.5}, "whole number of units"),
        ({"source": "cifar10", "net": "vgg8", "steps": 3, "epochs": 1}, "choose one"),
        ({"source": "cifar10", "net": "vgg8", "epochs": 0}, "epochs = 0"),
        ({"source": "cifar10", "net": "vgg8", "augment": ["crop", "filp"]}, "did you mean 'flip'"),
        ({"source": "cifar10", "net": "vgg8", "augment": ["none", "flip"]}, "none alone"),
        ({"source": "cifar10", "net": "vgg8", "accumulate": 3}, "does not divide"),
        ({"source": "cifar10", "net": "vgg8", "accumulate": 2, "local_step": "naive"}, "use interleaved"),
        ({"source": "cifar10", "net": "vgg8", "select": "best"}, "set holdout"),
        ({"source": "cifar10", "size": 16}, "at its own size"),
        ({"source": "cifar10", "net": "vgg8", "accumulate": 128, "goodness_norm": "batchnorm"}, "parts of 2 images"),
        ({"source": "cifar10", "net": "vgg8", "accumulate": 128, "learners": "bp_concat"}, "parts of 2 images"),
        ({"source": "cifar10", "net": "vgg8", "activation_checkpointing": True, "goodness_norm": "batchnorm"}, "twice"),
        ({"source": "cifar10", "learners": "bp_concat"}, "concat is for conv nets"),
        (
            {"source": "cifar10", "net": "vgg8", "learners": "dtg_ff[heads=concat,inference=concat]"},
            "needs heads=every",
        ),
        (
            {
                "source": "cifar10",
                "net": "vgg8",
                "activation_checkpointing": True,
                "learners": "bp_deepsup[goodness_norm=batchnorm]",
            },
            "count every batch twice",
        ),
        ({"source": "tiny_imagnet", "net": "vgg8"}, "did you mean 'tiny_imagenet'"),
        ({"source": "cifar10", "net": "vgg8", "K": 11}, "2 to 10 classes"),
        ({"source": "cifar100", "net": "vgg8", "width": 0.125, "learners": "asge[norm=groupnorm]"}, "the 16 channels"),
        ({"source": "cifar10", "net": "vgg8", "learners": "cwcomp[goodness=scalar]"}, "needs goodness=vector"),
    ],
)
def test_bad_options_are_one_clear_line(options: dict[str, Any], says: str) -> None:
    with pytest.raises(KaxisError, match=says) as error:
        Sweep.of(options)
    assert "\n" not in str(error.value)


def test_published_recipe_is_the_default() -> None:
    sweep = Sweep.of({"source": "cifar100", "net": "vgg8"})
    settings = sweep.settings
    assert (sweep.training.epochs, sweep.training.batch_size, sweep.net.config()["dropout"]) == (400, 128, 0.1)
    assert (settings.norm, settings.t_min, settings.t_max) == ("layernorm", 0.5, 2.0)
    large = Sweep.of({"source": "tiny_imagenet", "net": "vgg8"})
    assert (large.training.epochs, large.training.batch_size) == (200, 64)


STUDIES = sorted(f for f in (ROOT / "studies").glob("*.toml") if f.stem != "audit")


@pytest.mark.parametrize("file", STUDIES, ids=lambda f: f.stem)
def test_every_study_can_be_listed_with_its_arithmetic(file: Path) -> None:
    assert sum(flops(cell) for cell in Study.load(file).cells()) > 0
