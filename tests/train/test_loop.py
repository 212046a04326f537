"""The trainer's contract: a cell's numbers do not depend on what ran beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kaxis.execute.grouping import stacks_of
from kaxis.nets import mlp
from kaxis.sources.load import load_task
from kaxis.spec.cell import Cell
from kaxis.spec.net import MLPSpec
from kaxis.spec.sweep import Sweep
from kaxis.train.loader import Loader, Sampler
from kaxis.train.loop import log_probability, networks_of, train
from kaxis.train.result import DIVERGED
from kaxis.train.schedule import evaluation_steps
from tests.nets.reference import PlainMLP

SMALL = {"source": "synthetic", "n_train": 700, "n_test": 300, "steps": 25}


ALL = ("bp", "bp_ensemble", "bp_deepsup", "dtg_ff", "local_ce")


def cells(learner: str, K: int = 5, seeds: str = "0-4", **options: Any) -> list[Cell]:
    return Sweep.of({**SMALL, "K": K, "seeds": seeds, "learners": learner, **options}).cells()


@pytest.mark.parametrize("K", [2, 5, 13, 50])
@pytest.mark.parametrize("learner", ALL)
def test_bitwise_the_same_in_any_stack(learner: str, K: int) -> None:
    """Alone, first, last, reversed, and with other seeds beside it: equal to the last bit."""
    together = cells(learner, K)
    results, _ = train(together)
    for stack in ([together[3]], together[3:], together[:4], together[::-1]):
        again, _ = train(stack)
        for cell, result in zip(stack, again, strict=True):
            assert result == results[together.index(cell)]


@pytest.mark.parametrize(
    "options", [{"norm": "layernorm"}, {"norm": "rmsnorm"}, {"clip": 0.1}, {"width": 33, "batch_size": 37}]
)
def test_bitwise_with_options_and_odd_sizes(options: dict[str, Any]) -> None:
    together = cells("dtg_ff", 7, **options)
    results, _ = train(together)
    alone, _ = train([together[2]])
    assert alone[0] == results[2]


def test_bitwise_on_real_data_with_unequal_sizes() -> None:
    """Class subsets of digits differ in size from seed to seed; padding must not leak."""
    together = Sweep.of({"source": "digits", "K": 3, "learners": "bp_deepsup", "steps": 30}).cells()
    results, _ = train(together)
    assert len({r["data"]["n_train"] for r in results}) > 1
    assert train([together[1]])[0][0] == results[1]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_bitwise_on_any_number_of_threads(threads: int) -> None:
    before = torch.get_num_threads()
    results, _ = train(cells("bp_deepsup", 10))
    torch.set_num_threads(threads)
    try:
        assert train(cells("bp_deepsup", 10))[0] == results
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("learner", "options"),
    [
        ("bp", {"batch_size": 8}),  # a head's product is small enough for torch to choose the library by the stack
        ("dtg_ff", {"batch_size": 32, "width": 16}),
        ("bp_deepsup", {"input_dim": 2, "batch_size": 16}),
        ("bp_deepsup[temperature=learned]", {"clip": 0.01}),  # five gradients of a layer are added up
        ("bp", {"batch_size": 10, "width": 100}),  # slices that do not begin at a boundary of memory
        ("bp", {"batch_size": 5}),
        ("bp", {"batch_size": 1024, "width": 4, "input_dim": 4}),  # evaluation's products are the smaller ones
    ],
)
def test_bitwise_where_torch_would_do_otherwise_for_several(learner: str, options: dict[str, Any]) -> None:
    together = cells(learner, 3, **options)
    results, _ = train(together)
    for i in (1, 2):
        assert train([together[i]])[0][0] == results[i]


def test_a_network_of_one_sample_a_step_has_its_stack_to_itself() -> None:
    both = Sweep.of({**SMALL, "K": 3, "seeds": "0-1", "learners": ["bp", "bp_ensemble"], "batch_size": 1}).cells()
    assert [len(stack) for stack in stacks_of(both, 8)] == [1] * 4
    for size in ("input_dim", "width"):
        assert [len(stack) for stack in stacks_of(cells("bp", 3, "0-1", **{size: 1}), 8)] == [1, 1]


@pytest.mark.parametrize("members", [7, 33])
def test_ensembles_of_any_size_agree_with_themselves(members: int) -> None:
    """Seven certain networks have a loss of 0, not below; more than 32 temperatures are rounded as fewer are."""
    z = [torch.full((7, 2, 4), 0.0)]
    z[0][:, 0] = 200.0
    assert float(log_probability(z, 1, "softmax_mean").max()) == 0
    alpha = torch.linspace(-3, 3, members)[:, None, None]
    assert torch.equal(mlp._sigmoid(alpha), torch.stack([torch.sigmoid(a) for a in alpha]))


def test_bp_is_the_first_member_of_the_ensemble() -> None:
    """Shared networks are trained once, and give what each cell gives alone."""
    both = [*cells("bp", seeds="0-1"), *cells("bp_ensemble", seeds="0-1")]
    assert len(networks_of(both)) == 8
    results, _ = train(both)
    assert results[:2] == train(both[:2])[0]
    assert results[2:] == train(both[2:])[0]


@pytest.mark.parametrize(("learner", "decay"), [*((name, 0.0) for name in ALL), ("bp_deepsup", 0.5), ("dtg_ff", 0.5)])
def test_whole_run_against_plain_pytorch(learner: str, decay: float) -> None:
    """Each network alone, an autograd loop over `nn.Linear`, the same batches; the members' softmax averaged at the
    end.
    """
    from kaxis.nets.mlp import MLPStack

    cell = cells(learner, seeds="1", weight_decay=decay)[0]
    row = cell.algorithm
    assert row.weight_decay == decay
    result = train([cell])[0][0]
    task = load_task(cell.config["source"], cell.K, 1)
    x, y = torch.from_numpy(task.features).double(), torch.from_numpy(task.y_train)
    probability = []
    for member in range(row.members):
        stack = MLPStack([(1, member)], K=cell.K, inputs=32, net=MLPSpec(), learner=row, dtype=torch.float64)
        net = PlainMLP(stack, 0)
        adam = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=1e-3, weight_decay=decay)
        order = Sampler(seed=1, member=member, n=len(y))
        for _ in range(SMALL["steps"]):  # type: ignore[arg-type]
            pick = torch.from_numpy(order.next(256))
            adam.zero_grad()
            net.loss(x[pick], y[pick]).backward()
            adam.step()
        with torch.no_grad():
            probability.append(torch.stack(net.logits(x[task.test_rows])).sum(0).softmax(1))
    mean = torch.stack(probability).mean(0)
    loss = torch.nn.functional.nll_loss(mean.log(), torch.from_numpy(task.y_test))
    assert result["metrics"]["test_loss"] == pytest.approx(float(loss), rel=1e-3)
    assert result["metrics"]["test_accuracy"] == pytest.approx(
        (mean.argmax(1).numpy() == task.y_test).mean(), abs=2 / 300
    )


def test_the_best_look_at_held_out_samples_counts() -> None:
    options: dict[str, Any] = {"holdout": 0.2, "select": "best", "steps": 60, "lr": 0.01}
    (cell,) = cells("dtg_ff", seeds="0", **options)
    (plain,) = cells("dtg_ff", seeds="0")
    assert "select" not in plain.config["train"]
    result, last = (train([c])[0][0] for c in (cell, cells("dtg_ff", seeds="0", **{**options, "select": "last"})[0]))
    held = result["curves"]["held_accuracy"]
    assert result["curves"]["step"] == list(range(0, 61, 3))
    at = int(np.argmax(held))
    assert result["metrics"]["selected_step"] == 3 * at
    assert result["metrics"]["test_accuracy"] == result["curves"]["test_accuracy"][at]
    assert result["curves"]["test_accuracy"][-1] == last["metrics"]["test_accuracy"]  # looking changes nothing
    assert result["data"]["n_train"] == 560
    task = load_task(cell.config["source"], 5, 0)
    assert not set(task.held_rows) & set(task.train_rows)
    assert len(task.y_held) == 140


def test_a_diverged_cell_is_a_record_and_harms_no_neighbour() -> None:
    failed, _ = train(cells("bp", lr=1e6))
    assert {r["status"] for r in failed} == {"failed"}
    assert all("diverged" in r["reason"] and not r["metrics"] for r in failed)
    assert all(np.isfinite(r["curves"]["train_loss"]).all() for r in failed)


def test_a_loss_that_starts_high_and_falls_has_not_diverged() -> None:
    result = train(cells("dtg_ff", seeds="0", steps=5, t_min=1e-7, t_max=2e-7))[0][0]
    assert result["curves"]["train_loss"][0] > DIVERGED
    assert result["status"] == "done" or result["curves"]["train_loss"][-1] > result["curves"]["train_loss"][0]


def test_a_test_loss_that_is_not_finite_is_a_failed_cell() -> None:
    """Two training samples, separated at once, and weights so large that test logits overflow."""
    leg = {"source": "synthetic", "K": 2, "seeds": "0-9", "n_train": 2, "n_test": 500, "lr": 3e5, "steps": 20}
    results, _ = train(Sweep.of({**leg, "learners": "bp_deepsup"}).cells())
    assert {r["status"] for r in results} <= {"done", "failed"}
    for r in results:
        lengths = {len(values) for values in r["curves"].values()}
        assert len(lengths) == 1, "whole checkpoints only"
        assert np.isfinite([r["curves"]["train_loss"], r["curves"]["test_loss"]]).all()


def test_one_network_that_diverges_leaves_the_others_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    from kaxis.nets import mlp

    together = cells("dtg_ff")
    healthy, _ = train(together)
    draws = mlp.network

    def poisoned(seed: int, *args: Any) -> Any:
        out = draws(seed, *args)
        if seed == 2:
            out["W1"][0, 0] = np.nan
        return out

    monkeypatch.setattr(mlp, "network", poisoned)
    results, _ = train(together)
    assert [r["status"] for r in results] == ["done", "done", "failed", "done", "done"]
    assert [r for i, r in enumerate(results) if i != 2] == [r for i, r in enumerate(healthy) if i != 2]


def test_training_learns() -> None:
    """Better than naming the majority class, for every learner, on easy images."""
    for learner in ALL:
        result = train(
            Sweep.of({"source": "digits", "K": 10, "seeds": "0", "learners": learner, "steps": 300}).cells()
        )[0][0]
        assert result["metrics"]["test_accuracy"] > 0.85
        assert result["curves"]["train_loss"][0] > result["curves"]["train_loss"][-1]
        assert 0.05 < result["data"]["chance"] < 0.15 < DIVERGED


def test_temperatures_move_and_stay_in_range() -> None:
    result = train(cells("dtg_ff", seeds="0", steps=200, t_min=0.5, t_max=1.5))[0][0]
    temperatures = np.array(result["metrics"]["temperature"])
    assert ((temperatures > 0.5) & (temperatures < 1.5)).all()
    assert not np.allclose(temperatures, 1.0, atol=1e-3)


@given(st.integers(1, 50), st.lists(st.integers(1, 40), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_order_shows_every_image_equally_often_however_it_is_cut(n: int, cuts: list[int]) -> None:
    a, b = Sampler(seed=3, member=1, n=n), Sampler(seed=3, member=1, n=n)
    pieces = np.concatenate([a.next(c) for c in cuts])
    assert (pieces == b.next(sum(cuts))).all()
    epochs = len(pieces) // n
    assert (np.bincount(pieces[: epochs * n], minlength=n) == epochs).all()


def test_feed_gives_each_network_its_own_task() -> None:
    source = cells("bp")[0].config["source"]
    tasks = {seed: load_task(source, 5, seed) for seed in (0, 1)}
    feed = Loader([(0, 0), (1, 0)], tasks, "cpu")
    rows, y = next(iter(feed.batches(1, 16)))
    x = feed.features[rows].view(2, 16, -1)
    for e, seed in enumerate((0, 1)):
        pick = Sampler(seed=seed, member=0, n=700).next(16)
        assert (x[e].numpy() == tasks[seed].features[tasks[seed].train_rows[pick]]).all()
        assert (y[e].numpy() == tasks[seed].y_train[pick]).all()


def test_checkpoints_start_and_end() -> None:
    assert evaluation_steps(1) == [0, 1]
    assert evaluation_steps(300) == [0, 100, 300]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("learner", ALL)
def test_cuda_agrees_with_cpu(learner: str) -> None:
    on_cpu, _ = train(cells(learner, seeds="0-1"))
    on_gpu, backend = train(cells(learner, seeds="0-1"), device="cuda")
    assert backend == "cuda"
    for a, b in zip(on_cpu, on_gpu, strict=True):
        np.testing.assert_allclose(a["curves"]["train_loss"], b["curves"]["train_loss"], rtol=1e-3)
        assert a["metrics"]["test_accuracy"] == pytest.approx(b["metrics"]["test_accuracy"], abs=2 / 300)
