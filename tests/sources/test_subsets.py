"""Subsets and held-out images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaxis.errors import KaxisError
from kaxis.sources import relabel
from kaxis.sources.load import load_task
from kaxis.spec.sweep import Sweep
from tests.helpers import write_npz

PARENTS = np.arange(100) // 5


NAMES = tuple(f"c{i}" for i in range(100))


PARENT_NAMES = tuple(f"p{i}" for i in range(20))


@given(K=st.integers(2, 100), seed=st.integers(0, 5))
def test_within_takes_few_superclasses_across_many(K: int, seed: int) -> None:
    def drawn(subset: str, k: int) -> list[int]:
        chosen = relabel.draw_classes(NAMES, k, seed, subset=subset, parents=PARENTS, parent_names=PARENT_NAMES)
        return chosen.tolist()

    within, across = drawn("within", K), drawn("across", K)
    assert len(set(within)) == len(set(across)) == K
    assert len(set(PARENTS[within])) == -(-K // 5)
    assert len(set(PARENTS[across])) == min(K, 20)
    assert drawn("within", max(2, K - 1)) == within[: max(2, K - 1)]
    assert drawn("across", max(2, K - 1)) == across[: max(2, K - 1)]
    some = drawn("within:p3+p7", min(K, 10))
    assert set(PARENTS[some]) <= {3, 7}


def test_subsets_refuse_what_they_cannot_give() -> None:
    with pytest.raises(KaxisError, match="K = 6: within:p3 has 5 classes"):
        relabel.draw_classes(NAMES, 6, 0, subset="within:p3", parents=PARENTS, parent_names=PARENT_NAMES)
    with pytest.raises(KaxisError, match=r"superclass 'fsh'.*did you mean 'fish'"):
        relabel.draw_classes(NAMES, 2, 0, subset="within:fsh", parents=PARENTS, parent_names=("fish", "trees"))
    for options, says in (
        ({"source": "cifar10", "subset": "within"}, "needs the fine labels"),
        ({"source": "cifar100", "labels": "coarse", "subset": "across"}, "needs the fine labels"),
        ({"source": "cifar100", "subset": "accross"}, "did you mean 'across'"),
        ({"source": "cifar100", "subset": "within", "classes": ["apple", "bed"]}, "choose one"),
    ):
        with pytest.raises(KaxisError, match=says):
            Sweep.of(options)


def test_held_out_images_are_the_seeds_and_no_one_elses(tmp_path: Path) -> None:
    source = {"source": f"npz:{write_npz(tmp_path / 'x.npz')}", "holdout": 0.25, "learners": "bp", "net": "vgg8"}
    config = Sweep.of(source).cells()[0].config["source"]
    a, b = (load_task(config, 3, seed, pixels=True) for seed in (0, 1))
    assert len(a.held_rows) == 9
    assert not set(a.held_rows) & set(a.train_rows)
    assert set(a.held_rows) | set(a.train_rows) == set(range(36))
    assert set(a.held_rows) != set(b.held_rows)
    assert (a.y_held == a.labels("held")).all()
    with pytest.raises(KaxisError, match=r"holdout = 0\.001"):
        load_task({**config, "holdout": 0.001}, 3, 0, pixels=True)
