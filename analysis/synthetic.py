# %% [markdown]
# # Does DTG-FF's lead over BP-DeepSup grow with K on synthetic tasks?
# The paper's synthetic study (its table of six K, four learners) with ten seeds instead of five. A random ReLU teacher
# labels standard normal inputs; every learner of one (K, seed) sees the same data, initial hidden weights and batch order.

# %%
from pathlib import Path

import numpy as np

import kaxis
from kaxis import plots

ROOT = Path(__file__).parent.parent
cube = kaxis.load_cube(kaxis.Store(ROOT / "studies/results/main"), {"source": "synthetic"})
published = {(row["K"], row["learner"]): row for row in kaxis.published()["synthetic"]}

# %% [markdown]
# ## Ours beside the published means: test accuracy in %, train minus test in pp

# %%
test = 100 * cube.test_accuracy.sel(source="synthetic").mean("seed")
gap = 100 * (cube.train_accuracy - cube.test_accuracy).sel(source="synthetic").mean("seed")
names = [str(name) for name in cube.learner.values]
print("| K | " + " | ".join(f"{name}: ours | published" for name in names) + " |")
print("|" + "---|" * (1 + 2 * len(names)))
for K in cube.K.values:
    ours = [f"{float(test.sel(K=K, learner=n)):.1f} / {float(gap.sel(K=K, learner=n)):.1f}" for n in names]
    theirs = [f"{published[K, n]['test']} / {published[K, n]['gap']}" for n in names]
    print(f"| {K} | " + " | ".join(f"{a} | {b}" for a, b in zip(ours, theirs, strict=True)) + " |")

# %% [markdown]
# ## Paired effects of DTG-FF, and the planned contrast: the slope on ln K (primary), high minus low K (secondary)

# %%
for baseline in ("bp_deepsup", "bp", "bp_ensemble"):
    effect = kaxis.paired(cube, learner="dtg_ff", baseline=baseline).sel(source="synthetic")
    gaps = kaxis.gap(cube, learner="dtg_ff", baseline=baseline).sel(source="synthetic")
    print(
        f"\n| K | dtg_ff - {baseline}, pp [95% t], n = 10 | wins | published | gap difference, pp [95% t] | published |\n"
        + "|---" * 6
        + "|"
    )
    for K in cube.K.values:
        e, g = effect.sel(K=K), gaps.sel(K=K)
        told = {key: published[K, "dtg_ff"][key] - published[K, baseline][key] for key in ("test", "gap")}
        cells = [f"{float(x.effect):+.2f} [{float(x.ci[0]):+.2f}, {float(x.ci[1]):+.2f}]" for x in (e, g)]
        print(
            f"| {K} | {cells[0]} | {int(e.wins)}/{int(e.n_seeds)} | {told['test']:+.1f} | {cells[1]} | {told['gap']:+.1f} |"
        )
    for label, options in (("slope on ln K", {}), ("high - low K", {"low": (5, 10, 15), "high": (20, 30, 50)})):
        c = kaxis.contrast(cube, learner="dtg_ff", baseline=baseline, **options).isel(source=0)
        told = [published[K, "dtg_ff"]["test"] - published[K, baseline]["test"] for K in cube.K.values]
        low_high = np.mean(told[3:]) - np.mean(told[:3])
        theirs = low_high if options else np.polyfit(np.log(cube.K.values), told, 1)[0]
        ours = f"{float(c.effect):+.2f} [{float(c.ci[0]):+.2f}, {float(c.ci[1]):+.2f}], sign-flip p = {float(c.p):.3g}"
        print(
            f"{label}: {ours}, seed correlation {float(c.seed_correlation):+.2f}; from the published means {theirs:+.2f}"
        )
    print(*kaxis.verdicts(kaxis.paired(cube, learner="dtg_ff", baseline=baseline)), sep="\n")
    print(*kaxis.verdicts(kaxis.gap(cube, learner="dtg_ff", baseline=baseline)), sep="\n")
    print(*kaxis.verdicts(kaxis.contrast(cube, learner="dtg_ff", baseline=baseline)), sep="\n")

# %% [markdown]
# ## The paper's own procedure on our cells: a bootstrap over (K, seed) observations taken as independent

# %%
c = kaxis.contrast(
    cube, learner="dtg_ff", baseline="bp_deepsup", low=(5, 10, 15), high=(20, 30, 50), published=True
).isel(source=0)
print(f"as published: {float(c.effect):+.2f} [{float(c.ci[0]):+.2f}, {float(c.ci[1]):+.2f}]")

# %% [markdown]
# ## Is the difference from BP-DeepSup smaller than 1 pp either way? Two one-sided tests, Holm over K

# %%
for row in kaxis.rows(kaxis.equivalence(cube, learner="dtg_ff", baseline="bp_deepsup", margin=1.0)):
    print(
        f"K = {row['K']}: 90 % interval [{row['ci_lower']:+.2f}, {row['ci_upper']:+.2f}], Holm p = {row['p_holm']:.3g}"
    )

# %% [markdown]
# ## Layer by layer: each layer's own classifier against BP-DeepSup's at the same layer

# %%
by_layer = kaxis.layers(cube, learner="dtg_ff", baseline="bp_deepsup")
print("| K | " + " | ".join(f"layer {n}: pp [95% t]" for n in by_layer.layer.values) + " |\n" + "|---" * 5 + "|")
table = kaxis.rows(by_layer)
for K in cube.K.values:
    cells = [f"{r['effect']:+.2f} [{r['ci_lower']:+.2f}, {r['ci_upper']:+.2f}]" for r in table if r["K"] == K]
    print(f"| {K} | " + " | ".join(cells) + " |")
print(*kaxis.verdicts(by_layer), sep="\n")

gain = cube.assign(test_accuracy=cube.test_accuracy - cube.layer_test_accuracy.isel(layer=-1, drop=True))
last = cube.assign(test_accuracy=cube.layer_test_accuracy.isel(layer=-1, drop=True))
for what, one in (("the sum minus its last layer alone", gain), ("the last layer alone", last)):
    c = kaxis.contrast(one.sel(learner=["dtg_ff", "bp_deepsup"]), learner="dtg_ff", baseline="bp_deepsup").isel(
        source=0
    )
    print(
        f"slope on ln K of dtg_ff - bp_deepsup, {what}: {float(c.effect):+.2f} [{float(c.ci[0]):+.2f}, {float(c.ci[1]):+.2f}]"
    )
gaps = kaxis.gap(cube, learner="dtg_ff", baseline="bp_deepsup")
slopes = cube.assign(test_accuracy=cube.train_accuracy - cube.test_accuracy)
c = kaxis.contrast(slopes, learner="dtg_ff", baseline="bp_deepsup").isel(source=0)
told = [published[K, "dtg_ff"]["gap"] - published[K, "bp_deepsup"]["gap"] for K in cube.K.values]
print(
    f"slope on ln K of the gap difference: {float(c.effect):+.2f} [{float(c.ci[0]):+.2f}, {float(c.ci[1]):+.2f}]; "
    f"from the published means {np.polyfit(np.log(cube.K.values), told, 1)[0]:+.2f}"
)

# %% [markdown]
# ## The order of the four learners

# %%
order = kaxis.rankings(cube).sel(source="synthetic")
print("| K | " + " | ".join(names) + " | agreement with the order at K = 5 |\n" + "|---" * (2 + len(names)) + "|")
for K in order.K.values:
    at = order.sel(K=K)
    ranks = " | ".join(f"{float(at['rank'].sel(learner=n)):.2f} ({int(at['first'].sel(learner=n))})" for n in names)
    print(f"| {K} | {ranks} | {float(at.agreement):+.2f} |")

# %% [markdown]
# ## The slope against training length, and what each learner does between 3,000 and 8,000 steps at K = 50

# %%
along = kaxis.slope_steps(cube, learner="dtg_ff", baseline="bp_deepsup").isel(source=0)
for step in along.step.values:
    e = along.sel(step=step)
    print(
        f"{step} steps: slope {float(e.effect):+.2f} [{float(e.ci[0]):+.2f}, {float(e.ci[1]):+.2f}], p = {float(e.p):.3g}"
    )
for step in (1000, 3000):
    moved = kaxis.estimate((along.per_seed.sel(step=8000) - along.per_seed.sel(step=step)).values)
    print(
        f"slope after 8,000 minus after {step:,} steps: {moved.mean:+.2f} [{moved.lower:+.2f}, {moved.upper:+.2f}], p = {moved.p:.3g}"
    )
curve = 100 * cube.test_accuracy_curve.sel(source="synthetic", K=50)
for name in ("dtg_ff", "bp_deepsup"):
    moved = kaxis.estimate((curve.sel(learner=name, step=8000) - curve.sel(learner=name, step=3000)).values)
    print(f"K = 50, {name}, 8,000 minus 3,000 steps: {moved.mean:+.2f} [{moved.lower:+.2f}, {moved.upper:+.2f}]")
best = cube.assign(test_accuracy=cube.test_accuracy_curve.max("step"))
c = kaxis.contrast(best, learner="dtg_ff", baseline="bp_deepsup").isel(source=0)
print(
    f"at each seed's best look at the test set (nobody's rule): slope {float(c.effect):+.2f} [{float(c.ci[0]):+.2f}, {float(c.ci[1]):+.2f}]"
)

# %%
effect = kaxis.paired(cube, learner="dtg_ff", baseline="bp_deepsup")
slope = kaxis.contrast(cube, learner="dtg_ff", baseline="bp_deepsup")
plots.save(*plots.band(effect, "synthetic"), ROOT / "figures", "synthetic_band")
plots.save(*plots.k_conflict(effect, paper=True), ROOT / "figures", "synthetic_k_conflict")
plots.save(*plots.paired(cube, effect, "synthetic", slope), ROOT / "figures", "synthetic_paired")
plots.save(*plots.curves(cube.sel(K=[5, 10, 50]), "synthetic", names), ROOT / "figures", "synthetic_curves")
