# %% [markdown]
# # How much of "K moves the difference" is the student's size?
# Three sizes of the same MLP, 2,000 steps, six seeds: the balanced synthetic task at K = 5 and 50, and CIFAR-100 (all images, 32 components) at
# K = 10 and 100. Planned primary: the change of the effect from the smaller K to the larger, 4 x 512 minus 4 x 128.

# %%
from pathlib import Path

import numpy as np

import kaxis
from kaxis import plots
from kaxis.stats.arrays import Estimate

ROOT = Path(__file__).parent.parent
store = kaxis.Store(ROOT / "studies/results/capacity")
AB = {"learner": "dtg_ff", "baseline": "bp_deepsup"}
SIZES = {"4 x 128": ("128", "4"), "4 x 512": ("512", "4"), "8 x 128": ("128", "8")}
ENDS = {"synthetic/balance:uniform": (5, 50), "cifar100/pca:32": (10, 100)}


def of(numbers: np.ndarray) -> tuple[str, Estimate]:
    e = kaxis.estimate(numbers)
    return f"{e.mean:+.2f} [{e.lower:+.2f}, {e.upper:+.2f}]", e


# %%
cubes = {size: kaxis.load_cube(store, {"width": w, "depth": d}) for size, (w, d) in SIZES.items()}
moves, drawn = {}, []
tests, trains = {}, {}  # per seed, of (source, K, size)
print(
    "| source | size | K | bp_deepsup, test (train) % | dtg_ff, test (train) % | effect, pp [95% t], n = 6 | train effect, pp |"
)
print("|---" * 7 + "|")
for source, (low, high) in ENDS.items():
    for size, cube in cubes.items():
        effect, gap = (f(cube, **AB).sel(source=source) for f in (kaxis.paired, kaxis.gap))
        for K in (low, high):
            at, e, g = cube.sel(source=source, K=K), effect.sel(K=K), gap.sel(K=K)
            names = (AB["baseline"], AB["learner"])
            told = [
                f"{100 * float(at.test_accuracy.sel(learner=n).mean()):.1f} ({100 * float(at.train_accuracy.sel(learner=n).mean()):.1f})"
                for n in names
            ]
            ours = f"{float(e.effect):+.2f} [{float(e.ci[0]):+.2f}, {float(e.ci[1]):+.2f}]"
            print(f"| {source} | {size} | {K} | {told[0]} | {told[1]} | {ours} | {float(g.train_effect):+.2f} |")
            drawn.append(
                {"label": f"{source}, K = {K}", "series": size, "effect": float(e.effect), "n_seeds": int(e.n_seeds)}
            )
            drawn[-1] |= {"ci_lower": float(e.ci[0]), "ci_upper": float(e.ci[1])}
            tests[source, K, size] = e.difference.values
            trains[source, K, size] = e.difference.values + g.difference.values
        moves[source, size] = effect.difference.sel(K=high).values - effect.difference.sel(K=low).values

# %% [markdown]
# ## The change from the smaller K to the larger, one number a seed; and how size changes it

# %%
for source, (low, high) in ENDS.items():
    for size in SIZES:
        text, e = of(moves[source, size])
        print(f"{source}, {size}: effect at K = {high} minus at K = {low}: {text}, n = {e.n}, sign-flip p = {e.p:.3g}")
    for size, rank in (("4 x 512", "primary"), ("8 x 128", "secondary")):
        text, e = of(moves[source, size] - moves[source, "4 x 128"])
        print(f"{source}: {size} minus 4 x 128 ({rank}): {text}, n = {e.n}, sign-flip p = {e.p:.3g}")

# %% [markdown]
# ## The wide net minus the published one at each K, paired within the seed: what the difference of the changes is made of (ours, not planned)

# %%
for source, ends in ENDS.items():
    for K in ends:
        for what, own in (("effect", tests), ("train effect", trains)):
            print(
                f"{source}, K = {K}, 4 x 512 minus 4 x 128, {what}: {of(own[source, K, '4 x 512'] - own[source, K, '4 x 128'])[0]}"
            )
print(f"{source}, K = {K}, 4 x 512, train effect: {of(trains[source, K, '4 x 512'])[0]}")

# %%
figure, rows = plots.forest(drawn, "dtg_ff - bp_deepsup, test accuracy (pp), mean and 95% t interval over 6 seeds")
plots.save(figure, rows, ROOT / "figures", "capacity")
