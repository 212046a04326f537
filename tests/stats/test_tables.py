"""Tables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kaxis.errors import KaxisError
from kaxis.stats.effects import paired
from kaxis.stats.tables import cube_from_rows, read_csv

HEAD = "K,learner,seed,accuracy"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{HEAD},accuracy\n5,A,0,.5,.1\n", "the column 'accuracy' is there 2 times"),
        (f"source,{HEAD}, source\nx,5,A,0,.5,y\n", "the column 'source' is there 2 times"),
        (f"{HEAD},chance,chance\n5,A,0,.5,.1,.2\n", "the column 'chance' is there 2 times"),
        ("K;learner;seed;accuracy\n5;A;0;.5\n", "seem to be separated by semicolons"),
        ("K\tlearner\tseed\taccuracy\n5\tA\t0\t.5\n", "seem to be separated by tabs"),
        ("k,learner,seed,accuracy\n5,A,0,.5\n", "has no column 'K'.*rename 'k'"),
        (f"{HEAD}\n5,A,0\n", "line 2: 3 values for 4 columns"),
        (f"{HEAD}\n\n5,A,0,.5\n\n5,B,0,.5,7\n", "line 5: 5 values for 4 columns"),
        (f"{HEAD}\n5,A,0,crash?\n", "a failed run is written as an empty value or 'failed'"),
        (f'{HEAD}\n5,A,0,"0,5"\n', "with a point"),
        (f"{HEAD}\n5,,0,.5\n", "no learner is named"),
        (f"{HEAD}\n5,A,1.5,.5\n", "seed = 1.5: a whole number"),
        (f"{HEAD}\n5,A,1e300,.5\n", "seed = 1e300: a whole number that a float can hold"),
        (f"{HEAD}\n5,A,99999999999999999999,.5\n", "seed = 99999999999999999999"),
        (f"{HEAD}\n5,A,nan,.5\n", "seed = nan: a whole number"),
        (f"{HEAD}\n5,A,0,True\n", "accuracy = True"),
        (f"{HEAD}\n5,A\x1b[31m,0,.5\n", "control characters"),
        ("", "has no column 'K'"),
        (f"{HEAD}\n", "no rows"),
    ],
)
def test_tables_that_are_wrong_say_where(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(KaxisError, match=says):
        read_csv(tmp_path / "t.csv")


@pytest.mark.parametrize(
    "text",
    [
        "K, learner , seed,accuracy\n5,A,0,.5\n\n,,,\n5,B,0,.6\n",
        "\ufeffK,learner,seed,accuracy,note,note\r\n5,A,0,.5,x,y\r\n5,B,0,.6,,\r\n",
        "\n\nK,learner,seed,accuracy,chance,source\n5,A,0.0,.5,nan,\n5,B,0,.6,NA,None\n",
        'K,learner,seed,accuracy\n"5","A",0,0.5\n5,B,0,.6\n5,A,1,failed\n5,B,1,.6\n',
    ],
)
def test_tables_as_people_write_them(text: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(text.encode())
    effect = paired(read_csv(str(tmp_path / "t.csv")), learner="B", baseline="A")
    assert float(effect.effect.sel(source="t", K=5)) == pytest.approx(10)
    assert float(effect.effect_normalised.sel(source="t", K=5)) == pytest.approx(12.5)


def test_a_table_may_come_through_a_pipe_and_an_empty_one_hangs_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    with pytest.raises(KaxisError, match="has no column 'K'"):
        read_csv(tmp_path / "p")
    read, write = os.pipe()
    os.write(write, f"{HEAD}\n5,A,0,.5\n".encode())
    os.close(write)
    assert read_csv(f"/dev/fd/{read}").sizes["K"] == 1
    os.close(read)


@pytest.mark.parametrize("first", [2**53, 2**60, 9007199254740993, 2**63 - 3])
def test_large_seeds_are_paired_as_they_are(first: int, tmp_path: Path) -> None:
    lines = [f"5,A,{first},.5", f"5,B,{first + 1},.9", f"5,A,{first + 2},.5", f"5,B,{first + 2},.7"]
    (tmp_path / "t.csv").write_text("\n".join([HEAD, *lines]))
    cube = read_csv(tmp_path / "t.csv")
    assert cube.seed.values.tolist() == [first, first + 1, first + 2]
    out = paired(cube, learner="B", baseline="A")
    assert (int(out.n_seeds[0, 0]), float(out.effect[0, 0])) == (1, pytest.approx(20))


@pytest.mark.parametrize("nothing", [float("nan"), None, "", "NaN", "<NA>", np.float64("nan")])
def test_what_pandas_has_for_nothing_is_nothing(nothing: Any) -> None:
    rows = [
        {
            "K": 5,
            "learner": n,
            "seed": s,
            "accuracy": 0.5 + 0.1 * (n == "B") + s / 50,
            "chance": nothing,
            "source": nothing,
        }
        for n in "AB"
        for s in (0, 1)
    ]
    cube = cube_from_rows(rows)
    assert cube.source.values.tolist() == ["table"]
    assert (cube.chance == 0.2).all()


def test_a_data_frame_is_a_table() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"K": [5, 5], "learner": ["A", "B"], "seed": [0, 0], "accuracy": [0.5, None]})
    cube = cube_from_rows(frame)
    assert cube.status.squeeze().values.tolist() == ["done", "failed"]
    with pytest.raises(KaxisError, match="the column 'accuracy' is there 2 times"):
        cube_from_rows(pandas.concat([frame, frame[["accuracy"]]], axis=1))
    with pytest.raises(KaxisError, match="not a mapping"):
        cube_from_rows(["K"])  # type: ignore[list-item]
