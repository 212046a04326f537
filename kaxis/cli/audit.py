"""``kaxis audit``: what a training step costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from kaxis.cli.common import Csv, Draw, Json, saved
from kaxis.cli.report import Column, Report, number
from kaxis.errors import KaxisError

if TYPE_CHECKING:
    from kaxis.measure.options import Asked

__all__ = ["Depth", "Rules", "Size", "Width", "app"]

app = App(
    name="audit",
    help="What a training step costs in memory, arithmetic and time (kaxis audit), "
    "and which loss reaches which layer (kaxis audit locality).\n\n"
    "Example: kaxis audit --net vgg11 --size 224 --batch 128 --budget 8GB",
)
MiB = 2**20
Row = Mapping[str, Any]
Size = Annotated[int | None, Parameter(help="side of the images in pixels [32]; for the mlp, its inputs [256]")]
Width = Annotated[float | None, Parameter(help="as for run: channels' factor, or units of the mlp")]
Depth = Annotated[int | None, Parameter(help="hidden layers of the mlp")]
Rules = Annotated[list[str] | None, Parameter(help="Python files that define learners (docs/add_a_learner.md)")]
Precision = Annotated[Literal["float32", "bfloat16"] | None, Parameter(help="of a conv net's layers")]


@app.default
def audit(
    study: Path | None = None,
    /,
    *,
    net: str | None = None,
    size: Size = None,
    batch: int | None = None,
    parts: int | None = None,
    K: Annotated[list[str] | None, Parameter(name="--K", help="classes; several for the cost along K [10]")] = None,
    learners: list[str] | None = None,
    rules: Rules = None,
    width: Width = None,
    depth: Depth = None,
    precision: Precision = None,
    budget: str | None = None,
    steps: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    figure: Draw = None,
    json: Json = False,
    csv: Csv = None,
) -> int:
    """Memory, arithmetic and time of a training step for each learner and way of working its step.

    Memory is predicted from shapes alone, so any size can be asked for anywhere; on a GPU it is measured too.

    Example: kaxis audit --net vgg11 --size 224 --batch 128 --budget 8GB

    Example: kaxis audit --net mlp --K 10 50 200 --steps 20

    Parameters
    ----------
    study
        A file (*.toml) of these options under [[audit]] tables; what stands above them holds for all.
    net
        mlp, vgg8, vgg11 or vgg13 [vgg8].
    batch
        Images a step [vgg 128, from 64 px on 64; mlp 256].
    parts
        Into which gradient accumulation divides a batch [4].
    learners
        Each in every way its step can be worked; by default the published comparison.
    budget
        Memory, e.g. 8GB: look for the largest batch within it.
    steps
        Steps to time, there and back; 0 for none [GPU 20; CPU 0].
    device
        Where steps are timed; auto takes a GPU if there is one.
    """
    from kaxis.measure.options import Asked, asked_by

    typed = {
        "net": net, "size": size, "batch": batch, "parts": parts, "K": K, "learners": learners, "rules": rules,
        "width": width, "depth": depth, "precision": precision, "budget": budget, "steps": steps,
    }  # fmt: skip
    given = {k: v for k, v in typed.items() if v is not None}
    if study is not None and given:
        raise KaxisError(f"{study}: a file of audits stands alone; put {next(iter(given))} into it")
    rows, report = _audited([Asked.of(given)] if study is None else asked_by(study), device, study)
    report.show(as_json=json, csv_file=csv)
    return _drawn(rows, figure, json)


def _drawn(rows: list[dict[str, Any]], folder: Path | None, json: bool) -> int:
    if folder is not None:
        from kaxis import plots

        saved(plots.audit(rows), folder, "audit", on_stderr=json)
    return 0


def _audited(asked: Sequence[Asked], device: str, study: Path | None) -> tuple[list[dict[str, Any]], Report]:
    from kaxis.execute.provenance import device_of, provenance
    from kaxis.measure.audit import audit as run

    where = device_of(device)
    rows = [row for one in asked for row in run(one, device=where)]
    title = "A training step" + ("" if study is None else f" ({study.name})")
    attrs = {"memory": "predicted", **provenance(where)}
    return rows, Report("audit", title, attrs, rows, _columns(rows), _remarks(rows, where))


def _columns(rows: Sequence[Row]) -> list[Column]:
    from kaxis.measure.options import shape_of

    def has(key: str) -> bool:
        return any(row[key] is not None and row[key] == row[key] for row in rows)  # not NaN

    def mib(heading: str, key: str) -> Column:
        return heading, lambda r: f"{r[key] / MiB:,.1f}" if r[key] else "0" if r[key] == 0 else "-"

    def gflop(value: float) -> str:
        return f"{value / 1e9:.3g}" if value < 1e9 else f"{value / 1e9:.2f}"

    def step(r: Row) -> str:
        if r["step_ms"] != r["step_ms"]:
            return r["failed"] or "-"
        return f"{r['step_ms']:.3g} ({r['step_ms_low']:.3g}-{r['step_ms_high']:.3g})"

    columns: list[Column] = [
        ("configuration", lambda r: r["configuration"]),
        ("K", lambda r: r["K"]),
        mib("param", "parameters"),
        mib("grad", "gradients"),
        mib("optim", "optimizer"),
        mib("activ", "activations"),
        mib("temp", "temporaries"),
        mib("peak MiB", "peak"),
        ("GFLOP train", lambda r: gflop(r["flops_step"])),
        ("predict", lambda r: gflop(r["flops_predict"])),
    ]
    if len({shape_of(r) for r in rows}) > 1:
        columns.insert(0, ("net", shape_of))
    if has("allocated"):
        columns += [mib("measured MiB", "allocated"), mib("reserved", "reserved")]
        columns.append(("/ predicted", lambda r: number(r["measured_over_predicted"], ".2f")))
    if has("rate"):
        columns += [
            ("ms/step", step),
            ("img/s", lambda r: number(r["images_per_second"], ",.0f")),
            ("floor", lambda r: number(100 * r["floor_share"], ".0f") + " %"),
            ("us/predict", lambda r: number(r["predict_us"], ".3g")),
        ]
    if has("largest_batch"):
        columns.append(("largest batch", lambda r: "-" if r["budget"] is None else r["largest_batch"] or "none"))
        if has("rate"):
            columns.append(("img/s there", lambda r: r["failed_there"] or number(r["images_per_second_there"], ",.0f")))
    return columns


def _remarks(rows: Sequence[Row], device: str) -> list[str]:
    from kaxis.measure.options import shape_of

    one = f"{shape_of(rows[0])}. " if len({shape_of(r) for r in rows}) == 1 else ""
    out = [
        f"{one}Memory in MiB is predicted: tensors alive at the peak of a step, by what they are for; a kernel's "
        "own workspace is not in it "
        "(docs/audit.md). GFLOP an image, trained on and predicted."
    ]
    if any(r["steps"] for r in rows):
        rate = next(r["rate"] for r in rows if r["steps"])
        where = "one core" if device == "cpu" else "the GPU"
        out.append(
            f"Times: median (quartiles) of steps there and back, on {where}; floor: the same arithmetic at its "
            f"{rate / 1e9:,.0f} GFLOP/s in large products."
        )
    if any(r["budget"] for r in rows):
        out.append("Largest batch: by the prediction; leave room for workspaces.")
    return out + [line for place in dict.fromkeys(map(shape_of, rows)) for line in _along_k(place, rows)]


def _along_k(place: str, rows: Sequence[Row]) -> list[str]:
    """How a prediction's arithmetic and memory grow from the fewest classes to the most, in one net."""
    from kaxis.measure.options import shape_of

    own = {(r["configuration"], r["K"]): r for r in rows if shape_of(r) == place}
    low, high = min(K for _, K in own), max(K for _, K in own)
    if low == high:
        return []
    said = []
    for name in dict.fromkeys(name for name, _ in own):
        few, many = own[name, low], own[name, high]
        growth = many["flops_predict"] / few["flops_predict"], many["predict_bytes"] / few["predict_bytes"]
        said.append(f"{name} {growth[0]:.2f} x ({growth[1]:.2f} x)")
    return [f"{place}: arithmetic (memory) of a prediction at K = {high} over K = {low}: {'; '.join(said)}."]
