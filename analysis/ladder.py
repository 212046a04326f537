# %% [markdown]
# # From Forward-Forward to the hybrid, rung by rung
# K = 10, five seeds, 1,000 steps: far from the published size (4 x 2048 units, 100 epochs of 50,000 images). Digits, every rung, a tenth of the
# training images held out; and 5,000 raw CIFAR-10 images (500 a class), 4 x 256 units: the rungs below the classifier with a tenth held out, those
# above it as they were recorded before, on all 5,000. A fixed threshold is chosen out of three, a unit of the width, on the held-out images, seed by seed.

# %%
from pathlib import Path

import xarray as xr

import kaxis
from kaxis import plots

ROOT = Path(__file__).parent.parent
whole = kaxis.load_cube(kaxis.Store(ROOT / "studies/results/ladder")).sel(K=[10])
DIGITS, CIFAR, ABOVE = "digits/holdout:0.1", "cifar10/per:500/holdout:0.1", "cifar10/per:500"
FIXED = {name: [f"{name}[threshold=0.05]", name, f"{name}[threshold=0.5]"] for name in ("ff", "ff_bn", "ff_mean")}
GRIDS = {DIGITS: FIXED, CIFAR: {**FIXED, "ff_bn": ["ff_bn"]}}  # at chance on digits at all three
LOWER, UPPER = (
    ["ff", "ff_bn", "ff_mean", "ff_margin"],
    ["ff_hybrid", "ff_hybrid[weight=10]", "ff_hybrid_ln", "ff_hybrid_bn", "predsim", "bp_deepsup"],
)
RUNGS = {DIGITS: [*LOWER, *UPPER], CIFAR: LOWER, ABOVE: ["ff_margin", *UPPER]}
STEPS = [("ff_bn", "ff"), ("ff_mean", "ff"), ("ff_margin", "ff_mean"), ("ff_hybrid", "ff_margin")]
STEPS += [("ff_hybrid_ln", "ff_hybrid"), ("ff_hybrid_bn", "ff_hybrid")]
PUBLISHED = {
    "ff": "16-17",
    "ff_bn": "chance",
    "ff_margin": "46.00",
    "ff_hybrid": "52.51",
    "ff_hybrid[weight=10]": "53.32 (blended)",
    "ff_hybrid_ln": "55.43",
    "ff_hybrid_bn": "63.72",
}
KEEP = ["test_accuracy", "train_accuracy", "chance", "status", "reason", "asked", "finished"]

# %% [markdown]
# ## The threshold matters, and where it was chosen to be

# %%
parts = {ABOVE: whole[KEEP].sel(source=[ABOVE])}
for source, grids in GRIDS.items():
    one = whole.sel(source=[source])
    tuned = kaxis.tuned(one, grids)
    for name, grid in grids.items():
        at = one.isel(source=0).sel(K=10)
        told = ", ".join(f"{100 * float(at.test_accuracy.sel(learner=g).mean()):.1f}" for g in grid)
        chosen = tuned.chosen.isel(source=0).sel(K=10, learner=name).values.tolist()
        at_what = "0.05, 0.15, 0.5" if len(grid) == 3 else "0.15"
        print(
            f"{source}, {name}: {told} % at a threshold of {at_what} a unit; chosen {', '.join(str(chosen.count(g)) for g in grid)} times"
        )
    others = [n for n in map(str, one.learner.values) if not any(n in grid for grid in grids.values())]
    parts[source] = xr.concat([tuned[KEEP], one[KEEP].sel(learner=others)], "learner", combine_attrs="override")

# %%
rows = []
for source in (DIGITS, CIFAR, ABOVE):
    print(f"\n{source}: test accuracy and difference from single BP")
    print(
        "| learner | test, % | train, % | minus bp, pp [95% t], n = 5 | published on CIFAR-10, % |\n" + "|---" * 5 + "|"
    )
    for name in RUNGS[source]:
        e = kaxis.paired(parts[source], learner=name, baseline="bp").isel(source=0, K=0)
        at = parts[source].sel(learner=name)
        test, train = (100 * float(at[f"{split}_accuracy"].mean()) for split in ("test", "train"))
        ours = f"{float(e.effect):+.2f} [{float(e.ci[0]):+.2f}, {float(e.ci[1]):+.2f}]"
        print(f"| {name} | {test:.1f} | {train:.1f} | {ours} | {PUBLISHED.get(name, '-')} |")
        rows.append({"label": name, "series": source, "effect": float(e.effect), "n_seeds": int(e.n_seeds)})
        rows[-1] |= {"ci_lower": float(e.ci[0]), "ci_upper": float(e.ci[1])}
    print(f"bp: {100 * float(parts[source].test_accuracy.sel(learner='bp').mean()):.1f} %")

# %% [markdown]
# ## Rung by rung, paired within the seed: each changes one thing

# %%
for source in (DIGITS, CIFAR, ABOVE):
    for name, below in STEPS:
        if {name, below} <= set(RUNGS[source]):
            result = kaxis.paired(parts[source], learner=name, baseline=below)
            e = result.isel(source=0, K=0)
            print(
                f"{source}: {name} minus {below} {float(e.effect):+.2f} [{float(e.ci[0]):+.2f}, {float(e.ci[1]):+.2f}]"
            )
            print(kaxis.verdicts(result)[0])

# %%
figure, rows = plots.forest(rows, "test accuracy minus single BP (pp), mean and 95% t interval over 5 seeds")
plots.save(figure, rows, ROOT / "figures", "ladder")
