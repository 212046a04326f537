"""A spread of 0."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from kaxis.errors import KaxisError
from kaxis.stats.intervals import KINDS, interval
from kaxis.stats.models import crv3_slope, welch
from kaxis.stats.multiplicity import simultaneous_band
from kaxis.stats.planning import power, seeds_needed, smallest_effect
from tests.helpers import Cli
from tests.stats.cubes import as_file, table


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("values", [[1.0, 1.0], [0.0] * 5, [0.1 + 0.2, 0.3, 0.3], [-2.0] * 12])
def test_a_spread_of_nothing_gives_no_interval(kind: str, values: list[float]) -> None:
    assert all(map(math.isnan, interval(values, kind)))


def test_a_spread_of_nothing_concludes_nothing() -> None:
    assert math.isnan(power(1.0, 0.0, 5))
    assert math.isnan(smallest_effect(0.0, 5))
    with pytest.raises(KaxisError, match="a spread of 0"):
        seeds_needed(1.0, 0.0)
    for a, b in (([1.0, 1.0], [2.0, 2.0]), ([1.0, 1.0], [2.0, 2.5])):
        assert math.isnan(welch(a, b).lower)
        assert math.isnan(welch(a, b).p)
    assert math.isnan(crv3_slope(np.ones((4, 3)) * [1, 2, 3], [1, 2, 3])[1])
    low, high = simultaneous_band(np.column_stack([np.ones(5), np.arange(5.0)]))
    assert np.isnan([low[0], high[0]]).all()
    assert low[1] < 2 < high[1]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("equivalence --margin 2", "Shown to lie within 2 pp of 0: none"),
        ("power --effect 1", "nothing to plan with"),
        ("gap", "a spread of 0 gives no interval"),
        ("paired", "a spread of 0 gives no interval"),
        ("slope", "a spread of 0 gives no interval"),
        ("conflict --synthetic s --real r --learner B", "a spread of 0 gives no interval, nothing can be compared"),
        ("differential --of s --against r --K 5 --learner B", "a spread of 0 gives no interval"),
    ],
)
def test_no_analysis_concludes_from_a_spread_of_nothing(line: str, says: str, tmp_path: Path, cli: Cli) -> None:
    cube = table(lambda s, K, i: (1.0 + 2 * (s == "r")) * np.log(K), ("s", "r"))
    file = as_file(cube, tmp_path / "t.csv")
    words = line.split()
    code, out, _ = cli("analyze", words[0], file, *words[1:], "--baseline", "A")
    assert code == 0
    assert says in out
    code, out, _ = cli("analyze", words[0], file, *words[1:], "--baseline", "A", "--json")
    for row in json.loads(out)["rows"]:
        assert row.get("ci_lower") is None
        assert row.get("ci_upper") is None
        if words[0] in ("equivalence", "conflict"):
            assert row["p"] is None or row["what"] == "slope on ln K"
