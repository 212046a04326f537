"""``kaxis audit``: what a step costs, and which loss reaches which layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from kaxis.cli.common import Json
from kaxis.cli.report import Column, Report, number
from kaxis.errors import KaxisError

__all__ = ["app"]

app = App(
    name="audit",
    help="What a training step costs in memory, arithmetic and time (kaxis audit), and which loss reaches which layer (kaxis audit locality).\n\n"
    "Example: kaxis audit --net vgg11 --size 224 --batch 128 --budget 8GB",
)
MiB = 2**20
NETS = Literal["mlp", "vgg8", "vgg11", "vgg13"]
Classes = Annotated[list[int] | None, Parameter(name="--K", help="classes; several for the cost along K [10]")]
Csv = Annotated[Path | None, Parameter(name="--csv", help="write the rows here too")]
Draw = Annotated[Path | None, Parameter(name="--figure", help="folder to draw the figure into")]


@app.default
def audit(
    study: Path | None = None,
    /,
    *,
    net: NETS = "vgg8",
    size: int | None = None,
    batch: int | None = None,
    parts: int | None = None,
    K: Classes = None,
    learners: list[str] | None = None,
    rules: list[str] | None = None,
    width: float | None = None,
    depth: int | None = None,
    precision: Literal["float32", "bfloat16"] | None = None,
    budget: str | None = None,
    steps: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    figure: Draw = None,
    json: Json = False,
    csv: Csv = None,
) -> int:
    """Memory, arithmetic and time of a training step for each learner and way of working its step.

    Memory is predicted from shapes alone, so any size can be asked for on any machine; on a GPU it is measured beside that.

    Example: kaxis audit --net vgg11 --size 224 --batch 128 --budget 8GB

    Example: kaxis audit --net mlp --K 10 50 200 --steps 20

    Parameters
    ----------
    study
        A file (*.toml) of these options under [[audit]] tables; what stands above them holds for all.
    size
        Side of the images in pixels [32]; for the mlp, its inputs [256].
    batch
        Images a step [vgg 128, from 64 px on 64; mlp 256].
    parts
        Into which gradient accumulation divides a batch [4].
    learners
        Each in every way its step can be worked; by default the published comparison.
    rules
        Python files that define learners (docs/add_a_learner.md).
    width
        As for run: channels' factor, or units of the mlp.
    depth
        Hidden layers of the mlp.
    precision
        Of a conv net's layers.
    budget
        Memory, e.g. 8GB: look for the largest batch within it.
    steps
        Steps to time, there and back; 0 for none [GPU 20; CPU 0].
    device
        Where steps are timed; auto takes a GPU if there is one.
    """
    from kaxis.workers import provenance

    typed = {
        "net": net, "size": size, "batch": batch, "parts": parts, "K": K, "learners": learners, "rules": rules, "width": width, "depth": depth,
        "precision": precision, "budget": budget, "steps": steps,
    }  # fmt: skip
    from kaxis.execute import device_of

    where = device_of(device)
    asked = [{k: v for k, v in typed.items() if v is not None}]
    if study is not None:
        if len(asked[0]) > 1 or net != "vgg8":
            raise KaxisError(f"{study}: a file of audits stands alone; put options into it")
        asked = _tables(study, typed)
    from kaxis.measure.audit import audit as run

    rows = [row for one in asked for row in run(device=where, **_options(one, where))]
    title = "A training step" + ("" if study is None else f" ({study.name})")
    attrs = {"memory": "predicted", **provenance(where)}
    report = Report("audit", title, attrs, rows, _columns(rows), _remarks(rows, where))
    report.show(as_json=json, csv_file=csv)
    if figure is not None:
        from kaxis import plots

        _say(plots.save(*plots.audit(rows), figure, "audit"), json)
    return 0


@app.command
def locality(
    *,
    net: NETS = "mlp",
    learner: str = "dtg_ff",
    size: int | None = None,
    batch: int = 16,
    K: Annotated[int, Parameter(name="--K", help="classes")] = 10,
    width: float | None = None,
    depth: int | None = None,
    rules: list[str] | None = None,
    figure: Draw = None,
    json: Json = False,
    csv: Csv = None,
) -> int:
    """Which layer's loss reaches which layer's parameters: norms of gradients, from the trainer's own step on random images.

    Example: kaxis audit locality --net vgg8 --width 0.25 --learner bp_deepsup

    Example: kaxis audit locality --learner ff_hybrid

    Parameters
    ----------
    learner
        By name, with switches in brackets.
    size
        Side of the images in pixels [32]; for the mlp, its inputs [256].
    batch
        Images.
    width
        As for run.
    depth
        Hidden layers of the mlp.
    rules
        Python files that define learners.
    """
    from kaxis.measure.locality import locality as run
    from kaxis.measure.subject import subjects

    shape: dict[str, Any] = {k: v for k, v in {"size": size, "width": width, "depth": depth}.items() if v is not None}
    *_, subject = subjects(net=net, K=K, learners=[learner], rules=rules or (), batch_size=batch, **shape)
    matrix = run(subject)
    rows: list[dict[str, Any]] = [
        {"loss": str(one), **{str(layer): float(matrix.sel(loss=one, layer=layer)) for layer in matrix.layer.values}}
        for one in matrix.loss.values
    ]
    layers = [str(layer) for layer in matrix.layer.values]

    def column(layer: str) -> Column:
        return (f"layer {layer}" if layer.isdigit() else layer), lambda r: "0" if r[layer] == 0 else f"{r[layer]:.3g}"

    columns: list[Column] = [("loss of", lambda r: r["loss"]), *(column(layer) for layer in layers)]
    title = f"{matrix.attrs['learner']} on {net}: norm of each loss's gradient in each layer's parameters"
    remark = f"As measured: {matrix.attrs['pattern']}. 0 is exact."
    Report("locality", title, dict(matrix.attrs), rows, columns, [remark]).show(as_json=json, csv_file=csv)
    if figure is not None:
        from kaxis import plots

        _say(plots.save(*plots.locality(matrix), figure, "locality"), json)
    return 0


def _tables(file: Path, known: Mapping[str, Any]) -> list[dict[str, Any]]:
    import tomllib

    from kaxis.errors import hint

    try:
        content = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise KaxisError(f"{file}: {getattr(error, 'strerror', None) or error}") from None
    tables = content.pop("audit", [{}])
    out = [{**content, **table} for table in tables]
    for key in {key for one in out for key in one}:
        if key not in known:
            raise KaxisError(f"{file}: option '{key}' is not {hint(key, known)}")
    return out


def _options(one: Mapping[str, Any], device: str) -> dict[str, Any]:
    """Options as `kaxis.audit` takes them."""
    out = dict(one)
    if "batch" in out:
        out["batch_size"] = out.pop("batch")
    K = out.pop("K", [10])
    out["K"] = K if isinstance(K, list) else [K]
    out.setdefault("steps", 20 if device == "cuda" else 0)
    return out


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    def has(key: str) -> bool:
        return any(key in row for row in rows)

    def mib(heading: str, key: str) -> Column:
        return heading, lambda r: f"{r[key] / MiB:,.1f}"

    def gflop(value: float) -> str:
        return f"{value / 1e9:.3g}" if value < 1e9 else f"{value / 1e9:.2f}"

    columns: list[Column] = [
        ("configuration", lambda r: r["configuration"]),
        ("K", lambda r: r["K"]),
        mib("param", "parameters"),
        mib("grad", "gradients"),
        mib("optim", "optimizer"),
        mib("activ", "activations"),
        mib("temp", "temporaries"),
        ("peak MiB", lambda r: f"{r['peak'] / MiB:,.1f}"),
        ("GFLOP train", lambda r: gflop(r["flops_step"])),
        ("predict", lambda r: gflop(r["flops_predict"])),
    ]
    if len({(r["net"], r["size"], r["batch"]) for r in rows}) > 1:
        columns.insert(0, ("net", lambda r: f"{r['net']}, {r['size']}, batch {r['batch']}"))
    if has("allocated"):
        columns += [
            ("measured MiB", lambda r: "-" if not r["allocated"] else f"{r['allocated'] / MiB:,.1f}"),
            ("reserved", lambda r: "-" if not r["reserved"] else f"{r['reserved'] / MiB:,.1f}"),
            ("/ predicted", lambda r: number(r["measured_over_predicted"], ".2f")),
        ]
    if has("step_ms"):
        columns += [
            (
                "ms/step",
                lambda r: r["failed"] or f"{r['step_ms']:.3g} ({r['step_ms_low']:.3g}-{r['step_ms_high']:.3g})",
            ),
            ("img/s", lambda r: number(r["images_per_second"], ",.0f")),
            ("floor", lambda r: number(100 * r["floor_share"], ".0f") + " %"),
            ("us/predict", lambda r: number(r["predict_us"], ".3g")),
        ]
    if has("largest_batch"):
        columns.append(("largest batch", lambda r: r["largest_batch"] or "none"))
        if has("step_ms"):
            columns.append(("img/s there", lambda r: number(r["images_per_second_there"], ",.0f")))
    return columns


def _remarks(rows: Sequence[Mapping[str, Any]], device: str) -> list[str]:
    first = rows[0]
    sizes = "" if len({(r["net"], r["size"], r["batch"]) for r in rows}) > 1 else (
        f"{first['net']}, {first['size']} {'px' if first['net'] != 'mlp' else 'inputs'}, batch {first['batch']}. "
    )  # fmt: skip
    out = [
        f"{sizes}Memory in MiB is predicted: tensors alive at the peak of a step, by what they are for; a kernel's own workspace is not in it "
        "(docs/audit.md). GFLOP an image, trained on and predicted."
    ]
    if any("step_ms" in r for r in rows):
        rate = "one core" if device == "cpu" else "the GPU"
        out.append(
            f"Times: median and quartiles of steps there and back, on {rate}; floor: its rate in large products."
        )
    if len({r["K"] for r in rows}) > 1:
        out += _along_k(rows)
    return out


def _along_k(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """How the arithmetic and memory of a prediction grow from the fewest classes to the most."""
    low, high = min(r["K"] for r in rows), max(r["K"] for r in rows)
    at = {(r["configuration"], r["K"]): r for r in rows}
    said = []
    for name in dict.fromkeys(r["configuration"] for r in rows):
        few, many = at.get((name, low)), at.get((name, high))
        if few and many and few["flops_predict"]:
            said.append(
                f"{name} {many['flops_predict'] / few['flops_predict']:.2f} x ({many['predict_bytes'] / few['predict_bytes']:.2f} x)"
            )
    return [f"Arithmetic (memory) of a prediction at K = {high} over K = {low}: {'; '.join(said)}."]


def _say(files: Sequence[Path], quiet: bool) -> None:
    import sys

    for file in files:
        print(file, file=sys.stderr if quiet else sys.stdout)
