# %% [markdown]
# # Conv nets trained until they settle: does the difference between DTG-FF and backprop widen with K?
# VGG8 at 16 px and an eighth of its width, CIFAR-100, nested classes, 120 epochs, each learner at its own chosen learning rate. The plan stands in
# `studies/converged.toml`. Only what is done is shown: a leg without two whole values of K has no slope yet.

# %%
import sys
from pathlib import Path

import numpy as np
import xarray as xr

import kaxis
from kaxis import plots

ROOT = Path(__file__).parent.parent
STORE = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "studies/results/converged"
MOVE = 0.5  # pp: how far a mean over seeds may move over the last fifth of the cosine
cube = kaxis.load_cube(kaxis.Store(STORE), {"epochs": "120"})
LEARNER, BASELINE = "dtg_ff[lr=0.004]", "bp_deepsup[lr=0.008]"
OTHERS = [n for n in map(str, cube.learner.values) if n not in (LEARNER, BASELINE)]


def interval(one: xr.Dataset, form: str = "+.2f") -> str:
    return f"{float(one.effect):{form}} [{float(one.ci[0]):{form}}, {float(one.ci[1]):{form}}]"


def whole(leg: xr.Dataset, *learners: str) -> xr.Dataset:
    """The values of K that the same seeds, two or more, have for all these learners: an unfinished leg has a slope over these."""
    done = (
        (leg.status.isel(source=0).sel(learner=list(learners)) == "done").all("learner").transpose("K", "seed").values
    )
    kept = done.sum(1) == done.sum(1).max()
    seeds = done[kept].all(0)
    return leg.isel(K=np.flatnonzero(kept if seeds.sum() > 1 else []), seed=np.flatnonzero(seeds))


# %% [markdown]
# ## Which cells have settled? Stated before the runs: means over seeds move by less than 0.5 pp, training and test, over the last fifth of the cosine

# %%
print("| source | K | learner | seeds | train, pp | test, pp | settled |\n" + "|---" * 7 + "|")
failed = []
for source in map(str, cube.source.values):
    for K in map(int, cube.K.values):
        for learner in map(str, cube.learner.values):
            cell = cube.sel(source=source, K=K, learner=learner)
            train, test = cell.train_accuracy_curve, cell.test_accuracy_curve
            n = int(np.isfinite(cell.test_accuracy).sum())
            if not n:
                continue
            # training images are looked at twice: at the start of the last fifth and at the end
            last = [
                np.flatnonzero(np.isfinite(row))[-2:] for row in train.values[np.isfinite(cell.test_accuracy.values)]
            ]
            rows = [i for i in range(cell.sizes["seed"]) if np.isfinite(float(cell.test_accuracy[i]))]
            moves = [
                float(np.mean([100 * (c.values[r, b] - c.values[r, a]) for r, (a, b) in zip(rows, last, strict=True)]))
                for c in (train, test)
            ]
            settled = all(abs(move) < MOVE for move in moves)
            failed += [] if settled else [f"{source} K={K} {learner}"]
            print(
                f"| {source} | {K} | {learner} | {n} | {moves[0]:+.2f} | {moves[1]:+.2f} | {'yes' if settled else 'no'} |"
            )
print(f"Not settled: {', '.join(failed) or 'none'}.")

# %% [markdown]
# ## Effects, train and test, leg by leg

# %%
for baseline in (BASELINE, *OTHERS):
    effect, gaps = (f(cube, learner=LEARNER, baseline=baseline) for f in (kaxis.paired, kaxis.gap))
    for source in map(str, cube.source.values):
        n_seeds = effect.n_seeds.sel(source=source)
        for K in map(int, cube.K.values[n_seeds.values == 1]):
            one = float(effect.effect.sel(source=source, K=K))
            print(f"{source}, K = {K}: {LEARNER} - {baseline} {one:+.2f} pp after 120 epochs, one seed, no interval")
        shown = [int(K) for K in cube.K.values if int(n_seeds.sel(K=K)) > 1]
        if not shown:
            continue
        print(f"\n{source}: {LEARNER} - {baseline}")
        print(
            "| K | seeds | baseline, % | dtg_ff, % | effect, pp [95% t] | wins | % of headroom | train effect, pp | gap difference, pp |\n"
            + "|---" * 9
            + "|"
        )
        for K in shown:
            e, g, cell = (d.sel(source=source, K=K) for d in (effect, gaps, cube))
            means = " | ".join(
                f"{100 * float(cell.test_accuracy.sel(learner=n).mean()):.1f}" for n in (baseline, LEARNER)
            )
            rest = f"{float(e.effect_normalised):+.2f} | {float(g.train_effect):+.2f} | {float(g.effect):+.2f}"
            print(f"| {K} | {int(e.n_seeds)} | {means} | {interval(e)} | {int(e.wins)}/{int(e.n_seeds)} | {rest} |")
        odds = [f"{float(effect.effect_logit.sel(source=source, K=K)):+.2f} at K = {K}" for K in shown]
        print(f"in log odds: {', '.join(odds)}")
        leg = whole(cube.sel(source=[source]), LEARNER, baseline)
        if leg.sizes["K"] > 1:
            for scale, unit, form in (
                ("pp", "pp", "+.2f"),
                ("normalised", "% of headroom", "+.2f"),
                ("logit", "log odds", "+.3f"),
            ):
                c = kaxis.contrast(leg, learner=LEARNER, baseline=baseline, scale=scale)
                seen = ", ".join(map(str, leg.K.values))
                print(
                    f"slope on ln K after 120 epochs over K = {seen}, {unit}: {interval(c.isel(source=0), form)}, n = {leg.sizes['seed']}"
                )
                print(*kaxis.verdicts(c), sep="\n")
                if {50, 100} <= set(leg.K.values.tolist()):
                    top = kaxis.contrast(leg, learner=LEARNER, baseline=baseline, low=[50], high=[100], scale=scale)
                    n = leg.sizes["seed"]
                    print(
                        f"K = 100 minus K = 50 after 120 epochs, {unit}: {interval(top.isel(source=0), form)}, n = {n}"
                    )

# %% [markdown]
# ## Locality alone: the same cross-entropy on every layer, its gradient kept inside the layer or not

# %%
LOCAL = "local_ce[lr=0.008]"
for source in map(str, cube.source.values):
    leg = whole(cube.sel(source=[source]), LEARNER, BASELINE, LOCAL)
    if leg.sizes["K"] < 2:
        continue
    alone = kaxis.paired(leg, learner=LOCAL, baseline=BASELINE).isel(source=0)
    print(f"{source}: {LOCAL} - {BASELINE}")
    print(
        *(f"at K = {int(K)}: {interval(alone.sel(K=K))} pp, n = {int(alone.n_seeds.sel(K=K))}" for K in leg.K), sep="; "
    )
    for scale, unit, form in (("pp", "pp", "+.2f"), ("logit", "log odds", "+.3f")):
        c = kaxis.contrast(leg, learner=LOCAL, baseline=BASELINE, scale=scale)
        seen = ", ".join(map(str, leg.K.values))
        print(
            f"slope on ln K after 120 epochs over K = {seen}, {unit}: {interval(c.isel(source=0), form)}, n = {leg.sizes['seed']}"
        )
        print(*kaxis.verdicts(c), sep="\n")

# %% [markdown]
# ## Along training: the slope after each look, from the same cells' curves, after as many epochs at every K

# %%
AB = {"learner": LEARNER, "baseline": BASELINE}
ALL, TOTAL, COARSE, MERGE = (
    f"cifar100{view}" for view in ("/size:16", "/size:16/total:5000", "/coarse/size:16", "/merge:20/size:16")
)
have = {s: whole(cube.sel(source=[s]), LEARNER, BASELINE) for s in map(str, cube.source.values)}
both = [s for s in (ALL, TOTAL) if have[s].sizes["K"] > 1]
# each leg over its own whole values of K and seeds: joined only to be drawn
along = [kaxis.slope_steps(have[s], **AB, by="epoch") for s in both]
print("| epochs | 6 | 12 | 30 | 60 | 90 | 120 |\n" + "|---" * 7 + "|")
for source, one in zip(both, along, strict=True):
    looks = (interval(one.isel(source=0).sel(epoch=e)) for e in (6, 12, 30, 60, 90, 120))
    print(f"| {source}, K = {', '.join(map(str, have[source].K.values))} | {' | '.join(looks)} |")
if along:
    drawn = xr.concat(along, "source", join="outer", combine_attrs="override")
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
    sides = f"{source} after 120 epochs minus synthetic after 8,000 steps, slopes on ln K over their common K"
    kind = f"{100 * across.attrs['ci_prob']:.3g} % {across.attrs['ci_kind']} interval"
    print(f"{sides}: {interval(across.rename(difference='effect'))} pp, {kind}")
    print(*kaxis.verdicts(across), sep="\n")
effect = kaxis.paired(one, learner="dtg_ff", baseline="bp_deepsup")
plots.save(*plots.k_conflict(effect), ROOT / "figures", "converged_k_conflict")
