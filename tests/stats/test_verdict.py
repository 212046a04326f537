"""Verdicts."""

from __future__ import annotations

import math
from typing import Any

import pytest

from kaxis.stats.effects import paired
from kaxis.stats.sources import differential
from kaxis.stats.tables import cube_from_rows
from kaxis.stats.verdict import conflict_verdict, population, verdict, verdicts
from tests.stats.tables import AB, legs, row, wobble


@pytest.mark.parametrize(
    ("given_row", "says", "never"),
    [
        (row(0.4, 1.6), "is above 0: +0.40 to +1.60 pp", "but"),
        (row(-1.6, -0.4), "is below 0", "above"),
        (row(-0.5, 1.0), "the sign is open", "above 0"),
        (row(math.nan, math.nan, n=1), "in one seed, which gives no interval", "above"),
        (row(math.nan, math.nan, n=2), "in 2 seeds, for which the t interval is not defined", "one seed"),
        (row(-math.inf, math.inf, n=2), "is not defined", "open"),
        (row(math.nan, math.nan, n=0), "nothing to say", "above"),
        (row(2.0, 2.0), "in every one of 8 seeds", "above"),
        (row(0.0, 0.0), "no difference in every one", "above"),
        (row(0.4, 1.6, n=5, p=0.0625), "no exact test can confirm it (its smallest p is 0.0625)", "does not confirm"),
        (row(0.4, 1.6, p=0.08), "but the exact sign-flip test does not confirm it (p = 0.08)", "open"),
        (
            row(0.4, 1.6, normalised_lower=-1.0, normalised_upper=3.0),
            "as a share of the headroom its sign is open",
            "other",
        ),
        (row(0.4, 1.6, normalised_lower=-3.0, normalised_upper=-1.0), "it has the other sign", "open"),
    ],
)
def test_every_branch_of_the_verdict(given_row: dict[str, Any], says: str, never: str) -> None:
    words = verdict(given_row, quantity="A - B", units="pp")
    assert says in words
    assert never not in words
    assert words.endswith(".")


@pytest.mark.parametrize(
    ("synthetic", "real", "apart", "says"),
    [
        ((0.2, 0.8), (-2.0, -1.0), (-2.5, -1.2), "the sign is reversed"),
        ((-0.2, 0.8), (-2.0, -1.0), (-2.5, -1.2), "not shown, since the slope of syn may be 0"),
        ((1.2, 1.8), (0.2, 0.6), (-1.5, -0.8), "differ in size, not in direction"),
        ((0.2, 0.8), (0.1, 0.9), (-0.5, 0.4), "no proof that they agree"),
        ((math.nan, math.nan), (0.1, 0.9), (math.nan, math.nan), "nothing can be compared"),
    ],
)
def test_every_branch_of_the_conflict_verdict(
    synthetic: tuple[float, float], real: tuple[float, float], apart: tuple[float, float], says: str
) -> None:
    values = dict(
        zip(("synthetic_lower", "synthetic_upper", "real_lower", "real_upper"), (*synthetic, *real), strict=True)
    )
    names = {"synthetic": "syn", "real": "real", "units": "pp"}
    assert says in conflict_verdict({**values, **names, "ci_lower": apart[0], "ci_upper": apart[1]})


def test_populations_say_what_seeds_vary() -> None:
    assert "teacher" in population("synthetic/teacher_width:128")
    assert "class subset" in population("cifar100", [5, 10])
    assert "class subset (below K = 100)" in population("cifar100", [50, 100])
    for source, K in (("cifar100/pca:32", 100), ("cifar100/coarse", 20), ("digits", 10)):
        assert "class subset" not in population(source, [K])
    assert "grouping of classes" in population("cifar100/merge:20", [20])
    assert "class subset" in population("folder:photos", [4])
    assert "class subset" not in population("cifar10/classes:cat+dog", [2])
    for sampled in ("cifar100/pca:32/per:100", "cifar100/total:2500", "digits/holdout:0.1"):
        assert "sample of training images" in population(sampled, [100])
    assert "grouping of classes" in population("synthetic/merge:10/teacher_classes:50", [10])
    assert "the table does not say" in population("synthetic", [5], "table")


@pytest.mark.parametrize(
    ("question", "drawn"),
    [({"slope": True}, (True, True)), ({"K": (20, 100)}, (False, False)), ({"K": (20, 20)}, (False, True))],
)
def test_either_side_of_a_difference_says_what_its_own_seeds_vary(
    question: dict[str, Any], drawn: tuple[bool, bool]
) -> None:
    """Coarse labels have 20 classes, fine ones 100: below that a seed draws which."""
    effects = {"cifar100/coarse": wobble, "cifar100": lambda s, k: wobble(s + 9, k)}
    cube = legs(effects, {"cifar100/coarse": 4, "cifar100": 4}, (10, 20, 100)).assign_attrs(origin="store")
    _, *populations = verdicts(differential(cube, of="cifar100/coarse", against="cifar100", **question, **AB))
    assert tuple("class subset" in said for said in populations) == drawn


def test_an_open_sign_that_the_exact_test_rejects_is_said_to_be() -> None:
    """An interval by t and a test by signs may part; neither is left out."""
    d = {5: [0.1, 0.1, 0.1, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1, 3.0], 50: [0.1, 0.2, 0.1, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1, 4.0]}
    rows = [
        {"K": K, "learner": name, "seed": s, "accuracy": 0.5 + (v / 100 if name == "B" else 0)}
        for K, own in d.items()
        for s, v in enumerate(own)
        for name in "AB"
    ]
    words = verdicts(paired(cube_from_rows(rows), learner="B", baseline="A"))
    assert [w.endswith("; but the exact sign-flip test rejects 0 (p = 0.00195).") for w in words[:2]] == [True, True]
    assert words[2].endswith("confirms K = 5, 50.")
