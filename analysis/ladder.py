# %% [markdown]
# # From Forward-Forward to the hybrid, rung by rung
# K = 10, five seeds, 1,000 steps, a tenth of the training images held out: far from the published size (4 x 2048 units, 100 epochs of 50,000
# images). Digits, and 5,000 raw CIFAR-10 images (500 a class), 4 x 256 units. A fixed threshold is chosen out of three, a unit of the width, on the
# held-out images, seed by seed.

# %%
from pathlib import Path

import xarray as xr

import kaxis
from kaxis import plots

ROOT = Path(__file__).parent.parent
cube = kaxis.load_cube(kaxis.Store(ROOT / "studies/results/ladder")).sel(K=[10])
FIXED = {name: [f"{name}[threshold=0.05]", name, f"{name}[threshold=0.5]"] for name in ("ff", "ff_bn", "ff_mean")}
RUNGS = [
    "ff",
    "ff_bn",
    "ff_mean",
    "ff_margin",
    "ff_hybrid",
    "ff_hybrid[weight=10]",
    "ff_hybrid_ln",
    "ff_hybrid_bn",
    "predsim",
    "bp_deepsup",
]
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

# %% [markdown]
# ## The threshold matters, and where it was chosen to be

# %%
CIFAR = next(s for s in map(str, cube.source.values) if s.startswith("cifar10"))  # with BatchNorm at one threshold
digits, cifar = cube.sel(source=[s for s in cube.source.values if s != CIFAR]), cube.sel(source=[CIFAR])
tuned = xr.concat([kaxis.tuned(digits, FIXED), kaxis.tuned(cifar, {**FIXED, "ff_bn": ["ff_bn"]})], "source")
for source in map(str, cube.source.values):
    for name, grid in FIXED.items():
        grid = ["ff_bn"] if (source, name) == (CIFAR, "ff_bn") else grid
        at = cube.sel(source=source, K=10)
        told = ", ".join(f"{100 * float(at.test_accuracy.sel(learner=g).mean()):.1f}" for g in grid)
        chosen = tuned.chosen.sel(source=source, K=10, learner=name).values.tolist()
        print(
            f"{source}, {name}: {told} % at thresholds {', '.join(g.partition('=')[2].rstrip(']') or '0.15' for g in grid)} a unit; chosen {', '.join(str(chosen.count(g)) for g in grid)} times"
        )

# %%
KEEP = ["test_accuracy", "train_accuracy", "chance", "status", "reason", "asked", "finished"]
others = [n for n in map(str, cube.learner.values) if not any(n in grid for grid in FIXED.values())]
cube = xr.concat([tuned[KEEP], cube[KEEP].sel(learner=others)], "learner", combine_attrs="override")
rows = []
for source in map(str, cube.source.values):
    print(f"\n{source}: test accuracy and difference from single BP")
    print(
        "| learner | test, % | train, % | minus bp, pp [95% t], n = 5 | published on CIFAR-10, % |\n" + "|---" * 5 + "|"
    )
    for name in RUNGS:
        one = cube.sel(source=[source])
        if not (one.status.sel(learner=name) == "done").any():
            continue
        e = kaxis.paired(one, learner=name, baseline="bp").isel(source=0, K=0)
        at = one.sel(learner=name)
        test, train = (100 * float(at[f"{split}_accuracy"].mean()) for split in ("test", "train"))
        ours = f"{float(e.effect):+.2f} [{float(e.ci[0]):+.2f}, {float(e.ci[1]):+.2f}]"
        print(f"| {name} | {test:.1f} | {train:.1f} | {ours} | {PUBLISHED.get(name, '-')} |")
        rows.append({"label": name, "series": source, "effect": float(e.effect), "n_seeds": int(e.n_seeds)})
        rows[-1] |= {"ci_lower": float(e.ci[0]), "ci_upper": float(e.ci[1])}
    print(f"bp: {100 * float(cube.test_accuracy.sel(source=source, learner='bp').mean()):.1f} %")

# %% [markdown]
# ## Rung by rung, paired within the seed: each changes one thing

# %%
for name, below in STEPS:
    result = kaxis.paired(cube, learner=name, baseline=below)
    for source in map(str, cube.source.values):
        e = result.sel(source=source, K=10)
        print(f"{source}: {name} minus {below} {float(e.effect):+.2f} [{float(e.ci[0]):+.2f}, {float(e.ci[1]):+.2f}]")
    print(*kaxis.verdicts(result)[: len(cube.source)], sep="\n")
print(*kaxis.verdicts(kaxis.paired(cube, learner="predsim", baseline="bp")), sep="\n")

# %%
figure, rows = plots.forest(rows, "test accuracy minus single BP (pp), mean and 95% t interval over 5 seeds")
plots.save(figure, rows, ROOT / "figures", "ladder")
