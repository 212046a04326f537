"""The synthetic task's knobs: each moves what it says, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kaxis.errors import KaxisError
from kaxis.sources.matching import TOLERANCE, Probe, matched
from kaxis.sources.synthetic import teacher_task
from kaxis.sources.task import Task
from kaxis.sources.teacher import Teacher
from kaxis.spec.sweep import Sweep
from kaxis.spec.teacher import TeacherSpec
from kaxis.streams import stream
from tests.helpers import kaxis

PLAIN = TeacherSpec(n_train=4000, n_test=1000)


def task(K: int = 6, seed: int = 0, **knobs: Any) -> Task:
    return teacher_task(replace(PLAIN, **knobs), K, seed)


def entropy(y: np.ndarray) -> float:
    p = np.bincount(y) / len(y)
    return float(-(p[p > 0] * np.log(p[p > 0])).sum())


def test_neutral_knobs_are_the_plain_generator_bit_for_bit() -> None:
    """Written out here from the paper: normal inputs, two ReLU layers and an output, argmax."""
    x = stream(3, "inputs", 7).standard_normal((5000, 32), dtype=np.float32)
    rng, h = stream(3, "teacher", 7), x.astype(np.float64)
    for i, (rows, n) in enumerate(((64, 32), (64, 64), (7, 64))):
        draw = rng.uniform(-1.0, 1.0, (rows, n + 1))
        h = h @ (np.sqrt(1.0 / n) * draw[:, :-1]).T + draw[:, -1] / np.sqrt(n)
        h = np.maximum(h, 0) if i < 2 else h
    made = task(7, 3)
    assert (made.features == x).all()
    assert (np.concatenate([made.y_train, made.y_test]) == h.argmax(1)).all()
    assert made.facts.keys() == {"n_train", "n_test", "largest_class_share", "effective_classes", "chance"}
    neutral = Sweep.of({"source": "synthetic", "K": 5, "learners": "bp", "margin": "any", "balance": "none"}).cells()[0]
    assert neutral.id == Sweep.of({"source": "synthetic", "K": 5, "learners": "bp"}).cells()[0].id


def test_margins_move_difficulty_and_leave_shares_inputs_and_K() -> None:
    """Easy and hard halves of each class: same classes, nearly the same label entropy, same inputs' spread; another
    accuracy.
    """
    any_, easy, hard = (
        task(8, 1, balance="logits", margin=m, n_train=12_000) for m in ("any", "above:0.5", "below:0.5")
    )
    for other in (easy, hard):
        assert set(other.y_train) == set(any_.y_train)
        assert entropy(other.y_train) == pytest.approx(entropy(any_.y_train), abs=0.02)
        shares = [np.bincount(t.y_train, minlength=8) / len(t.y_train) for t in (any_, other)]
        assert np.abs(shares[0] - shares[1]).max() < 0.02
        assert abs(other.features.mean()) < 0.03
        assert other.features.std() == pytest.approx(1, abs=0.03)
        assert len(other.y_train) == 12_000
    teacher = Teacher(replace(PLAIN, balance="logits"), 8, 1)
    edges = teacher.edges(0.5)
    for made, above in ((easy, True), (hard, False)):
        y, margin = teacher.labels(made.features)
        assert (y == np.concatenate([made.y_train, made.y_test])).all()
        assert ((margin >= edges[y]) == above).all()
    probe = Probe(teacher, 8)
    levels = [("below", 0.3), ("below", 0.6), ("any", 0.0), ("above", 0.4), ("above", 0.7)]
    reached = [probe.accuracy(*level) for level in levels]
    assert reached == sorted(reached)
    assert reached[-1] - reached[0] > 0.3


@pytest.mark.slow
def test_matched_difficulty_is_matched_at_every_K() -> None:
    """The probe on the very samples of the task, K = 4 and 12, against the stated tolerance and its own sampling
    error.
    """
    reached = {}
    for K in (4, 12):
        made = task(K, 2, balance="uniform", margin="match:0.5", n_train=8_000)
        kind, quantile, stated = matched(Teacher(replace(PLAIN, balance="uniform"), K, 2), 0.5, K)
        assert made.facts["margin"] == f"{kind}:{quantile:g}"
        assert made.facts["probe"] == stated
        assert abs(stated - 0.5) <= TOLERANCE
        from sklearn.linear_model import RidgeClassifier

        # An independent ridge on independent samples of the same distribution.
        features = Probe(Teacher(replace(PLAIN, balance="uniform"), K, 2), K).expand(made.features)
        rows = np.random.default_rng(0).permutation(8_000)[:4_000]
        fit = RidgeClassifier(alpha=1.0, fit_intercept=False).fit(features[rows], made.y_train[rows])
        right = np.mean(fit.predict(features[8_000:]) == made.y_test)
        reached[K] = (right - 1 / K) / (1 - 1 / K)
        assert reached[K] == pytest.approx(0.5, abs=TOLERANCE + 0.03)  # two samples of 2,000 and 1,000 tests
    easier = task(4, 2, balance="uniform", n_train=8_000).facts
    assert "margin" not in easier


def test_balance() -> None:
    """The teacher's own shares leave classes empty; standardised logits fill them; uniform makes them equal."""
    own, logits, uniform = (task(40, 0, balance=b, n_train=8_000, n_test=2_000) for b in ("none", "logits", "uniform"))
    assert len(set(own.y_train)) < 40
    assert len(set(logits.y_train)) == 40
    assert own.facts["effective_classes"] < 15 < 35 < logits.facts["effective_classes"]
    for y, n in ((uniform.y_train, 8_000), (uniform.y_test, 2_000)):
        assert (np.bincount(y, minlength=40) == n / 40).all()
    odd = task(6, 0, balance="uniform", n_train=1000, n_test=500)
    counts = np.bincount(odd.y_train)
    assert counts.sum() == 1000
    assert np.ptp(counts) <= 1
    assert not set(map(bytes, odd.features[:1000])) & set(map(bytes, odd.features[1000:]))


def test_coarse_labels_are_a_function_of_the_fine_ones() -> None:
    knobs = {"superclasses": 4, "balance": "logits"}
    fine = task(12, 5, **knobs)
    coarse = task(4, 5, **knobs, labels="coarse", teacher_classes=12)
    assert (fine.features == coarse.features).all()
    assert (coarse.y_train == fine.y_train % 4).all()
    assert (coarse.y_test == fine.y_test % 4).all()
    merged = task(4, 5, **knobs, labels="merge:4", teacher_classes=12)
    assert (merged.features == fine.features).all()
    groups = {f: set(merged.y_train[fine.y_train == f]) for f in set(fine.y_train)}
    assert all(len(g) == 1 for g in groups.values())
    assert np.ptp(np.bincount([next(iter(g)) for g in groups.values()])) <= 1
    assert (merged.y_train != coarse.y_train).any()


def test_a_superclass_is_chosen_first() -> None:
    teacher = Teacher(replace(PLAIN, superclasses=3), 9, 1)
    x = teacher.inputs(np.random.default_rng(0), 500)
    h = teacher._hidden(x)
    (W, b), (U, c) = teacher.heads
    z, u = h @ W.T + b, h @ U.T + c
    y, margin = teacher.labels(x)
    for i in range(500):
        g = int(u[i].argmax())
        mine = [k for k in range(9) if k % 3 == g]
        best = sorted(mine, key=lambda k: -z[i, k])
        assert y[i] == best[0]
        leads = sorted(u[i])[-1] - sorted(u[i])[-2], z[i, best[0]] - z[i, best[1]]
        assert margin[i] == pytest.approx(min(leads))


def test_sample_size_a_class_or_in_all() -> None:
    per = task(6, 0, balance="uniform", per_class=50)
    assert (np.bincount(per.y_train) == 50).all()
    assert len(per.y_test) == 1000
    assert len(task(6, 0).y_train) == 4000


def test_noise_comes_last_and_on_the_view() -> None:
    knobs = {"superclasses": 4, "labels": "coarse", "teacher_classes": 12}
    clean, noisy = task(4, 5, **knobs), task(4, 5, **knobs, label_noise=0.3)
    changed = clean.y_train != noisy.y_train
    assert changed.mean() == pytest.approx(0.3, abs=0.03)
    assert set(noisy.y_train) <= set(range(4))
    assert (clean.y_test == noisy.y_test).all()


def test_records_name_the_streams() -> None:
    options = {"source": "synthetic", "learners": "bp", "superclasses": 5, "teacher_classes": 20, "labels": "merge:4"}
    (cell,) = Sweep.of({**options, "margin": "above:0.5", "seeds": 0, "K": 4}).cells()
    used = cell.streams
    assert {k: used[k] for k in ("inputs", "teacher", "superclasses", "pool", "merge")} == {
        "inputs": 20, "teacher": 20, "superclasses": 20, "pool": 20, "merge": "shared",
    }  # fmt: skip
    assert cell.source == "synthetic/merge:4/teacher_classes:20/superclasses:5/margin:above:0.5"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("--margin above:1.5", "margin 'above:1.5': the quantile lies between 0 and 1"),
        ("--margin below:0", "the quantile lies between 0 and 1"),
        ("--margin match:x", "the normalised accuracy of the probe lies between 0 and 1"),
        ("--margin abov:0.5", "did you mean 'above:Q'"),
        ("--K 5 --superclasses 9", "superclasses = 9: 2 or more, and no more than the 5 classes"),
        ("--labels coarse --K 5", "name the teacher's superclasses"),
        ("--labels merge:4", "name the teacher's own classes"),
        ("--labels coarse --superclasses 5 --teacher-classes 4", "no more than the 4 classes"),
        ("--labels coarse --superclasses 5 --teacher-classes 20 --K 6", "K = 6"),
        ("--labels merge:30 --teacher-classes 20", "can be merged into 2 to 20 groups"),
        ("--teacher-classes 20 --K 5", "with fine ones K is their number"),
        ("--labels fin", "did you mean 'fine'"),
        ("--balance unifrm", "balance"),
        ("--margin match:0.97 --K 50 --seeds 0 --balance uniform", "margin 'match:0.97': K = 50 seed 0 can reach 0."),
    ],
)
def test_bad_knobs_are_one_line(flags: str, says: str, tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert kaxis("run", "synthetic", "--store", tmp_path / "s", "--learners", "bp", *flags.split()) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not list((tmp_path / "s").glob("cells/*"))


def test_real_sources_have_no_such_knobs() -> None:
    with pytest.raises(KaxisError, match=r"margin = above:0\.5: not an option of the source 'digits'"):
        Sweep.of({"source": "digits", "margin": "above:0.5"})


def test_too_rare_a_class_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kaxis.sources.synthetic.MOST_DRAWS", 1)
    with pytest.raises(
        KaxisError, match=r"balance = uniform: K = 40 seed 0 drew \d+ samples of class \d+, which needs"
    ):
        task(40, 0, balance="uniform")
    with pytest.raises(KaxisError, match="choose a milder quantile"):
        task(6, 0, margin="above:0.9")
