# %% [markdown]
# # The smallest real source: digits, K = 3, 5, 10
# Embedded 8 x 8 images, 1,000 steps, ten seeds. The task is nearly solved (97 to 99 %), so there is little room for any
# difference in pp; it is here as the real leg that needs no download, not as evidence about large K.

# %%
from pathlib import Path

import kaxis
from kaxis import plots

ROOT = Path(__file__).parent.parent
cube = kaxis.load_cube(kaxis.Store(ROOT / "studies/results/main"), {"source": "digits"})
effect = kaxis.paired(cube, learner="dtg_ff", baseline="bp_deepsup")

# %%
print("| K | bp_deepsup, % | dtg_ff, % | effect, pp [95% t], n = 10 | wins | % of headroom |\n" + "|---" * 6 + "|")
for K in cube.K.values:
    e, test = effect.sel(source="digits", K=K), 100 * cube.test_accuracy.sel(source="digits", K=K).mean("seed")
    means = " | ".join(f"{float(test.sel(learner=name)):.1f}" for name in ("bp_deepsup", "dtg_ff"))
    ours = f"{float(e.effect):+.2f} [{float(e.ci[0]):+.2f}, {float(e.ci[1]):+.2f}] | {int(e.wins)}/{int(e.n_seeds)}"
    print(f"| {K} | {means} | {ours} | {float(e.effect_normalised):+.2f} |")
c = kaxis.contrast(cube, learner="dtg_ff", baseline="bp_deepsup").isel(source=0)
print(f"slope on ln K: {float(c.effect):+.2f} [{float(c.ci[0]):+.2f}, {float(c.ci[1]):+.2f}], p = {float(c.p):.3g}")
print(*kaxis.verdicts(effect), sep="\n")
slope = kaxis.contrast(cube, learner="dtg_ff", baseline="bp_deepsup")
print(*kaxis.verdicts(slope), sep="\n")

# %%
plots.save(*plots.paired(cube, effect, "digits", slope), ROOT / "figures", "digits_paired")
