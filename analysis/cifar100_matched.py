# %% [markdown]
# # The same students on CIFAR-100: does the difference move with K as on synthetic tasks?
# The synthetic study's MLP, optimizer, batch and steps; inputs are 32 whitened principal components, as many as the
# synthetic task has. K classes are drawn by the seed, nested along K. Three sampling legs: all images of the classes
# (the set grows with K), 100 images a class, 2,500 images in all (constant in K, as the synthetic task is).
# At K = 100 there is one class subset, all of them: seeds vary initialisation and batch order and, but for the leg with all images, the training images.
# Three slopes, none adjusted for being three.

# %%
from pathlib import Path

import kaxis
from kaxis import plots

ROOT = Path(__file__).parent.parent
cube = kaxis.load_cube(kaxis.Store(ROOT / "studies/results/main"))
real = cube.sel(source=[s for s in cube.source.values if s.startswith("cifar100")])

# %%
for baseline in ("bp_deepsup", "bp"):
    effect = kaxis.paired(real, learner="dtg_ff", baseline=baseline)
    gaps = kaxis.gap(real, learner="dtg_ff", baseline=baseline)
    slope = kaxis.contrast(real, learner="dtg_ff", baseline=baseline)
    scaled = kaxis.contrast(real, learner="dtg_ff", baseline=baseline, scale="normalised")
    odds = kaxis.contrast(real, learner="dtg_ff", baseline=baseline, scale="logit")
    for source in real.source.values:
        print(f"\n{source}: dtg_ff - {baseline}")
        print(
            "| K | epochs | dtg_ff test, % | effect, pp [95% t], n = 10 | wins | % of headroom | train effect | gap difference |\n"
            + "|---" * 8
            + "|"
        )
        for K in effect.K.values[effect.n_seeds.sel(source=source) > 0]:
            at = {"source": source, "K": K}
            e, g, cell = effect.sel(at), gaps.sel(at), real.sel(at).sel(learner="dtg_ff")
            ours = f"{float(e.effect):+.2f} [{float(e.ci[0]):+.2f}, {float(e.ci[1]):+.2f}] | {int(e.wins)}/{int(e.n_seeds)}"
            rest = f"{float(e.effect_normalised):+.2f} | {float(g.train_effect):+.2f} | {float(g.effect):+.2f}"
            print(
                f"| {K} | {float(cell.epochs.mean()):.0f} | {100 * float(cell.test_accuracy.mean()):.1f} | {ours} | {rest} |"
            )
        for name, result, form in (
            ("pp", slope, "+.2f"),
            ("% of headroom", scaled, "+.2f"),
            ("log odds", odds, "+.3f"),
        ):
            c = result.sel(source=source)
            print(
                f"slope on ln K, {name}: {float(c.effect):{form}} [{float(c.ci[0]):{form}}, {float(c.ci[1]):{form}}], p = {float(c.p):.3g}"
            )

    print(*kaxis.verdicts(slope), sep="\n")

# %% [markdown]
# ## Does the slope differ from the synthetic one? Over the K in common; paired where the legs' slopes correlate below -.3, else Welch

# %%
for source in real.source.values:
    across = kaxis.conflict(cube, learner="dtg_ff", baseline="bp_deepsup", synthetic="synthetic", real=str(source))
    synthetic, own = (
        f"{float(m):+.2f} [{float(ci[0]):+.2f}, {float(ci[1]):+.2f}]"
        for m, ci in zip(across.slope, across.slope_ci, strict=True)
    )
    apart = f"{float(across.difference):+.2f} [{float(across.ci[0]):+.2f}, {float(across.ci[1]):+.2f}]"
    print(f"| {source} | {synthetic} | {own} | {apart} |")
    print(*kaxis.verdicts(across), sep="\n")
for step in (1000, 3000):  # ours, not planned: the same cells' curves
    early = cube.assign(test_accuracy=cube.test_accuracy_curve.sel(step=step, drop=True))
    for source in real.source.values:
        d = kaxis.conflict(early, learner="dtg_ff", baseline="bp_deepsup", synthetic="synthetic", real=str(source))
        ends = f"{float(d.difference):+.2f} [{float(d.ci[0]):+.2f}, {float(d.ci[1]):+.2f}]"
        print(f"after {step:,} steps, {source} minus synthetic, slopes: {ends}, {d.attrs['ci_kind']}")

# %% [markdown]
# ## The sampling legs against each other, paired within the seed; and the largest K of the leg with equal totals

# %%
AB = {"learner": "dtg_ff", "baseline": "bp_deepsup"}
full, per_class, total = map(str, real.source.values)
for other in (per_class, total):
    apart = kaxis.differential(real, **AB, of=full, against=other, slope=True)
    print(
        f"slope, all images minus {other}: {float(apart.effect):+.2f} [{float(apart.ci[0]):+.2f}, {float(apart.ci[1]):+.2f}]"
    )
    print(kaxis.verdicts(apart)[0])
c = kaxis.contrast(real.sel(source=[total]), **AB, low=(20,), high=(100,)).isel(source=0)
print(
    f"{total}, K = 100 minus K = 20: {float(c.effect):+.2f} [{float(c.ci[0]):+.2f}, {float(c.ci[1]):+.2f}], p = {float(c.p):.3g}"
)

# %% [markdown]
# ## How straight is the line? Slopes below and above K = 20 and single steps, chosen after the curve was seen

# %%
for source in map(str, real.source.values):
    for Ks in ([5, 10, 20], [20, 50, 100]):
        c = kaxis.contrast(real.sel(source=[source], K=Ks), **AB).isel(source=0)
        ends = f"{float(c.effect):+.2f} [{float(c.ci[0]):+.2f}, {float(c.ci[1]):+.2f}], p = {float(c.p):.3g}"
        print(f"{source}, slope over K = {', '.join(map(str, Ks))}: {ends}")
    for low, high in ((5, 20), (20, 50), (50, 100)):
        c = kaxis.contrast(real.sel(source=[source]), **AB, low=(low,), high=(high,)).isel(source=0)
        ends = f"{float(c.effect):+.2f} [{float(c.ci[0]):+.2f}, {float(c.ci[1]):+.2f}], p = {float(c.p):.3g}"
        print(f"{source}, K = {high} minus K = {low}: {ends}")

# %% [markdown]
# ## Along training: the slope after each number of steps, from the same cells' curves

# %%
along = kaxis.slope_steps(cube, **AB)
print(
    "| source | "
    + " | ".join(f"{s:,} steps" for s in along.step.values)
    + " |\n"
    + "|---" * (1 + along.sizes["step"])
    + "|"
)
for source in map(str, along.source.values):
    cells = []
    for step in along.step.values:
        e = along.sel(source=source, step=step)
        cells.append(f"{float(e.effect):+.2f} [{float(e.ci[0]):+.2f}, {float(e.ci[1]):+.2f}]" if int(e.n_seeds) else "")
    print(f"| {source} | {' | '.join(cells)} |")
kept = along.sel(source=[s for s in along.source.values if not s.startswith("digits")])
plots.save(*plots.slope_steps(kept), ROOT / "figures", "slope_steps")

# %% [markdown]
# ## The K-conflict: synthetic and real on one axis, then each leg by itself

# %%
effect = kaxis.paired(cube, learner="dtg_ff", baseline="bp_deepsup")
shown = effect.sel(source=[s for s in effect.source.values if s != "digits/interleaved"])
plots.save(*plots.k_conflict(shown, paper=True), ROOT / "figures", "k_conflict")
for source, name in zip(real.source.values, ("all", "per_class", "train_total"), strict=True):
    slope = kaxis.contrast(cube.sel(source=[source]), learner="dtg_ff", baseline="bp_deepsup")
    plots.save(*plots.paired(cube, effect, str(source), slope), ROOT / "figures", f"cifar100_paired_{name}")
