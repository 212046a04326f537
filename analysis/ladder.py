# %% [markdown]
# # From Forward-Forward to the hybrid, rung by rung
# K = 10, five seeds, 1,000 steps: far from the published size (4 x 2048 units, 100 epochs of 50,000 images). Digits, and 5,000 raw
# CIFAR-10 images (500 a class), 4 x 256 units.

# %%
from pathlib import Path

import kaxis
from kaxis import plots

ROOT = Path(__file__).parent.parent
cube = kaxis.load_cube(kaxis.Store(ROOT / "studies/results/ladder")).sel(K=[10])
RUNGS = [
    "ff",
    "ff_bn",
    "ff_margin",
    "ff_hybrid",
    "ff_hybrid[weight=10]",
    "ff_hybrid_ln",
    "ff_hybrid_bn",
    "predsim",
    "bp_deepsup",
]
STEPS = [("ff_margin", "ff"), ("ff_hybrid", "ff_margin"), ("ff_hybrid_ln", "ff_hybrid"), ("ff_hybrid_bn", "ff_hybrid")]
PUBLISHED = {
    "ff": "16-17",
    "ff_bn": "chance",
    "ff_margin": "46.00",
    "ff_hybrid": "52.51",
    "ff_hybrid[weight=10]": "53.32 (blended)",
    "ff_hybrid_ln": "55.43",
    "ff_hybrid_bn": "63.72",
}

# %%
rows = []
for source in map(str, cube.source.values):
    print(f"\n{source}: test accuracy and difference from single BP")
    print(
        "| learner | test, % | train, % | minus bp, pp [95% t], n = 5 | published on CIFAR-10, % |\n" + "|---" * 5 + "|"
    )
    for name in RUNGS:
        one = cube.sel(source=[source])
        e = kaxis.paired(one, learner=name, baseline="bp").isel(source=0, K=0)
        at = one.sel(learner=name)
        test, train = (100 * float(at[f"{split}_accuracy"].mean()) for split in ("test", "train"))
        print(
            f"| {name} | {test:.1f} | {train:.1f} | {float(e.effect):+.2f} [{float(e.ci[0]):+.2f}, {float(e.ci[1]):+.2f}] | {PUBLISHED.get(name, '-')} |"
        )
        rows.append(
            {
                "label": name,
                "series": source,
                "effect": float(e.effect),
                "ci_lower": float(e.ci[0]),
                "ci_upper": float(e.ci[1]),
                "n_seeds": int(e.n_seeds),
            }
        )
    print(f"bp: {100 * float(cube.test_accuracy.sel(source=source, learner='bp').mean()):.1f} %")

# %% [markdown]
# ## Rung by rung, paired within the seed

# %%
for name, below in STEPS:
    print(*kaxis.verdicts(kaxis.paired(cube, learner=name, baseline=below))[:2], sep="\n")
print(*kaxis.verdicts(kaxis.paired(cube, learner="predsim", baseline="bp")), sep="\n")

# %%
figure, rows = plots.forest(rows, "test accuracy minus single BP (pp), mean and 95% t interval over 5 seeds")
plots.save(figure, rows, ROOT / "figures", "ladder")
