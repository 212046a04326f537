"""Pairs whose halves were trained on two kinds of machine are named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kaxis.cli.common import Pair
from kaxis.cli.effect_rows import compare
from kaxis.stats.blocks import made_apart
from kaxis.stats.effects import paired
from kaxis.store.cube import load_cube
from kaxis.store.records import Store
from tests.helpers import Cli, Fill, noisy


def test_they_are_counted_and_named(fill: Callable[..., Store]) -> None:
    cube = load_cube(fill(noisy()))
    assert made_apart(cube, "dtg_ff", "bp_deepsup") == "", "nobody knows what made them"
    kinds = np.full(cube.status.shape, "cpu mkl AVX512", dtype=object)
    cube["made_on"] = cube.status.dims, kinds.astype(str)
    assert made_apart(cube, "dtg_ff", "bp_deepsup") == ""
    at = cube.learner.values.tolist().index("dtg_ff")
    kinds[0, 1, at, :2] = "cuda NVIDIA H100"
    cube["made_on"] = cube.status.dims, kinds.astype(str)
    said = "dtg_ff - bp_deepsup: 2 of 15 pairs are of two kinds of machine (cpu mkl AVX512; cuda NVIDIA H100)"
    assert made_apart(cube, "dtg_ff", "bp_deepsup").startswith(said)
    made = compare(cube, Pair("bp_deepsup", ["dtg_ff"]), paired)
    assert made.verdicts[-1].startswith(said)
    assert made_apart(cube.drop_vars("made_on"), "dtg_ff", "bp_deepsup") == ""


def test_sources_of_different_nets_are_said_to_be(fill: Fill, cli: Cli) -> None:
    """Their names do not tell: digits, and digits at 16 px of a conv net."""
    words = ["--learner", "dtg_ff", "--baseline", "bp_deepsup", "--store"]
    store = fill(noisy(), source="synthetic")
    fill(noisy(), source="digits")
    for ask in (["paired"], ["contrast"], ["conflict", "--real", "digits"]):
        assert "different nets" not in cli("analyze", *ask, *words, store.path)[1]
    fill(noisy(), net="vgg8", size=16)
    said = cli("analyze", "paired", *words, store.path)[1]
    assert "Sources are of different nets: synthetic mlp, digits mlp, digits/size:16 vgg8." in said
    said = cli("analyze", "conflict", "--real", "digits/size:16", *words, store.path)[1]
    assert "They are of different nets, mlp (synthetic) and vgg8 (digits/size:16)" in said
