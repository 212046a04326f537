# %% [markdown]
# # Conv nets trained for 120 epochs: which part of DTG-FF makes it fall behind along K?
# DTG-FF with one thing changed, each arm at its own chosen rate; VGG8 at 16 px and an eighth of its width, CIFAR-100, 5,000 images in all at every K
# (`studies/converged_ablations.toml`). Secondary, not adjusted for being several. Only what is done is shown.

# %%
import sys
from pathlib import Path

import numpy as np
import xarray as xr

import kaxis
from kaxis import plots

ROOT = Path(__file__).parent.parent
cube = kaxis.load_cube(kaxis.Store(sys.argv[1] if len(sys.argv) > 1 else ROOT / "studies/results/converged_ablations"))
SOURCE = str(cube.source.item())
BASE, GLOBAL, LOCAL, READOUT = (
    "dtg_ff[lr=0.004]",
    "bp_deepsup[lr=0.008]",
    "local_ce[lr=0.008]",
    "dtg_ff[lr=0.004,readout=learned]",
)
ARMS = [n for n in map(str, cube.learner.values) if n.startswith("dtg_ff") and n != BASE]


def interval(one: xr.Dataset, name: str = "effect", ci: str = "ci", form: str = "+.2f") -> str:
    effect, (low, high) = float(one[name]), map(float, one[ci].values)
    return f"{effect:{form}} [{low:{form}}, {high:{form}}]" if np.isfinite(low) else f"{effect:{form}}"


def whole(learner: str, baseline: str) -> xr.Dataset:
    """The values of K that two seeds have for both, and the seeds that have all of these."""
    both = (cube.status.sel(source=SOURCE, learner=[learner, baseline]) == "done").all("learner")
    K = cube.K.values[(both.sum("seed") > 1).values]
    return cube.sel(K=K, seed=cube.seed.values[both.sel(K=K).all("K").values])


def table(learner: str, baseline: str) -> None:
    """Effect, training effect and gap at each K; slopes, and the largest K minus the smallest."""
    leg, pair = whole(learner, baseline), {"learner": learner, "baseline": baseline}
    if leg.sizes["seed"] < 2 or not {10, 100} <= set(leg.K.values.tolist()):
        print(f"\n{learner} - {baseline}: no two seeds at K = 10 and 100")
        return
    effect, gaps = (f(leg, **pair).isel(source=0) for f in (kaxis.paired, kaxis.gap))
    print(f"\n{learner} - {baseline}, n = {leg.sizes['seed']}")
    print(
        "| K | baseline, % | learner, % | effect, pp [95% t] | train effect, pp [95% t] | gap difference, pp [95% t] |"
    )
    print("|---" * 6 + "|")
    for K in leg.K.values:
        e, g = effect.sel(K=K), gaps.sel(K=K)
        means = [100 * float(leg.test_accuracy.sel(K=K, learner=n).mean()) for n in (baseline, learner)]
        train = interval(g, "train_effect", "train_effect_ci")
        print(f"| {K} | {means[0]:.1f} | {means[1]:.1f} | {interval(e)} | {train} | {interval(g)} |")
    for scale, unit, form in (("pp", "pp", "+.2f"), ("logit", "log odds", "+.3f")):
        if leg.sizes["K"] > 2:
            slope = kaxis.contrast(leg, **pair, scale=scale)
            print(
                f"slope on ln K after 120 epochs over K = {', '.join(map(str, leg.K.values))}, {unit}: {interval(slope.isel(source=0), form=form)}"
            )
            print(*kaxis.verdicts(slope), sep="\n")
        apart = kaxis.contrast(leg, **pair, low=[10], high=[100], scale=scale)
        print(f"K = 100 minus K = 10 after 120 epochs, {unit}: {interval(apart.isel(source=0), form=form)}")
        if leg.sizes["K"] == 2 and scale == "pp":
            print(*kaxis.verdicts(apart), sep="\n")


# %% [markdown]
# ## Each arm against DTG-FF as it is

# %%
for arm in ARMS:
    table(arm, BASE)

# %% [markdown]
# ## In one table: what each arm adds

# %%
print("| arm | n | at K = 10, pp | at K = 100, pp | K = 100 minus K = 10, pp | in log odds |\n" + "|---" * 6 + "|")
for arm in ARMS:
    leg, pair = whole(arm, BASE), {"learner": arm, "baseline": BASE}
    if leg.sizes["seed"] < 2 or not {10, 100} <= set(leg.K.values.tolist()):
        continue
    at = kaxis.paired(leg, **pair).isel(source=0)
    ends = [interval(at.sel(K=K)) for K in (10, 100)]
    grown = [
        interval(kaxis.contrast(leg, **pair, low=[10], high=[100], scale=scale).isel(source=0), form=form)
        for scale, form in (("pp", "+.2f"), ("logit", "+.3f"))
    ]
    print(f"| {arm} | {leg.sizes['seed']} | {' | '.join(ends + grown)} |")

# %% [markdown]
# ## With a learned readout: against BP-DeepSup, and against local cross-entropy

# %%
for baseline in (GLOBAL, LOCAL):
    for learner in (BASE, READOUT):
        table(learner, baseline)

# %%
drawn = {n: kaxis.paired(cube, learner=n, baseline=GLOBAL) for n in map(str, cube.learner.values) if n != GLOBAL}
drawn = {n: one for n, one in drawn.items() if int(one.n_seeds.max()) > 1}
plots.save(*plots.ranked(drawn, SOURCE), ROOT / "figures", "converged_ablations")
