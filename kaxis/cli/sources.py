"""``kaxis analyze conflict`` and ``differential``: effects of two sources set against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from kaxis.cli import effect_rows
from kaxis.cli.analyze import app
from kaxis.cli.common import PLAIN, Baseline, Interval, Learner, Output, Scale, Table, Whole
from kaxis.cli.report import Column, Report, number
from kaxis.cli.report import interval as bounds

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["conflict", "differential"]


@app.command
def conflict(
    table: Table = None,
    /,
    *,
    synthetic: str = "synthetic",
    real: str,
    baseline: Baseline = "bp_deepsup",
    learner: Learner = "dtg_ff",
    scale: Scale = "pp",
    drop_incomplete: Whole = False,
    out: Output = PLAIN,
) -> int:
    """Does the slope along K differ between a synthetic and a real source? One slope a seed, then Welch; paired where
    their seeds run against each other.

    Over the values of K that both have; their effects at each of these K are compared too, Holm-adjusted.

    Example: kaxis analyze conflict --synthetic synthetic --real cifar100/pca:32

    Parameters
    ----------
    synthetic
        A source, as `kaxis cube` names it.
    real
        Another.
    """
    from kaxis.stats.sources import conflict as compare
    from kaxis.stats.verdict import verdicts

    cube = out.cube(table)
    result = compare(
        cube,
        learner=learner,
        baseline=baseline,
        synthetic=synthetic,
        real=real,
        scale=scale,
        drop_incomplete=drop_incomplete,
    )
    words = verdicts(result)
    columns = [
        ("what", lambda r: r["what"]),
        ("source", lambda r: r["source"]),
        ("K", lambda r: "" if r["K"] is None else r["K"]),
        ("effect", lambda r: number(r["effect"])),
        ("95% interval", lambda r: bounds(r["ci_lower"], r["ci_upper"])),
        ("by", lambda r: r["ci_kind"]),
        ("p", lambda r: number(r["p"], ".3g")),
        ("Holm p", lambda r: "" if r["p_holm"] is None else number(r["p_holm"], ".3g")),
        ("n", lambda r: r["n_seeds"]),
    ]
    attrs = {k: v for k, v in result.attrs.items() if k != "notes"}
    title = f"{learner} - {baseline}: {real} against {synthetic}, {attrs['effect_units']}"
    attrs |= {"verdict": words[0], "reversal": bool(result.reversal)}
    remarks = [*_conflict_remarks(result, words), *_little(cube, scale, synthetic, real)]
    out.show(Report("conflict", title, attrs, _conflict_rows(result), columns, remarks))
    return 0


def _little(cube: xr.Dataset, scale: str, *sources: str) -> list[str]:
    return effect_rows.little_headroom(cube.sel(source=list(sources))) if scale == "normalised" else []


def _conflict_rows(result: xr.Dataset) -> list[dict[str, Any]]:
    synthetic, real = result.attrs["synthetic"], result.attrs["real"]
    names = {"learner": result.attrs["learner"], "baseline": result.attrs["baseline"]}
    rows: list[dict[str, Any]] = []
    for i, source in enumerate((synthetic, real)):
        ci, n = result.slope_ci.values[i], int(result.n_seeds[i])
        values = {"effect": float(result.slope[i]), "ci_lower": ci[0], "ci_upper": ci[1], "p": float(result.slope_p[i])}
        rows.append(
            {"what": "slope on ln K", "source": source, "K": None, **names, **values}
            | {"n_seeds": n, "p_holm": None, "ci_kind": "t"}
        )
    apart = {"effect": float(result.difference), "ci_lower": float(result.ci[0]), "ci_upper": float(result.ci[1])}
    both, n = f"{real} minus {synthetic}", int(result.n_seeds.sum())
    last = {"p": float(result.p), "p_holm": None, **_by(int(result.n_pairs), n)}
    rows.append({"what": "difference of slopes", "source": both, "K": None, **names, **apart, **last})
    for i, K in enumerate(result.K.values):
        ci = result.effect_ci.values[i]
        values = {"effect": float(result.effect_difference[i]), "ci_lower": ci[0], "ci_upper": ci[1]}
        p = {"p": float(result.effect_p[i]), "p_holm": float(result.effect_p_holm[i])}
        p |= _by(int(result.effect_n_pairs[i]), n)
        rows.append({"what": "difference of effects", "source": both, "K": int(K), **names, **values, **p})
    return rows


def _by(pairs: int, seeds: int) -> dict[str, Any]:
    return {"n_seeds": pairs or seeds, "ci_kind": "paired t" if pairs else "Welch t"}


UNPAIRED = (
    "Seeds that both have run against each other, where Welch's interval is too narrow; pairs need the same seeds in "
    "both: train those that one lacks."
)


def _conflict_remarks(result: xr.Dataset, words: list[str]) -> list[str]:
    from kaxis.spec.catalog import set_of
    from kaxis.stats.sources import AGAINST

    apart = set_of(result.attrs["synthetic"]) != set_of(result.attrs["real"])
    shared = "share initial weights and batch order at most, no data" if apart else "may share data"
    return [
        f"K in common: {', '.join(str(k) for k in result.K.values)}. Seeds of one number {shared}. "
        f"Their slopes correlate by {number(float(result.seed_correlation))}: the difference of slopes by Welch's "
        "t has "
        f"{bounds(*map(float, result.welch_ci))}, seeds of one number paired {bounds(*map(float, result.paired_ci))}.",
        f"By: Welch t; paired t from a correlation of {AGAINST:g} down, where Welch's covers too little. p: of t and "
        "paired t sign-flip, of Welch t its own.",
        *([UNPAIRED] if float(result.seed_correlation) <= AGAINST and not int(result.n_pairs) else []),
        *words,
        *(f"not used: {note}" for note in result.attrs["notes"][:12]),
    ]


@app.command
def differential(
    table: Table = None,
    /,
    *,
    of: str,
    against: str,
    K: Annotated[list[int] | None, Parameter(name="--K")] = None,
    slope: bool = False,
    baseline: Baseline = "bp_deepsup",
    learner: Learner = "dtg_ff",
    scale: Scale = "pp",
    interval: Interval = "t",
    out: Output = PLAIN,
) -> int:
    """The effect on one source minus that on another that shares its images, paired within the seed.

    For label views: coarse against fine moves K and meaning, merge:20 against fine K alone, coarse against merge:20
    meaning alone.

    Example: kaxis analyze differential --of cifar100/coarse --against cifar100/merge:20

    Parameters
    ----------
    of
        A source, as `kaxis cube` names it.
    against
        The source whose effect is taken from it.
    K
        Number of classes of either, where it has several: one for both, or two.
    slope
        Compare slopes on ln K instead, over the K that both have.
    """
    from kaxis.errors import KaxisError
    from kaxis.stats.sources import differential as compare
    from kaxis.stats.verdict import verdicts

    if K is not None and len(K) not in (1, 2):
        raise KaxisError(f"--K {' '.join(map(str, K))}: one value for both sources, or one for each")
    chosen = (None, None) if K is None else (K[0], K[-1])
    cube = out.cube(table)
    result = compare(
        cube,
        learner=learner,
        baseline=baseline,
        of=of,
        against=against,
        K=chosen,
        slope=slope,
        scale=scale,
        interval=interval,
    )
    row = _differential_row(result)
    words = verdicts(result)
    attrs = {**result.attrs, "verdict": words[0]}
    title = f"{learner} - {baseline}, paired within the seed"
    lost = [note for note in result.attrs["notes"] if note.startswith((f"{of} ", f"{against} "))]
    remarks = [*words, *_little(cube, scale, of, against), *effect_rows.unused(lost)]
    out.show(Report("differential", title, attrs, [row], _differential_columns(result), remarks))
    return 0


def _differential_row(result: xr.Dataset) -> dict[str, Any]:
    attrs, slope = result.attrs, bool(result.attrs["quantity"])
    return {
        "source": f"{attrs['of']} minus {attrs['against']}",
        "K": None if slope else int(result.K_of),
        "K_against": None if slope else int(result.K_against),
        "learner": attrs["learner"],
        "baseline": attrs["baseline"],
        "effect": float(result.effect),
        "ci_lower": float(result.ci[0]),
        "ci_upper": float(result.ci[1]),
        "n_seeds": int(result.n_seeds),
        "p": float(result.p),
        "wins": int(result.wins),
    }


def _differential_columns(result: xr.Dataset) -> list[Column]:
    units = result.attrs["units"]
    return [
        ("source", lambda r: r["source"]),
        ("K", lambda r: "slope" if r["K"] is None else f"{r['K']} and {r['K_against']}"),
        (f"difference of effects, {units}", lambda r: number(r["effect"])),
        (f"95% {result.attrs['ci_kind']} interval", lambda r: bounds(r["ci_lower"], r["ci_upper"])),
        ("sign-flip p", lambda r: number(r["p"], ".3g")),
        ("wins", lambda r: f"{r['wins']}/{r['n_seeds']}"),
    ]
