"""The systems audit: memory, arithmetic, budgets, timing; and which loss reaches which layer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributed._tools.mem_tracker import MemTracker
from torch.profiler import ProfilerActivity, profile

from kaxis import plots
from kaxis.errors import KaxisError
from kaxis.measure.audit import audit, largest_batch
from kaxis.measure.cost import predict
from kaxis.measure.ledger import KINDS, Ledger
from kaxis.measure.locality import locality
from kaxis.measure.subject import PUBLISHED, Subject, bytes_of, subjects
from kaxis.nets.plan import conv_counts, counts

Run = Callable[..., tuple[int, str, str]]


def published(**options: Any) -> dict[str, Subject]:
    return {s.name: s for s in subjects(net="vgg8", **options)}


# ---- memory --------------------------------------------------------------------------------------------------------


def allocator_peak(subject: Subject, trace: Path) -> int:
    """Peak bytes of a real step by the CPU allocator's own account, on top of weights, optimizer state and images."""
    stack = subject.stack("cpu", noise=False)
    batches = stack.batches(0)
    stack.step(next(batches))
    state = [v for own in stack.optimizers for o in own for s in o.state.values() for v in s.values()]
    batch = next(batches)
    kept = sum(t.numel() * t.element_size() for t in [*stack.tensors(0).values(), *state, *batch[1]])
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        stack.step(batch)
    seen.export_chrome_trace(str(trace))
    events = [e for e in json.loads(trace.read_text())["traceEvents"] if e["name"] == "[memory]"]
    changes = [e["args"]["Bytes"] for e in sorted(events, key=lambda e: e["ts"])]
    return kept + int(np.cumsum(changes).max())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("width", [0.0625, pytest.param(1.0, marks=pytest.mark.slow)])
def test_predicted_peaks_are_those_of_a_real_run(width: float, tmp_path: Path) -> None:
    few = ("bp", "bp, checkpointed", "bp_deepsup", "dtg_ff, interleaved")
    chosen = published(width=width, batch_size=128 if width == 1 else 32)
    for name, subject in chosen.items() if width == 1 else ((n, chosen[n]) for n in few):
        real = allocator_peak(subject, tmp_path / "trace.json")
        assert predict(subject).peak == pytest.approx(real, rel=0.001 if width < 1 else 0.1), name


@pytest.mark.parametrize("name", ["bp", "bp, checkpointed"])  # it chokes on heads
def test_the_ledger_agrees_with_torchs_own_tracker(name: str) -> None:
    subject = published(width=0.0625, batch_size=16)[name]
    stack = subject.stack("cpu")
    batches = stack.batches(0)
    stack.step(next(batches))
    tracker = MemTracker()
    tracker.track_external(stack.nets[0], *stack.optimizers[0])
    with tracker:
        stack.step(next(batches))
    (snapshot,) = tracker.get_tracker_snapshot("peak").values()
    assert predict(subject, real=True).peak == pytest.approx(snapshot["Total"], rel=0.005)


def test_shapes_alone_say_what_a_real_run_says() -> None:
    for subject in published(width=0.0625, batch_size=16).values():
        assert predict(subject) == predict(subject, real=True)


def test_the_order_of_the_configurations_is_as_arithmetic_says() -> None:
    peak = {name: predict(s).peak for name, s in published(batch_size=128).items()}
    assert peak["bp, 4 parts"] < peak["bp, checkpointed"] < peak["bp"] < peak["bp_deepsup"]
    assert peak["dtg_ff, interleaved"] < peak["dtg_ff, summed"]
    assert peak["bp"] < peak["dtg_ff, summed"]  # detaching alone saves nothing


def test_parts_of_the_peak_add_up_and_are_what_they_are_called() -> None:
    cost = predict(published(width=0.25, batch_size=32)["bp, 4 parts"])
    assert set(cost.split) == set(KINDS)
    assert cost.peak == sum(cost.split.values())
    weights = cost.split["parameters"]
    assert cost.split["optimizer"] == pytest.approx(2 * weights, rel=0.01)  # AdamW's two moments
    assert cost.split["gradients"] == weights  # kept from part to part


def test_activations_grow_with_the_batch_and_parameters_do_not() -> None:
    small, large = (predict(published(width=0.125, batch_size=b)["bp"]).split for b in (16, 64))
    assert small["parameters"] == large["parameters"]
    assert large["activations"] == pytest.approx(4 * small["activations"], rel=0.01)


def test_a_ledger_knows_what_is_freed_and_what_was_kept_for_the_backward_pass() -> None:
    w = torch.ones(10, 1000, requires_grad=True)
    with Ledger() as ledger:
        ledger.mark("parameters", [w])
        h = w * 2  # the product keeps h
        (h * h).sum().backward()
        assert ledger.split()["parameters"] == 40_000
        assert ledger.split()["activations"] >= 40_000
        del h
        w.grad = None
        assert ledger.alive == 40_000


@settings(max_examples=3, deadline=None)
@given(budget=st.integers(2, 80), name=st.sampled_from(["bp", "bp, 4 parts", "dtg_ff, summed", "dtg_ff, interleaved"]))
def test_the_largest_batch_fits_and_the_next_does_not(budget: int, name: str) -> None:
    subject = published(width=0.0625, batch_size=16)[name]
    found = largest_batch(subject, budget * 2**20)
    assert found % subject.unit == 0
    if found:
        assert predict(subject.at_batch(found)).peak <= budget * 2**20
    assert predict(subject.at_batch(found + subject.unit)).peak > budget * 2**20


def test_sizes_as_typed() -> None:
    assert [bytes_of(t) for t in ("8GB", "8 gib", "1.5MB")] == [8 * 10**9, 8 * 2**30, 1_500_000]
    for text in ("8", "GB", "eight GB", "8XB", "-1GB"):
        with pytest.raises(KaxisError, match="is not a size such as"):
            bytes_of(text)


# ---- arithmetic ----------------------------------------------------------------------------------------------------

VGG8 = [(3, 128, 32), (128, 256, 32), (256, 256, 16), (256, 512, 16), (512, 512, 8), (512, 512, 4), (512, 512, 2)]
VGG11 = [
    (3, 64, 224),
    (64, 128, 112),
    (128, 256, 56),
    (256, 256, 56),
    (256, 512, 28),
    (512, 512, 28),
    (512, 512, 14),
    (512, 512, 14),
]


def macs(layers: list[tuple[int, int, int]]) -> int:
    return sum(9 * a * b * side * side for a, b, side in layers)


def test_flops_agree_with_hand_counts() -> None:
    head = 512 * 10  # the last layer's
    for net, size, layers in (("vgg8", 32, VGG8), ("vgg11", 224, VGG11)):
        (bp, *_) = subjects(net=net, size=size, learners=["bp"], batch_size=4)
        forward = macs(layers)
        first = 9 * layers[0][0] * layers[0][1] * layers[0][2] ** 2  # nothing goes back to the images
        cost = predict(bp)
        assert cost.flops_predict == 2 * (forward + head)
        assert cost.flops_step == 2 * (3 * forward - first + 3 * head)
    assert macs(VGG8) // 10**6 == 956  # 957 with what is rounded: 956.8


@pytest.mark.parametrize("learner", ["bp", "bp_deepsup", "dtg_ff", "dtg_ff[readout=learned]", "bp_concat"])
def test_flops_agree_with_the_closed_formula(learner: str) -> None:
    *_, subject = subjects(net="vgg8", width=0.25, learners=[learner], batch_size=8)
    config = subject.cell.config
    one = conv_counts(K=10, size=32, batch=1, net=config["net"], learner=config["learner"])
    plain = Subject("", subject.cell, 32)
    if learner.startswith("bp"):
        (plain, *_) = subjects(net="vgg8", width=0.25, learners=[learner], batch_size=8)
    cost = predict(plain)
    assert (cost.flops_step, cost.flops_predict) == (one["flops_step"], one["flops_predict"])


@pytest.mark.parametrize("learner", ["bp", "bp_ensemble", "bp_deepsup", "dtg_ff", "dtg_ff[readout=learned]"])
def test_an_mlps_flops_agree_with_the_closed_formula(learner: str) -> None:
    (subject,) = subjects(net="mlp", size=20, learners=[learner], batch_size=16)
    size = {"K": 10, "inputs": 20, "width": 128, "depth": 4}
    one = counts(**size, batch=1, learner=subject.cell.config["learner"])
    cost = predict(subject)
    assert (cost.flops_step, cost.flops_predict) == (one["flops_step"], one["flops_predict"])


def test_doing_things_twice_is_counted_twice() -> None:
    flops = {name: predict(s).flops_step for name, s in published(width=0.125, batch_size=4).items()}
    assert flops["bp, 4 parts"] == flops["bp"]
    assert flops["bp, checkpointed"] == pytest.approx(flops["bp"] * 4 / 3, rel=0.01)
    assert flops["dtg_ff, naive"] == pytest.approx(flops["dtg_ff, interleaved"] * 3 / 2, rel=0.01)


def test_label_scans_grow_with_the_classes_and_heads_hardly_do() -> None:
    rows = audit(net="mlp", K=[10, 200], learners=["dtg_ff", "ff", "ff_hybrid"])
    for key in ("flops_predict", "predict_bytes"):
        few, many = ({r["learner"]: r[key] for r in rows if r["K"] == K} for K in (10, 200))
        growth = {name: many[name] / few[name] for name in few}
        assert growth["ff"] > 15
        assert growth["dtg_ff"] < 3
        assert growth["ff_hybrid"] < 3


# ---- the table -----------------------------------------------------------------------------------------------------


def test_rows_say_what_was_timed() -> None:
    rows = audit(net="vgg8", width=0.03, batch_size=8, steps=1, learners=["bp"])
    assert [r["configuration"] for r in rows] == ["bp", "bp, 4 parts", "bp, checkpointed"]
    assert len(subjects(net="vgg8")) == len(PUBLISHED)
    for r in rows:
        assert r["step_ms_low"] <= r["step_ms"] <= r["step_ms_high"]
        assert r["images_per_second"] == pytest.approx(8e3 / r["step_ms"])
        assert r["floor_share"] > 0
        assert r["predict_us"] > 0
        assert not r["failed"]
    assert "step_ms" not in audit(net="vgg8", width=0.03, batch_size=8, learners=["bp"])[0]


def test_audit_on_the_command_line(cli: Run, tmp_path: Path) -> None:
    code, out, err = cli(
        "audit",
        "--net",
        "vgg11",
        "--size",
        "64",
        "--batch",
        "32",
        "--width",
        "0.125",
        "--budget",
        "1GB",
        "--learners",
        "dtg_ff",
    )
    assert (code, err) == (0, "")
    assert "interleaved" in out
    assert "largest batch" in out
    assert "predicted" in out
    code, out, _ = cli("audit", "--net", "mlp", "--K", "10", "50", "--learners", "dtg_ff", "ff", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["analysis"] == "audit"
    assert found["attrs"]["memory"] == "predicted"
    assert {(r["learner"], r["K"]) for r in found["rows"]} == {(a, k) for a in ("dtg_ff", "ff") for k in (10, 50)}
    file = tmp_path / "a.toml"
    file.write_text('net = "mlp"\n[[audit]]\nK = 5\n[[audit]]\nlearners = ["bp"]\nbatch = 32\n')
    code, out, _ = cli("audit", str(file), "--csv", str(tmp_path / "a.csv"), "--figure", str(tmp_path))
    assert code == 0
    assert "batch 32" in out
    assert (tmp_path / "a.csv").exists()
    assert (tmp_path / "audit.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--budget", "10MB"], "parameters of bp alone take 34.9 MiB"),
        (["--budget", "lots"], "budget 'lots' is not a size"),
        (["--size", "30"], "multiple of 16"),
        (["--learners", "dtg_fff"], "dtg_ff"),
        (["--batch", "0"], "batch_size = 0"),
        (["--batch", "30"], "does not divide"),
        (["--K", "1"], "K = 1: 2 or more"),
        (["--steps", "-1"], "steps = -1: 0 or more"),
        (["none.toml"], "none.toml"),
        (["--net", "mlp", "--learners", "ff", "--size", "8"], "more than K"),
        (["locality", "--learner", "dtg"], "dtg_ff"),
        (["locality", "--net", "vgg8", "--learner", "ff"], "rules train the mlp"),
    ],
)
def test_bad_input_is_one_line(cli: Run, arguments: list[str], words: str) -> None:
    code, out, err = cli("audit", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_an_unknown_option_in_a_file_is_named(cli: Run, tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('nett = "mlp"\n')
    code, _, err = cli("audit", str(file))
    assert code == 2
    assert "'nett' is not" in err
    assert "net" in err


# ---- locality ------------------------------------------------------------------------------------------------------


def reached(net: str, learner: str, **options: Any) -> tuple[np.ndarray[Any, Any], str]:
    shape = {"width": 0.0625} if net != "mlp" else {}
    *_, subject = subjects(net=net, learners=[learner], batch_size=8, **{**shape, **options})
    matrix = locality(subject)
    return matrix.values, matrix.attrs["pattern"]


@pytest.mark.parametrize("net", ["mlp", "vgg8", "vgg11"])
@pytest.mark.parametrize(
    "learner", ["dtg_ff", "local_ce", "dtg_ff[readout=learned]", "dtg_ff[power=1,temperature=1,readout=learned]"]
)
def test_local_learners_are_diagonal(net: str, learner: str) -> None:
    values, words = reached(net, learner)
    assert ((values > 0) == np.eye(len(values), dtype=bool)).all()
    assert words == "each loss reaches its own layer alone"


@pytest.mark.parametrize("net", ["mlp", "vgg8"])
def test_deep_supervision_is_lower_triangular_and_backprop_one_full_row(net: str) -> None:
    values, words = reached(net, "bp_deepsup")
    assert ((values > 0) == np.tri(len(values), dtype=bool)).all()
    assert words == "each loss reaches its own layer and those below"
    values, words = reached(net, "bp")
    assert values.shape == (1, 4 if net == "mlp" else 7)
    assert (values > 0).all()
    assert words == "one loss reaches every layer"


@pytest.mark.parametrize("way", ["naive", "summed", "interleaved"])
def test_however_its_step_is_worked_dtg_ff_is_local(way: str) -> None:
    subject = next(s for s in subjects(net="vgg8", width=0.0625, learners=["dtg_ff"], batch_size=8) if way in s.name)
    assert locality(subject).attrs["pattern"] == "each loss reaches its own layer alone"


def test_the_hybrid_shows_its_global_path_and_the_concat_classifier_none() -> None:
    values, words = reached("mlp", "ff_hybrid")
    assert "classifier reaches 0, 1, 2, head" in words
    assert (values[-1, :3] > 0).all()
    assert values[-1, 3] == 0
    assert ((values[:4, :4] > 0) == np.eye(4, dtype=bool)).all()
    _, words = reached("vgg8", "dtg_ff[inference=concat]")
    assert words == "each loss reaches its own layer alone"
    _, words = reached("vgg8", "bp_concat")
    assert words == "one loss reaches every layer"


def test_a_users_rule_is_looked_into_by_its_losses() -> None:
    _, words = reached("mlp", "predsim", rules=["docs/predsim.py"])
    assert words == "each loss reaches its own layer alone"


def test_norms_are_those_of_plain_autograd() -> None:
    (subject,) = subjects(net="mlp", size=20, learners=["bp_deepsup"], batch_size=16, K=5)
    matrix = locality(subject)
    stack = subject.stack("cpu")
    p = {name: t.clone().requires_grad_() for name, t in stack.tensors(0).items()}
    rows, y = next(stack.batches(0))
    h = stack.feed.features[rows]
    for layer in range(4):
        h = torch.relu(h @ p[f"W{layer}"].T + p[f"b{layer}"][:, 0])
        logits = h @ p[f"R{layer}"].T + p[f"c{layer}"][:, 0]
        loss = torch.nn.functional.cross_entropy(logits, y[0])
        for below in range(4):
            own = [p[f"{kind}{below}"] for kind in "WbRc"]
            found = torch.autograd.grad(loss, own, retain_graph=True, allow_unused=True)
            norm = sum(float(g.square().sum()) for g in found if g is not None) ** 0.5
            assert float(matrix.sel(loss=str(layer), layer=str(below))) == pytest.approx(norm, rel=1e-4)


def test_locality_on_the_command_line(cli: Run, tmp_path: Path) -> None:
    code, out, _ = cli("audit", "locality", "--learner", "ff_hybrid", "--figure", str(tmp_path))
    assert code == 0
    assert "classifier reaches" in out
    assert (tmp_path / "locality.pdf").exists()
    code, out, _ = cli("audit", "locality", "--json")
    assert json.loads(out)["attrs"]["pattern"] == "each loss reaches its own layer alone"


def test_figures_show_every_configuration_and_every_block() -> None:
    rows = audit(net="vgg8", width=0.03, batch_size=8)
    figure, drawn = plots.audit(rows)
    bars = figure.axes[0]
    assert len(bars.patches) == len(KINDS) * len(rows)
    assert len(drawn) == len(rows)
    ends = [
        max(p.get_x() + p.get_width() for p in bars.patches if p.get_y() == y)
        for y in {p.get_y() for p in bars.patches}
    ]
    assert sorted(ends) == pytest.approx(sorted(r["peak"] / 2**20 for r in rows))
    (subject,) = subjects(net="mlp", learners=["bp_deepsup"], batch_size=8)
    figure, drawn = plots.locality(locality(subject))
    assert len(figure.axes[0].collections) == 16
    assert sum(r["norm"] > 0 for r in drawn) == 10
