"""``kaxis audit locality``: which loss reaches which layer."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from kaxis.cli.audit import Depth, Rules, Size, Width, app
from kaxis.cli.common import Csv, Draw, Json, saved
from kaxis.cli.report import Column, Report

__all__ = ["locality"]

TITLES = {
    "loss of": "norm of each loss's gradient in each layer's parameters",
    "change of": "how far each layer's step moves when one layer's numbers change by a tenth",
}
"""What is shown, by what its rows are (`kaxis.measure.locality`)."""


@app.command
def locality(
    *,
    net: str = "mlp",
    learner: str = "dtg_ff",
    size: Size = None,
    batch: int = 16,
    K: Annotated[int, Parameter(name="--K", help="classes")] = 10,
    width: Width = None,
    depth: Depth = None,
    rules: Rules = None,
    figure: Draw = None,
    json: Json = False,
    csv: Csv = None,
) -> int:
    """Which layer's loss reaches which layer's parameters: norms of gradients, from the trainer's own step on random
    images.

    Example: kaxis audit locality --net vgg8 --width 0.25 --learner bp_deepsup

    Example: kaxis audit locality --learner ff_hybrid

    Parameters
    ----------
    net
        mlp, vgg8, vgg11 or vgg13.
    learner
        By name, with switches in brackets.
    batch
        Images.
    """
    from kaxis.measure.locality import locality as run
    from kaxis.measure.subject import subject

    shape = {"size": size, "width": width, "depth": depth, "rules": rules}
    given = {k: v for k, v in shape.items() if v is not None}
    matrix = run(subject(net=net, K=K, learners=[learner], batch=batch, **given))
    rows: list[dict[str, Any]] = [
        {"loss": str(one), **{str(layer): float(matrix.sel(loss=one, layer=layer)) for layer in matrix.layer.values}}
        for one in matrix.loss.values
    ]

    def column(layer: str) -> Column:
        return (f"layer {layer}" if layer.isdigit() else layer), lambda r: "0" if r[layer] == 0 else f"{r[layer]:.3g}"

    kind = matrix.attrs["rows"]
    columns: list[Column] = [(kind, lambda r: r["loss"]), *(column(str(v)) for v in matrix.layer.values)]
    title = f"{matrix.attrs['learner']} on {net}: {TITLES[kind]}"
    remark = f"As measured on {batch} random images: {matrix.attrs['pattern']}. A 0 is exact; layer 0 is the first."
    Report("locality", title, dict(matrix.attrs), rows, columns, [remark]).show(as_json=json, csv_file=csv)
    if figure is not None:
        from kaxis import plots

        saved(plots.locality(matrix), figure, "locality", on_stderr=json)
    return 0
