"""``kaxis diagnose``: inside trained networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from kaxis.cli.common import (
    Csv,
    DataFolder,
    Draw,
    Json,
    StorePath,
    Where,
    conditions,
    existing_store,
    name_skipped,
    saved,
)
from kaxis.cli.report import Column, Report
from kaxis.io import file_name

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["diagnose"]


def diagnose(
    *,
    show: list[Literal["accuracy", "information", "temperatures"]] | None = None,
    store: StorePath = None,
    where: Where = None,
    data: DataFolder = None,
    prob: Annotated[float, Parameter(help="of the t intervals over seeds")] = 0.95,
    figure: Draw = None,
    json: Json = False,
    csv: Csv = None,
) -> int:
    """Layer by layer: accuracy, information about the label, temperatures; and how often layers disagree.

    Needs runs whose weights were kept (kaxis run ... --weights).

    Example: kaxis diagnose --where learner=dtg_ff --figure figures

    Parameters
    ----------
    show
        What to look at; all by default, temperatures where they are learned. Without information it is done in seconds.
    """
    target = existing_store(store)
    from kaxis.measure import diagnose as inside

    wanted = show or ["accuracy", "information"]
    estimators = inside.ESTIMATORS if "information" in wanted else ()
    results = inside.diagnose(
        target, where=conditions(where), data=data, temperatures="temperatures" in wanted, estimators=estimators
    )
    name_skipped(target)
    rows = [row for one in results for row in inside.diagnose_rows(one, prob)]
    attrs: dict[str, Any] = {
        "ci_kind": "t",
        "ci_prob": prob,
        "units": "accuracies are fractions, information is in bits",
    }
    remarks: list[str] = [_network(one, [r for r in rows if r["layer"] is None], one.attrs) for one in results]
    remarks += ["Layer 0 is the first."]
    remarks += [f"Left out: {what}." for what in results[0].attrs["left_out"]]
    if estimators:
        sizes = list(dict.fromkeys((one.attrs["K"], one.attrs["n_test"]) for one in results))
        attrs["known_cases"] = [{"K": K, "n": n, **inside.known_case(K, n, 0.25)} for K, n in sizes]
        remarks += [INFORMATION, *map(_check, attrs["known_cases"])]
    title = f"Each layer on test samples: mean over seeds (half its {100 * prob:.10g} % t interval)"
    Report("diagnose", title, attrs, rows, _columns(rows), remarks, _by_layer(rows)).show(as_json=json, csv_file=csv)
    if figure is not None:
        from kaxis import plots

        for one in results:
            name = f"diagnose_{file_name(one.attrs['source'])}_K{one.attrs['K']}_{file_name(one.attrs['learner'])}"
            saved(plots.diagnose(one), figure, name, on_stderr=json)
    return 0


INFORMATION = (
    "Bits: ksg and histograms (by bins) of the scalar goodness mean(a^2); probes: Fano's lower bound from a "
    "linear probe of what the head reads, "
    "and of the average-pooled activation. Histograms grow with their bins; a bound may lie far below, and is "
    "itself an estimate: by chance above 0 in small sets."
)

HEADINGS = {
    "accuracy": "accuracy %",
    "temperature": "T",
    "ksg": "ksg",
    "probe_goodness": "goodness probe",
    "probe_gap": "pooled probe",
}


def _by_layer(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The table's rows: a layer's quantities side by side, as text."""
    shown: dict[tuple[Any, ...], dict[str, Any]] = {}
    for r in rows:
        if r["layer"] is not None:
            place = {k: r[k] for k in ("source", "K", "learner", "layer", "n_seeds")}
            scale, form = (100, ".2f") if r["quantity"] == "accuracy" else (1, ".3f")
            half = (r["ci_upper"] - r["ci_lower"]) / 2 * scale
            text = f"{r['mean'] * scale:{form}}" + (f" ({half:{form}})" if half == half else "")
            shown.setdefault(tuple(place.values()), place)[r["quantity"]] = text
    return list(shown.values())


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    def column(key: str) -> Column:
        return HEADINGS.get(key, key.replace("histogram_", "hist ")), lambda r: r.get(key, "-")

    quantities = dict.fromkeys(r["quantity"] for r in rows if r["layer"] is not None)
    columns = [column(key) for key in ("source", "K", "learner", "layer")]
    return [*columns, *(column(q) for q in quantities), ("n", lambda r: r["n_seeds"])]


def _network(one: xr.Dataset, rows: Sequence[Mapping[str, Any]], place: Mapping[str, Any]) -> str:
    own = {r["quantity"]: r for r in rows if all(r[k] == place[k] for k in ("source", "K", "learner"))}

    def text(key: str) -> str:
        r = own[key]
        inside = "" if r["n_seeds"] < 2 else f" [{100 * r['ci_lower']:.2f}, {100 * r['ci_upper']:.2f}]"
        return f"{100 * r['mean']:.2f} %{inside}"

    start = f"{place['source']} K={place['K']} {place['learner']}, {int(one.attrs['n_test'])} test samples"
    if "disagreement" not in own:
        return f"{start}: accuracy {text('accuracy')}; no two heads to compare."
    return (
        f"{start}: accuracy of all layers together {text('accuracy')}; some layer right (oracle) {text('oracle')}; "
        f"two layers differ on {text('disagreement')}."
    )


def _check(case: Mapping[str, float]) -> str:
    said = ", ".join(
        f"{k.replace('histogram_', 'hist ')} {v:.3f}" for k, v in case.items() if k not in ("exact", "K", "n")
    )
    return (
        f"Known case, {case['n']} samples of a Gaussian mixture of {case['K']} classes that carries "
        f"{case['exact']:.3f} bits: {said}."
    )
