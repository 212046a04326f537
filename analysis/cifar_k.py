# %% [markdown]
# # K-sweep on real images: VGG8 inside CIFAR-100, nested classes, every training image
# The committed records are the two-core setting (`--small`): an eighth of the published width, 500 steps at every K, learning
# rates chosen on held-out images (`cnn_lr`). That is far from converged: the published runs take 400 epochs. Both learners infer by summed logits. With a store of your own: `python analysis/cifar_k.py runs`.

# %%
import sys
from pathlib import Path

import kaxis
from kaxis import plots

ROOT = Path(__file__).parent.parent
STORE = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "studies/results/cnn"
cube = kaxis.load_cube(kaxis.Store(STORE), {"source": "cifar100"})
TUNED = [n for n in map(str, cube.learner.values) if n.startswith("bp_deepsup")][
    -1
]  # the one with its own learning rate
names = {"learner": "dtg_ff", "baseline": TUNED}
effect, gaps, slope = kaxis.paired(cube, **names), kaxis.gap(cube, **names), kaxis.contrast(cube, **names)

# %%
print(
    f"| K | epochs | {TUNED}, % | dtg_ff, % | effect, pp [95% t] | wins | % of headroom | train effect, pp |\n"
    + "|---" * 8
    + "|"
)
for K in effect.K.values[effect.n_seeds.sel(source="cifar100") > 0]:
    at = {"source": "cifar100", "K": K}
    e, g, cell = effect.sel(at), gaps.sel(at), cube.sel(at)
    means = " | ".join(f"{100 * float(cell.test_accuracy.sel(learner=n).mean()):.1f}" for n in (TUNED, "dtg_ff"))
    ours = f"{float(e.effect):+.2f} [{float(e.ci[0]):+.2f}, {float(e.ci[1]):+.2f}] | {int(e.wins)}/{int(e.n_seeds)}"
    rest = f"{float(e.effect_normalised):+.2f} | {float(g.train_effect):+.2f}"
    print(f"| {K} | {float(cell.epochs.mean()):.1f} | {means} | {ours} | {rest} |")
c = slope.isel(source=0)
print(f"slope on ln K, n = {int(c.n_seeds)}: {float(c.effect):+.2f} [{float(c.ci[0]):+.2f}, {float(c.ci[1]):+.2f}] pp")
c = kaxis.contrast(cube, **names, scale="normalised").isel(source=0)
print(f"the same in % of headroom: {float(c.effect):+.2f} [{float(c.ci[0]):+.2f}, {float(c.ci[1]):+.2f}]")
print(*kaxis.verdicts(effect), *kaxis.verdicts(slope), sep="\n")

# %%
plots.save(*plots.k_conflict(effect), ROOT / "figures", "cifar_k_conflict")
plots.save(*plots.paired(cube, effect, "cifar100", slope), ROOT / "figures", "cifar_k_paired")
