# %% [markdown]
# # The smallest real source: digits, K = 3, 5, 10
# Embedded 8 x 8 images, 1,000 steps, ten seeds, tested on writers that no training image is of; and, beside it, on every third image, whose writers
# the training images know. The task is nearly solved, so there is little room for any difference in pp; it is here as the real leg that needs no
# download, not as evidence about large K.

# %%
from pathlib import Path

import kaxis
from kaxis import plots

ROOT = Path(__file__).parent.parent
AB = {"learner": "dtg_ff", "baseline": "bp_deepsup"}
cube = kaxis.load_cube(kaxis.Store(ROOT / "studies/results/main"))
cube = cube.sel(source=["digits", "digits/interleaved"], K=[3, 5, 10])
effect, slopes = kaxis.paired(cube, **AB), kaxis.contrast(cube, **AB)

# %%
print(
    "| split | K | bp_deepsup, % | dtg_ff, % | effect, pp [95% t], n = 10 | wins | % of headroom |\n" + "|---" * 7 + "|"
)
for source, split in (("digits", "by writer"), ("digits/interleaved", "interleaved")):
    for K in cube.K.values:
        e, test = effect.sel(source=source, K=K), 100 * cube.test_accuracy.sel(source=source, K=K).mean("seed")
        means = " | ".join(f"{float(test.sel(learner=name)):.1f}" for name in ("bp_deepsup", "dtg_ff"))
        ours = f"{float(e.effect):+.2f} [{float(e.ci[0]):+.2f}, {float(e.ci[1]):+.2f}] | {int(e.wins)}/{int(e.n_seeds)}"
        print(f"| {split} | {K} | {means} | {ours} | {float(e.effect_normalised):+.2f} |")
    c = slopes.sel(source=source)
    print(
        f"slope on ln K, {split}: {float(c.effect):+.2f} [{float(c.ci[0]):+.2f}, {float(c.ci[1]):+.2f}], p = {float(c.p):.3g}"
    )
for K in cube.K.values:
    d = (effect.difference.sel(source="digits/interleaved", K=K) - effect.difference.sel(source="digits", K=K)).values
    e = kaxis.estimate(d)
    print(f"K = {K}, effect interleaved minus by writer: {e.mean:+.2f} [{e.lower:+.2f}, {e.upper:+.2f}]")
test = 100 * cube.test_accuracy.sel(K=10, learner="bp_deepsup")
e = kaxis.estimate((test.sel(source="digits/interleaved") - test.sel(source="digits")).values)
print(f"K = 10, bp_deepsup, test accuracy interleaved minus by writer: {e.mean:+.2f} [{e.lower:+.2f}, {e.upper:+.2f}]")
print(*kaxis.verdicts(effect), *kaxis.verdicts(slopes), sep="\n")

# %%
slope = kaxis.contrast(cube.sel(source=["digits"]), **AB)
plots.save(*plots.paired(cube, effect, "digits", slope), ROOT / "figures", "digits_paired")
