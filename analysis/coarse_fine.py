# %% [markdown]
# # CIFAR-100 under fine, coarse and randomly merged labels
# The same images and the same training; only the label map changes. Coarse and merge:20 both have 20 classes, but merged
# groups mean nothing: what they share is K, what they differ in is what has to be told apart. Committed records: the
# two-core setting, far from converged. With a store of your own: `python analysis/coarse_fine.py runs`.

# %%
import sys
from pathlib import Path

import kaxis
from kaxis import plots

ROOT = Path(__file__).parent.parent
STORE = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "studies/results/cnn"
cube = kaxis.load_cube(kaxis.Store(STORE))
VIEWS = {"cifar100": 100, "cifar100/coarse": 20, "cifar100/merge:20": 20}
cube = cube.sel(source=list(VIEWS))
TUNED = [n for n in map(str, cube.learner.values) if n.startswith("bp_deepsup")][
    -1
]  # the one with its own learning rate
effect = kaxis.paired(cube, learner="dtg_ff", baseline=TUNED)

# %%
print(f"| labels | K | {TUNED}, % | dtg_ff, % | effect, pp [95% t] | % of headroom |\n" + "|---" * 6 + "|")
for source, K in VIEWS.items():
    e, cell = effect.sel(source=source, K=K), cube.sel(source=source, K=K)
    means = " | ".join(f"{100 * float(cell.test_accuracy.sel(learner=n).mean()):.1f}" for n in (TUNED, "dtg_ff"))
    print(
        f"| {source} | {K} | {means} | {float(e.effect):+.2f} [{float(e.ci[0]):+.2f}, {float(e.ci[1]):+.2f}] | {float(e.effect_normalised):+.2f} |"
    )

# %% [markdown]
# ## Differences of effects, paired within the seed: one number a seed

# %%
for a, b, what in (
    ("cifar100/coarse", "cifar100", "K and meaning together"),
    ("cifar100/merge:20", "cifar100", "K without meaning"),
    ("cifar100/coarse", "cifar100/merge:20", "meaning at one K"),
):
    d = kaxis.differential(cube, learner="dtg_ff", baseline=TUNED, of=a, against=b, K=(VIEWS[a], VIEWS[b]))
    print(
        f"{a} minus {b} ({what}): {float(d.effect):+.2f} [{float(d.ci[0]):+.2f}, {float(d.ci[1]):+.2f}] pp, n = {int(d.n_seeds)}"
    )
    print(*kaxis.verdicts(d), sep="\n")
print(*kaxis.verdicts(effect), sep="\n")

# %%
plots.save(*plots.k_conflict(effect), ROOT / "figures", "coarse_fine")
