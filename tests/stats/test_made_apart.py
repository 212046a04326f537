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
from tests.helpers import noisy


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
