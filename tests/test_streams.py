"""Random streams: what a record says of them is what was drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kaxis import streams
from kaxis.nets import draws, maps, vgg
from kaxis.sources import augment, relabel, teacher
from kaxis.spec.sweep import Sweep
from kaxis.train import batches, conv, loader
from kaxis.train.loop import train
from tests.helpers import write_npz

CASES: list[dict[str, Any]] = [
    {"source": "synthetic", "learners": "dtg_ff", "n_train": 64, "n_test": 8},
    {"source": "synthetic", "learners": "bp", "n_train": 64, "n_test": 8, "nested_teacher": True, "label_noise": 0.1},
    {"source": "digits", "learners": "bp_ensemble"},
    {"source": "digits", "learners": "dtg_ff[readout=learned]", "labels": "merge:5", "per_class": 20},
    {"source": "digits", "learners": "bp_deepsup", "classes": ["1", "2", "3"], "train_total": 30},
    {"source": "digits", "learners": "fa"},
    {"source": "digits", "learners": "usf"},
    {"source": "digits", "learners": "dfa"},
    {"source": "digits", "learners": "deeperforward"},
]


CONV: dict[str, Any] = {"net": "vgg8", "width": 0.03, "batch_size": 8}


@pytest.mark.parametrize("learners", ["dtg_ff[inference=concat]", "bp_deepsup", "asge", "cwcomp", "fa", "drtp"])
def test_conv_records_list_the_streams_that_were_drawn(
    learners: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = f"npz:{write_npz(tmp_path / 'x.npz')}"
    batches._epoch_draws.cache_clear()
    test_records_list_the_streams_that_were_drawn(
        {"source": source, "learners": learners, "holdout": 0.2, **CONV}, monkeypatch
    )


@pytest.mark.parametrize("options", CASES, ids=str)
def test_records_list_the_streams_that_were_drawn(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, object] = {}

    def spy(seed: int, purpose: str, key: object = streams.SHARED) -> Any:
        assert seed == 7
        drawn[purpose.split("/")[0]] = key
        return streams.stream(seed, purpose, key)

    for module in (draws, maps, vgg, relabel, teacher, loader, conv, augment):
        monkeypatch.setattr(module, "stream", spy)
    (result,), _ = train(Sweep.of({"K": 3, "seeds": "7", "steps": 2, **options}).cells())
    assert result["streams"] == drawn


def test_streams_differ_by_each_part_of_their_key() -> None:
    draws = [
        streams.stream(*key).random() for key in ((0, "a"), (1, "a"), (0, "b"), (0, "a", 5), (0, "a", 6), (0, "a5"))
    ]
    assert len(set(draws)) == len(draws)
