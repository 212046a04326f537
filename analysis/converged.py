# %% [markdown]
# # Conv nets trained for 120 epochs: does the difference between DTG-FF and backprop widen with K?
# VGG8 at 16 px and an eighth of its width, CIFAR-100, nested classes, each learner at its own chosen learning rate. The plan stands in
# `studies/converged.toml`: primary are the slopes on ln K, in pp, of DTG-FF minus BP-DeepSup, one for all images and one for 5,000 in all. Everything else here
# is secondary, and differences between single K were chosen after curves were seen. Only what is done is shown.

# %%
import sys
from pathlib import Path

import numpy as np
import xarray as xr

import kaxis
from kaxis import plots
from kaxis.stats.intervals import t_interval

ROOT = Path(__file__).parent.parent
STORE = kaxis.Store(sys.argv[1] if len(sys.argv) > 1 else ROOT / "studies/results/converged")
MOVE, DOUBLE = 0.5, 1.0  # pp: over the last fifth of the cosine, means over seeds; at twice the length, one seed
cube = kaxis.load_cube(STORE, {"epochs": "120"})
twice = kaxis.load_cube(STORE, {"epochs": "240"}, curves=False)
LEARNER, BASELINE, LOCAL, SINGLE = "dtg_ff[lr=0.004]", "bp_deepsup[lr=0.008]", "local_ce[lr=0.008]", "bp[lr=0.001]"
ALL, TOTAL, COARSE, MERGE = (
    f"cifar100{view}" for view in ("/size:16", "/size:16/total:5000", "/coarse/size:16", "/merge:20/size:16")
)
SCALES = (("pp", "pp", "+.2f"), ("normalised", "% of headroom", "+.2f"), ("logit", "log odds", "+.3f"))


def ends(effect: float, low: float, high: float, form: str = "+.2f") -> str:
    return f"{effect:{form}} [{low:{form}}, {high:{form}}]" if np.isfinite(low) else f"{effect:{form}}"


def interval(one: xr.Dataset, form: str = "+.2f") -> str:
    return ends(float(one.effect), *map(float, one.ci), form)


def done(leg: xr.Dataset, *learners: str) -> xr.DataArray:
    """Over (K, seed): where all these have a record."""
    return (leg.status.isel(source=0).sel(learner=list(learners)) == "done").all("learner").transpose("K", "seed")


def whole(leg: xr.Dataset, *learners: str) -> xr.Dataset:
    """The values of K that the same seeds, two or more, have for all these learners: an unfinished leg has a slope over these."""
    there = done(leg, *learners).values
    kept = there.sum(1) == there.sum(1).max()
    seeds = there[kept].all(0)
    kept = kept if seeds.sum() > 1 else np.zeros_like(kept)
    if left := [
        f"K = {K} ({n} seeds)" for K, n, k in zip(leg.K.values, there.sum(1), kept, strict=True) if n and not k
    ]:
        print(f"{leg.source.item()}, {learners[0]} - {learners[1]}: without {', '.join(left)}, which are not whole")
    return leg.isel(K=np.flatnonzero(kept), seed=np.flatnonzero(seeds))


# %% [markdown]
# ## Which cells have settled?
# Stated before the runs: means over seeds move by less than 0.5 pp, training and test, over the last fifth of the cosine; at twice the length test accuracy
# changes by less than 1 pp on one seed.

# %%
print(
    "| source | K | learner | seeds | train, pp | test, pp | at twice the length, pp | settled |\n" + "|---" * 8 + "|"
)
verdicts: dict[str, list[str]] = {"yes": [], "no": [], "not known": []}
for source in map(str, cube.source.values):
    for K in map(int, cube.K.values):
        for learner in map(str, cube.learner.values):
            at = {"source": source, "K": K, "learner": learner}
            cell = cube.sel(at).isel(seed=np.flatnonzero(np.isfinite(cube.sel(at).test_accuracy)))
            if not cell.sizes["seed"]:
                continue
            # training images are looked at twice: at the start of the last fifth and at the end
            looks = [np.flatnonzero(np.isfinite(row))[-2:] for row in cell.train_accuracy_curve.values]
            moves = [
                [100 * (row[b] - row[a]) for row, (a, b) in zip(curve.values, looks, strict=True)]
                for curve in (cell.train_accuracy_curve, cell.test_accuracy_curve)
            ]
            still = all(abs(np.mean(move)) < MOVE for move in moves)
            longer = twice.sel(at, drop=True) if all(v in twice[d] for d, v in at.items()) else None
            more = 100 * float((longer.test_accuracy - cell.test_accuracy).mean()) if longer is not None else np.nan
            verdict = "no" if not still or abs(more) >= DOUBLE else "yes" if abs(more) < DOUBLE else "not known"
            verdicts[verdict].append(f"{source} K={K} {learner}")
            shown = " | ".join(ends(float(np.mean(move)), *t_interval(move)) for move in moves)
            doubled = f"{more:+.2f}" if np.isfinite(more) else "-"
            print(f"| {source} | {K} | {learner} | {cell.sizes['seed']} | {shown} | {doubled} | {verdict} |")
for verdict, which in verdicts.items():
    print(f"Settled, {verdict}: {len(which)} of {sum(map(len, verdicts.values()))}: {', '.join(which) or 'none'}.")

# %% [markdown]
# ## Effects, train and test, leg by leg

# %%


def table(source: str, learner: str, baseline: str) -> None:
    """Effects at each K that has two seeds or more; accuracies are of these seeds."""
    leg = cube.sel(source=[source])
    effect, gaps = (f(leg, learner=learner, baseline=baseline).isel(source=0) for f in (kaxis.paired, kaxis.gap))
    for K in map(int, leg.K.values[effect.n_seeds.values == 1]):
        print(
            f"{source}, K = {K}: {learner} - {baseline} {float(effect.effect.sel(K=K)):+.2f} pp after 120 epochs, one seed, no interval"
        )
    shown = [int(K) for K in leg.K.values if int(effect.n_seeds.sel(K=K)) > 1]
    if not shown:
        return
    names = f"{baseline.partition('[')[0]}, % | {learner.partition('[')[0]}, %"
    print(f"\n{source}: {learner} - {baseline}")
    print(
        f"| K | seeds | {names} | effect, pp [95% t] | wins | % of headroom | train effect, pp [95% t] | gap difference, pp [95% t] |\n"
        + "|---" * 9
        + "|"
    )
    both = done(leg, learner, baseline)
    for K in shown:
        e, g = effect.sel(K=K), gaps.sel(K=K)
        cell = leg.sel(K=K).isel(source=0, seed=np.flatnonzero(both.sel(K=K)))
        means = " | ".join(f"{100 * float(cell.test_accuracy.sel(learner=n).mean()):.1f}" for n in (baseline, learner))
        train = ends(float(g.train_effect), *map(float, g.train_effect_ci))
        rest = f"{float(e.effect_normalised):+.2f} | {train} | {interval(g)}"
        print(f"| {K} | {int(e.n_seeds)} | {means} | {interval(e)} | {int(e.wins)}/{int(e.n_seeds)} | {rest} |")
    odds = [f"{float(effect.effect_logit.sel(K=K)):+.2f} at K = {K}" for K in shown]
    print(f"in log odds: {', '.join(odds)}")


def along(source: str, learner: str, baseline: str) -> None:
    """Slopes over the values of K that are whole, and over those up to 50; differences between single K."""
    leg = whole(cube.sel(source=[source]), learner, baseline)
    n, pair = leg.sizes["seed"], {"learner": learner, "baseline": baseline}
    for scale, unit, form in SCALES if leg.sizes["K"] > 1 else ():
        for part in (leg, leg.sel(K=leg.K <= 50)) if 50 in leg.K and leg.K.max() > 50 else (leg,):
            c = kaxis.contrast(part, **pair, scale=scale)
            over = f"slope on ln K after 120 epochs over K = {', '.join(map(str, part.K.values))}, {unit}"
            print(f"{over}: {interval(c.isel(source=0), form)}, n = {n}")
            if part is leg:
                print(*kaxis.verdicts(c), sep="\n")
        for low, high in ((10, 20), (10, 50), (10, 100), (50, 100)):
            if {low, high} <= set(leg.K.values.tolist()):
                c = kaxis.contrast(leg, **pair, low=[low], high=[high], scale=scale).isel(source=0)
                print(f"K = {high} minus K = {low} after 120 epochs, {unit}: {interval(c, form)}, n = {n}")


for learner, baseline in (
    (LEARNER, BASELINE),
    (LEARNER, SINGLE),
    (LEARNER, LOCAL),
    (BASELINE, SINGLE),
    (LOCAL, BASELINE),
):
    for source in map(str, cube.source.values):
        if bool(done(cube.sel(source=[source]), learner, baseline).any()):
            table(source, learner, baseline)
            along(source, learner, baseline)

# %% [markdown]
# ## Along training: the slope after each look, from the same cells' curves, after as many epochs at every K
# Looks within one cosine of 120 epochs: before its end the learning rate is still high.

# %%
AB = {"learner": LEARNER, "baseline": BASELINE}
have = {s: whole(cube.sel(source=[s]), LEARNER, BASELINE) for s in map(str, cube.source.values)}
both = [s for s in (ALL, TOTAL) if have[s].sizes["K"] > 1]
# each leg over its own whole values of K and seeds: joined only to be drawn
legs = [leg for s in both for leg in (have[s], have[s].sel(K=have[s].K <= 50))]
along_epochs = [kaxis.slope_steps(leg, **AB, by="epoch") for leg in legs]
print("| epochs | 6 | 12 | 30 | 60 | 90 | 120 |\n" + "|---" * 7 + "|")
for leg, one in zip(legs, along_epochs, strict=True):
    looks = (interval(one.isel(source=0).sel(epoch=e)) for e in (6, 12, 30, 60, 90, 120))
    print(f"| {leg.source.item()}, K = {', '.join(map(str, leg.K.values))} | {' | '.join(looks)} |")
    grown = (one.per_seed.sel(epoch=120) - one.per_seed.sel(epoch=12)).values.ravel()
    print(f"after 120 minus after 12 epochs: {ends(float(grown.mean()), *t_interval(grown))}, n = {grown.size}")
if along_epochs:
    drawn = xr.concat(along_epochs[::2], "source", join="outer", combine_attrs="override")
    plots.save(*plots.slope_steps(drawn), ROOT / "figures", "converged_slope_epochs")

# %% [markdown]
# ## The legs against each other, paired within the seed

# %%
if len(both) == 2:
    at = {d: np.intersect1d(have[ALL][d], have[TOTAL][d]) for d in ("K", "seed")}
    apart = kaxis.differential(cube.sel(at), **AB, of=ALL, against=TOTAL, slope=True)
    print(
        f"slope, all images minus 5,000 in all, K = {', '.join(map(str, at['K']))}: {interval(apart)}, n = {int(apart.n_seeds)}"
    )
    print(*kaxis.verdicts(apart), sep="\n")
    steps = [(low, high) for low, high in ((10, 20), (10, 50), (10, 100), (50, 100)) if {low, high} <= set(at["K"])]
    print("| | all images, pp | 5,000 in all, pp |\n" + "|---" * 3 + "|")
    for low, high in steps:
        grown = [kaxis.contrast(cube.sel(at | {"source": [s]}), **AB, low=[low], high=[high]) for s in (ALL, TOTAL)]
        print(f"| K = {high} minus K = {low} | {' | '.join(interval(c.isel(source=0)) for c in grown)} |")
    for K in map(int, at["K"]):
        one = kaxis.differential(cube.sel(at), **AB, of=ALL, against=TOTAL, K=(K, K))
        print(f"effect, all images minus 5,000 in all, at K = {K}: {interval(one)} pp, n = {int(one.n_seeds)}")
for view in (COARSE, MERGE):  # a task that is hardly learned says little of either learner
    for learner in (BASELINE, LEARNER) if view in have and have[view].sizes["seed"] else ():
        at = have[view].sel(learner=learner)
        split = [f"{s} {100 * float(at[f'{s}_accuracy'].mean()):.1f} %" for s in ("train", "test")]
        heads = ", ".join(f"{100 * v:.1f}" for v in at.layer_test_accuracy.mean(("source", "K", "seed")).values)
        print(f"{view}, K = 20: {learner} {', '.join(split)}; head by head, test: {heads}; n = {at.sizes['seed']}")
for a, b, what in (
    (COARSE, ALL, "K and meaning together"),
    (MERGE, ALL, "K without meaning"),
    (COARSE, MERGE, "meaning at one K"),
):
    views = {COARSE: 20, MERGE: 20, ALL: 100}
    if not all(s in have and views[s] in have[s].K for s in (a, b)):
        continue
    d = kaxis.differential(cube, **AB, of=a, against=b, K=(views[a], views[b]))
    print(f"{a} minus {b} ({what}): {interval(d)} pp, n = {int(d.n_seeds)}")
    print(*kaxis.verdicts(d), sep="\n")

# %% [markdown]
# ## Beside the synthetic task and the same students on CIFAR-100
# There the published rates hold for every learner, here each has its own: the names lose their rate to stand in one column.

# %%
other = kaxis.load_cube(kaxis.Store(ROOT / "studies/results/main"), curves=False)
conv = cube.sel(learner=[BASELINE, LEARNER]).assign_coords(learner=["bp_deepsup", "dtg_ff"])
conv = conv.drop_dims(["step", "layer"]).assign_coords(source=[f"conv: {s}" for s in cube.source.values])
mlp = other.sel(learner=["bp_deepsup", "dtg_ff"])
mlp = mlp.sel(source=["synthetic", *(s for s in map(str, mlp.source.values) if s.startswith("cifar100"))])
shared = [v for v in conv.data_vars if v in mlp.data_vars]
fill = {"status": "missing", "reason": "", "finished": "", "asked": False}
one = xr.concat(
    [mlp.drop_dims("step", errors="ignore").drop_dims("layer", errors="ignore")[shared], conv[shared]],
    "source",
    join="outer",
    fill_value={v: fill.get(str(v), np.nan) for v in shared},
    combine_attrs="override",
)
for source in both:
    legs = one.sel(
        source=["synthetic", f"conv: {source}"],
        K=[K for K in map(int, one.K.values) if K in have[source].K or K not in cube.K],
    )
    across = kaxis.conflict(
        legs,
        learner="dtg_ff",
        baseline="bp_deepsup",
        synthetic="synthetic",
        real=f"conv: {source}",
        drop_incomplete=True,
    )
    over = ", ".join(map(str, across.K.values))
    sides = f"{source} after 120 epochs minus synthetic after 8,000 steps, slopes on ln K over K = {over}"
    kind = f"{100 * across.attrs['ci_prob']:.3g} % {across.attrs['ci_kind']} interval"
    print(f"{sides}: {interval(across.rename(difference='effect'))} pp, {kind}")
    print(*kaxis.verdicts(across), sep="\n")
effect = kaxis.paired(one, learner="dtg_ff", baseline="bp_deepsup")
plots.save(*plots.k_conflict(effect), ROOT / "figures", "converged_k_conflict")
