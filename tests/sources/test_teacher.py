"""The teacher."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kaxis.sources.synthetic import teacher_task
from kaxis.sources.task import label_facts
from kaxis.spec.teacher import TeacherSpec

TEACHER = TeacherSpec(n_train=2000, n_test=500)


def test_teacher_against_torch_layers() -> None:
    """The labels are the argmax of a plain `nn.Linear` network that carries the same numbers."""
    import torch
    from torch import nn

    from kaxis.streams import stream

    task = teacher_task(TEACHER, 7, 3)
    rng = stream(3, "teacher", 7)
    layers: list[nn.Module] = []
    for fan_in, out in ((32, 64), (64, 64), (64, 7)):
        draw = torch.from_numpy(rng.uniform(-1, 1, (out, fan_in + 1)) / fan_in**0.5)
        linear = nn.Linear(fan_in, out, dtype=torch.float64)
        linear.weight.data, linear.bias.data = draw[:, :-1], draw[:, -1]
        layers += [linear, nn.ReLU()]
    y = nn.Sequential(*layers[:-1])(torch.from_numpy(task.features).double()).argmax(1).numpy()
    assert (y == np.concatenate([task.y_train, task.y_test])).all()


def test_teacher_inputs_are_standard_normal() -> None:
    x = teacher_task(TEACHER, 5, 0).features
    assert x.shape == (2500, 32)
    assert abs(x.mean()) < 0.02
    assert abs(x.std() - 1) < 0.02


def test_teacher_is_redrawn_at_every_K_and_seed_but_not_for_a_learner() -> None:
    assert (teacher_task(TEACHER, 5, 0).y_train == teacher_task(TEACHER, 5, 0).y_train).all()
    assert not (teacher_task(TEACHER, 5, 0).features == teacher_task(TEACHER, 10, 0).features).any()
    assert not (teacher_task(TEACHER, 5, 0).features == teacher_task(TEACHER, 5, 1).features).any()


def test_nested_teacher_keeps_inputs_and_grows_its_output() -> None:
    """A label below K = 5 under the 10-class teacher is the label under the 5-class one."""
    nested = replace(TEACHER, nested_teacher=True)
    five, ten = teacher_task(nested, 5, 0), teacher_task(nested, 10, 0)
    assert (five.features == ten.features).all()
    low = ten.y_train < 5
    assert low.any()
    assert (five.y_train[low] == ten.y_train[low]).all()


def test_label_noise_flips_the_share_asked_for_and_leaves_the_test_set() -> None:
    clean, noisy = teacher_task(TEACHER, 5, 2), teacher_task(replace(TEACHER, label_noise=0.25), 5, 2)
    assert np.mean(clean.y_train != noisy.y_train) == pytest.approx(0.25, abs=0.03)
    assert (clean.y_test == noisy.y_test).all()


def test_default_teacher_is_as_unbalanced_as_a_plain_torch_one() -> None:
    """Mean share of the largest class over 200 draws of `nn.Linear` teachers: .66 / .57 / .40 at K = 5 / 10 / 50."""
    for K, share in ((5, 0.662), (10, 0.567), (50, 0.397)):
        got = np.mean([teacher_task(TEACHER, K, seed).facts["largest_class_share"] for seed in range(40)])
        assert got == pytest.approx(share, abs=0.08)


def test_label_facts_by_hand() -> None:
    facts = label_facts(np.array([0, 0, 0, 1]), np.array([1, 1, 0, 2]), 3)
    assert facts["chance"] == 0.25
    assert facts["largest_class_share"] == 0.75
    assert facts["effective_classes"] == pytest.approx(np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25)))
