"""Training conv nets: records that hang on nothing but the configuration, checkpoints, selection, refusals."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kaxis.errors import KaxisError
from kaxis.execute.grouping import stack_flops, stacks_of, steps_of
from kaxis.execute.runner import run
from kaxis.sources import own
from kaxis.sources.images import channel_statistics, load_images, square_pixels
from kaxis.spec.cell import Cell
from kaxis.spec.study import Study
from kaxis.spec.sweep import Sweep
from kaxis.store.cube import load_cube
from kaxis.store.records import Store
from kaxis.train.conv import ConvStack
from kaxis.train.loader import Sampler
from kaxis.train.loop import train
from kaxis.train.memory import activation_bytes, memory_advice
from tests.helpers import killed_twice, write_npz

SMALL: dict[str, Any] = {"net": "vgg8", "width": 0.03, "epochs": 2, "batch_size": 16, "lr": 0.01, "seeds": 0}


@pytest.fixture
def source(tmp_path: Path) -> str:
    return f"npz:{write_npz(tmp_path / 'x.npz')}"


def cells(source: str, learners: Sequence[str], **options: Any) -> list[Cell]:
    return Sweep.of({"source": source, "learners": learners, **SMALL, **options}).cells()


def results(of: list[Cell], **how: Any) -> list[dict[str, Any]]:
    return train(of, **how)[0]


def test_a_cell_does_not_hang_on_what_shares_its_stack(source: str) -> None:
    together = cells(source, ["dtg_ff[inference=concat]", "dtg_ff"])
    for cell, result in zip(together, results(together), strict=True):
        alone = results([cell])[0]
        for part in ("metrics", "curves"):
            assert json.dumps(alone[part]) == json.dumps(result[part]), cell
    members = cells(source, ["bp", "bp_ensemble"])
    assert [len(s) for s in stacks_of(members, 1024)] == [2]
    assert json.dumps(results([members[0]])[0]["metrics"]) == json.dumps(results(members)[0]["metrics"])


def test_thread_count_and_global_random_state_do_not_matter(source: str) -> None:
    (cell,) = cells(source, ["dtg_ff"])
    first = results([cell])[0]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if before > 1 else 2)
        torch.manual_seed(999)
        assert json.dumps(results([cell])[0]["metrics"]) == json.dumps(first["metrics"])
    finally:
        torch.set_num_threads(before)


def test_every_learner_trains_and_learns(source: str) -> None:
    learners = ["bp", "bp_ensemble", "bp_deepsup", "dtg_ff", "local_ce", "bp_concat", "dtg_ff[inference=concat]"]
    of = cells(source, learners, epochs=12, augment="none", readout_scale="rsqrt_width")
    for stack in stacks_of(of, 1):
        for cell, result in zip(stack, results(stack), strict=True):
            assert result["status"] == "done"
            assert result["metrics"]["train_accuracy"] > 0.6, cell  # colour tells the classes apart
            layers = {"bp": 1, "bp_ensemble": 1, "bp_concat": 0}.get(cell.learner, 7)
            assert len(result["metrics"]["layer_test_accuracy"]) == layers
            assert len(result["curves"]["layer_test_accuracy"]) == len(result["curves"]["step"]) == 13
            assert ("temperature" in result["metrics"]) == cell.learner.startswith("dtg_ff")


class Cut(Exception):
    pass


def test_seed_after_seed_so_that_a_run_which_is_cut_leaves_pairs(source: str) -> None:
    stacks = stacks_of(cells(source, ["bp", "dtg_ff"], seeds="3 1 2", K=[2, 3]), 1)
    assert [stack[0].seed for stack in stacks] == [3] * 4 + [1] * 4 + [2] * 4
    costs = [stack_flops(stack) for stack in stacks[:4]]
    assert costs == sorted(costs, reverse=True)


def cut_after(steps: int) -> Any:
    seen = 0

    def tick(network_steps: int, images: int, note: str, spared: int) -> None:
        nonlocal seen
        seen += 1
        if seen > steps:
            raise Cut

    return tick


@pytest.mark.parametrize("learner", ["dtg_ff", "bp_deepsup[goodness_norm=batchnorm]", "dtg_ff[inference=concat]"])
def test_a_run_cut_twice_in_mid_epoch_ends_as_if_it_had_not_been(learner: str, source: str, tmp_path: Path) -> None:
    of = cells(source, [learner], holdout=0.2, epochs=3)
    whole = results(of)[0]
    assert steps_of(of[0]) == 6
    kept = tmp_path / "kept"
    for steps in (1, 2):  # the second goes on from the first
        with pytest.raises(Cut):
            train(of, keep=kept, keep_every=0.0, tick=cut_after(steps))
    assert len(list(kept.glob("*.pt"))) == 1
    ticks = list[tuple[int, int, str, int]]()
    again = results(of, keep=kept, keep_every=0.0, tick=lambda *said: ticks.append(said))[0]
    assert ticks[0][0] == ticks[0][3] > 0
    assert sum(steps for steps, *_ in ticks) == 6
    assert not any(spared for *_, spared in ticks[1:])
    assert json.dumps({k: again[k] for k in ("metrics", "curves", "data")}) == json.dumps(
        {k: whole[k] for k in ("metrics", "curves", "data")}
    )


def test_a_checkpoint_goes_to_its_own_cells_in_whatever_order(source: str, tmp_path: Path) -> None:
    of = cells(source, ["dtg_ff", "dtg_ff[inference=concat]"])
    whole = {cell.id: result for cell, result in zip(of, results(of), strict=True)}
    with pytest.raises(Cut):
        train(of, keep=tmp_path / "kept", keep_every=0.0, tick=cut_after(3))
    other = of[::-1]
    for cell, result in zip(other, results(other, keep=tmp_path / "kept", keep_every=0.0), strict=True):
        assert json.dumps(result["curves"]) == json.dumps(whole[cell.id]["curves"])


@pytest.mark.parametrize("change", ["data", "version", "optimizer"])
def test_a_checkpoint_that_does_not_fit_is_passed_over_whole(change: str, source: str, tmp_path: Path) -> None:
    of, kept = cells(source, ["dtg_ff"]), tmp_path / "kept"
    with pytest.raises(Cut):
        train(of, keep=kept, keep_every=0.0, tick=cut_after(3), made_by={"torch": "1"})
    how: dict[str, Any] = {"keep": kept, "keep_every": 1e9, "made_by": {"torch": "1"}}
    if change == "data":
        write_npz(tmp_path / "x.npz", seed=1)
        load_images.cache_clear(), square_pixels.cache_clear(), channel_statistics.cache_clear()
    elif change == "version":
        how["made_by"] = {"torch": "2"}
    else:
        (file,) = kept.glob("*.pt")
        state = torch.load(file, weights_only=True)
        state["stack"]["optimizers"][0][3]["param_groups"] = []
        torch.save(state, file)
    assert json.dumps(results(of, **how)[0]["curves"]) == json.dumps(results(of)[0]["curves"])


def test_force_starts_anew(source: str, tmp_path: Path) -> None:
    study = Study.of("f", {"source": source, "learners": ["dtg_ff"], **SMALL})
    store = Store(tmp_path / "s")
    run(study, store, jobs=1)
    (cell,) = study.cells()
    first = store.read(cell)
    with pytest.raises(Cut):
        train([cell], keep=store.path / "checkpoints", keep_every=0.0, tick=cut_after(3))
    run(study, store, jobs=1, force=True)
    again = store.read(cell)
    assert first is not None
    assert again is not None
    assert again["curves"] == first["curves"]
    assert not list((store.path / "checkpoints").glob("*"))


def test_a_full_disk_costs_the_checkpoint_and_not_the_run(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.warns(UserWarning, match="no checkpoint could be written"):
        (result,) = results(cells(source, ["dtg_ff"]), keep=tmp_path / "kept", keep_every=0.0)
    assert result["status"] == "done"
    assert not list((tmp_path / "kept").glob("*"))


def test_a_study_of_a_folder_is_known_without_it(source: str, tmp_path: Path) -> None:
    study = Study.of("mine", {"source": source, **SMALL, "learners": ["dtg_ff", "bp"], "plan": {"baseline": "bp"}})
    store = Store(tmp_path / "s")
    store.prepare()
    store.note_study(study)
    (tmp_path / "x.npz").unlink()
    own._inspect.cache_clear()
    ((again, _),) = store.studies()
    assert [c.id for c in again.cells()] == [c.id for c in study.cells()]
    assert again.plan == study.plan
    assert not store.problems


def test_a_damaged_checkpoint_is_passed_over(source: str, tmp_path: Path) -> None:
    of = cells(source, ["dtg_ff"])
    with pytest.raises(Cut):
        train(of, keep=tmp_path / "kept", keep_every=0.0, tick=cut_after(2))
    (file,) = (tmp_path / "kept").glob("*.pt")
    file.write_bytes(file.read_bytes()[:-200])
    again = results(of, keep=tmp_path / "kept", keep_every=0.0)[0]
    assert json.dumps(again["metrics"]) == json.dumps(results(of)[0]["metrics"])


@pytest.mark.slow
def test_kill_9_twice_then_the_same_run(source: str, tmp_path: Path) -> None:
    """Through a real process: the cube equals an uninterrupted one, and no checkpoint is left."""
    study = Study.of("killed", {"source": source, "learners": ["dtg_ff", "bp_deepsup"], **SMALL, "epochs": 30})
    program = (
        "import json, sys; from kaxis import Store, Study, run\n"
        "run(Study.of('killed', json.loads(sys.argv[1])), Store(sys.argv[2]), jobs=1, keep_every=0.0)"
    )
    arguments = [sys.executable, "-c", program, json.dumps(study.as_dict()), str(tmp_path / "killed")]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    kept = tmp_path / "killed" / "checkpoints"
    killed_twice(arguments, kept, environment)
    subprocess.run(arguments, env=environment, check=True)
    run(study, Store(tmp_path / "whole"), jobs=1)
    one, other = (load_cube(Store(tmp_path / name)).drop_vars("finished") for name in ("killed", "whole"))
    assert one.identical(other) or one.equals(other)
    assert not list(kept.glob("*"))


def test_augmented_batches_are_the_same_for_every_learner(source: str) -> None:
    def digest(learner: str) -> str:
        (cell,) = cells(source, [learner])
        from kaxis.sources.load import load_task

        stack = ConvStack([cell], [(0, 0)], {0: load_task(cell.config["source"], cell.K, 0, pixels=True)}, "cpu")
        out = hashlib.sha256()
        for batch in stack.batches.draw(0):
            ((picks, _),) = batch[2]
            out.update(stack.batches.one(batch, 0)[0].contiguous().numpy().tobytes())
            out.update(picks.tobytes())
        return out.hexdigest()

    assert len({digest(row) for row in ("dtg_ff", "bp_deepsup", "bp", "local_ce", "bp_concat")}) == 1


def test_batches_from_a_later_step_on_are_those_of_the_whole(source: str) -> None:
    (cell,) = cells(source, ["bp"], epochs=4)
    from kaxis.sources.load import load_task

    stack = ConvStack([cell], [(0, 0)], {0: load_task(cell.config["source"], cell.K, 0, pixels=True)}, "cpu")
    whole, late = list(stack.batches.draw(0)), list(stack.batches.draw(3))
    for (a, images, details), (b, other_images, others) in zip(whole[3:], late, strict=True):
        assert a == b
        assert torch.equal(images[0], other_images[0])
        assert all(
            (x == y).all() for one, two in zip(details, others, strict=True) for x, y in zip(one, two, strict=True)
        )
    skipped, taken = Sampler(seed=0, member=0, n=7), Sampler(seed=0, member=0, n=7)
    skipped.skip(10)
    taken.next(10)
    assert (skipped.next(5) == taken.next(5)).all()


def test_the_best_epoch_is_chosen_on_held_out_images(source: str) -> None:
    of = cells(source, ["bp"], holdout=0.25, select="best", epochs=5)
    (result,) = results(of)
    held = result["curves"]["held_accuracy"]
    at = int(np.argmax(held))
    assert result["metrics"]["selected_step"] == result["curves"]["step"][at]
    assert result["metrics"]["test_accuracy"] == result["curves"]["test_accuracy"][at]
    assert None not in result["curves"]["train_accuracy"]
    last = results(cells(source, ["bp"], holdout=0.25, epochs=5))[0]
    assert last["metrics"]["test_accuracy"] == last["curves"]["test_accuracy"][-1]
    assert last["curves"]["train_accuracy"][0] is None


def test_training_images_are_looked_at_after_four_fifths_and_at_the_end(source: str) -> None:
    (result,) = results(cells(source, ["bp"], epochs=5))
    curves = result["curves"]
    seen = [
        step for step, accuracy in zip(curves["step"], curves["train_accuracy"], strict=True) if accuracy is not None
    ]
    assert seen == curves["step"][-2:]
    assert curves["step"][-2] == pytest.approx(0.8 * curves["step"][-1], abs=1)


def test_a_diverging_net_fails_with_its_reason(source: str) -> None:
    (result,) = results(cells(source, ["bp"], lr=1e6, clip=0))
    assert result["status"] == "failed"
    assert "diverged" in result["reason"]
    assert result["metrics"] == {}


@pytest.mark.parametrize("how", [{"accumulate": 4}, {"local_step": "summed"}])
def test_ways_of_working_a_batch_agree_to_rounding(how: dict[str, Any], source: str) -> None:
    plain = results(cells(source, ["dtg_ff"], dropout=0, epochs=1))[0]
    other = results(cells(source, ["dtg_ff"], dropout=0, epochs=1, **how))[0]
    assert other["metrics"]["test_loss"] == pytest.approx(plain["metrics"]["test_loss"], rel=1e-3)


def test_the_mlp_takes_epochs_too(source: str) -> None:
    study = Study.of(
        "e", {"source": source, "epochs": 3, "batch_size": 10, "learners": ["bp", "dtg_ff"], "seeds": "0-1", "width": 8}
    )
    assert [len(stack) for stack in stacks_of(study.cells(), 5)] == [1, 1, 1, 1]
    (result,) = results(study.cells()[:1])
    assert result["curves"]["step"][-1] == 11  # 36 images, 3 epochs, batches of 10
    assert result["data"]["epochs"] == pytest.approx(110 / 36)


def test_running_out_of_memory_says_what_would_fit(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(ConvStack, "step", full)
    with pytest.raises(
        KaxisError, match=r"out of memory on cpu with batch_size = 16, accumulate = 1.*accumulate = \d+"
    ) as e:
        train(cells(source, ["bp"]))
    assert "\n" not in str(e.value)


def test_other_faults_are_not_taken_for_a_lack_of_memory(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(*_: object) -> None:
        raise RuntimeError("unsupported memory format")

    monkeypatch.setattr(ConvStack, "step", odd)
    with pytest.raises(RuntimeError, match="memory format"):
        train(cells(source, ["bp"]))


def test_a_set_streamed_batch_by_batch_gives_the_same_record(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    of = cells(source, ["dtg_ff"])
    resident = results(of)[0]
    monkeypatch.setattr("kaxis.train.loader._too_large", lambda size, device: True)
    assert json.dumps(results(of)[0]["curves"]) == json.dumps(resident["curves"])


def test_predicted_memory_orders_the_ways_of_training() -> None:
    def each(learner: str, **options: Any) -> int:
        cell = Sweep.of({"source": "cifar10", "net": "vgg8", "learners": learner, **options}).cells()[0]
        return activation_bytes(cell, 32)

    assert each("dtg_ff") < each("bp", activation_checkpointing=True) < each("bp")
    assert each("dtg_ff", local_step="summed") == each("bp")
    mlp = Sweep.of({"source": "synthetic", "learners": "bp"}).cells()[0]
    assert "fewer jobs" in memory_advice(mlp, "cpu")


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@needs_gpu
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("learner", ["bp", "bp_deepsup", "bp_concat", "dtg_ff", "local_ce", "dtg_ff[inference=concat]"])
def test_cuda_agrees_with_cpu(learner: str, streamed: bool, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without dropout, whose masks are drawn on the device; to rounding, which a few steps amplify little."""
    of = cells(source, [learner], dropout=0, lr=1e-3)
    on_cpu = results(of)[0]
    if streamed:
        monkeypatch.setattr("kaxis.train.loader._too_large", lambda size, device: True)
    on_gpu = results(of, device="cuda")[0]
    losses = [[loss for loss in r["curves"]["test_loss"]] for r in (on_cpu, on_gpu)]
    np.testing.assert_allclose(*losses, rtol=5e-3)


@needs_gpu
@pytest.mark.parametrize("how", [{"precision": "bfloat16"}, {"accumulate": 4}, {"activation_checkpointing": True}])
def test_cuda_runs_every_way_and_goes_on_after_a_cut(how: dict[str, Any], source: str, tmp_path: Path) -> None:
    of, cut = cells(source, ["bp_deepsup"], **how), cut_after(1)
    with pytest.raises(Cut):
        train(of, keep=tmp_path / "kept", keep_every=0.0, after_step=lambda: cut(0, 0, "", 0), device="cuda")
    resumed = results(of, keep=tmp_path / "kept", keep_every=0.0, device="cuda")[0]
    assert resumed["status"] == "done"
    assert json.dumps(resumed["curves"]) == json.dumps(results(of, device="cuda")[0]["curves"])


def test_a_channel_of_one_shade_is_left_as_it_is(tmp_path: Path) -> None:
    """Divided by its spread, which is rounding, jitter would make inputs of a hundred millions of it."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (12, 16, 16, 3)).astype(np.uint8)
    pixels[..., 2] = 0
    file = write_npz(tmp_path / "flat.npz", n=4, train_images=pixels)
    mean, std = channel_statistics(f"npz:{file}", tmp_path, 16)
    assert (mean[2], std[2]) == (0.0, 1.0)
    assert std[:2] == pytest.approx((pixels[..., :2] / 255).std((0, 1, 2)))
