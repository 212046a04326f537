# %% [markdown]
# # What do the sets that are here say about a new one?
# Digits, CIFAR-10, CIFAR-100 and ten classes of photographs, each as 32 principal components with 50 images a class; K = 3, 5, 10, ten seeds, 2,000 steps.
# Planned before the run: the slope on ln K of DTG-FF - BP-DeepSup of each set, their mean, and the interval of a new set.

# %%
from pathlib import Path

import kaxis

ROOT = Path(__file__).parent.parent
AB = {"learner": "dtg_ff", "baseline": "bp_deepsup"}
cube = kaxis.load_cube(kaxis.Store(ROOT / "studies/results/sets"))

# %%
found = kaxis.over_sets(cube, **AB)
print("| set | slope on ln K, pp | SE | n |\n" + "|---" * 4 + "|")
for source in found.source.values:
    one = found.sel(source=source)
    print(f"| {source} | {float(one.effect):+.2f} | {float(one.se):.2f} | {int(one.n_seeds)} |")
for what, mean, ends in (("mean of the sets", found["mean"], found.ci), ("a new set", found["mean"], found.new_ci)):
    print(f"{what}: {float(mean):+.2f} [{float(ends[0]):+.2f}, {float(ends[1]):+.2f}], {int(found.n_sets)} sets")
print(
    f"weighted by precision: {float(found.hk_mean):+.2f} [{float(found.hk_ci[0]):+.2f}, {float(found.hk_ci[1]):+.2f}]"
)
print(
    f"tau {float(found.tau):.2f}, {float(found.I2):.0%} of the variance, p of none {float(found.anova_p):.2g} (Welch's analysis of variance)"
)

for source, mean, (low, high), p in zip(
    found.source.values,
    *(kaxis.contrast(cube, **AB)[v].sel(source=found.source).values for v in ("effect", "ci", "p")),
    strict=True,
):
    print(f"{source}: slope {mean:+.2f} [{low:+.2f}, {high:+.2f}], p = {p:.3g}")

# %% [markdown]
# ## At each K

# %%
for K in cube.K.values:
    at = kaxis.over_sets(cube, **AB, K=int(K))
    own = ", ".join(f"{s.split('/')[0]} {float(e):+.2f}" for s, e in zip(at.source.values, at.effect, strict=True))
    print(
        f"| {K} | {own} | {float(at['mean']):+.2f} [{float(at.ci[0]):+.2f}, {float(at.ci[1]):+.2f}] | {float(at['mean']):+.2f} [{float(at.new_ci[0]):+.2f}, {float(at.new_ci[1]):+.2f}] |"
    )
print(*kaxis.verdicts(kaxis.paired(cube, **AB)), sep="\n")
