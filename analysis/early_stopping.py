# %% [markdown]
# # Does DTG-FF's lead grow with K where neither learner is trained too long?
# The published synthetic comparison (six K, 8,000 steps, ten seeds) with a tenth of the training samples held out: the best of 20 looks counts.
# Planned before the run: the slope on ln K at the best look is primary.

# %%
from pathlib import Path

import kaxis
from kaxis import plots

ROOT = Path(__file__).parent.parent
AB = {"learner": "dtg_ff", "baseline": "bp_deepsup"}
store = kaxis.Store(ROOT / "studies/results/early_stopping")
cube = kaxis.load_cube(store)

# %%
effect = kaxis.paired(cube, **AB).isel(source=0)
print(
    "| K | bp_deepsup, test (train) % | dtg_ff, test (train) % | early-stopped effect, pp [95% t], n = 10 | wins |\n"
    + "|---" * 5
    + "|"
)
for K in cube.K.values:
    at, e = cube.isel(source=0).sel(K=K), effect.sel(K=K)
    told = [
        f"{100 * float(at.test_accuracy.sel(learner=n).mean()):.1f} ({100 * float(at.train_accuracy.sel(learner=n).mean()):.1f})"
        for n in ("bp_deepsup", "dtg_ff")
    ]
    ours = f"{float(e.effect):+.2f} [{float(e.ci[0]):+.2f}, {float(e.ci[1]):+.2f}]"
    print(f"| {K} | {told[0]} | {told[1]} | {ours} | {int(e.wins)}/{int(e.n_seeds)} |")
slope = kaxis.contrast(cube, **AB)
print(*kaxis.verdicts(kaxis.paired(cube, **AB)), *kaxis.verdicts(slope), sep="\n")

# %% [markdown]
# ## The step that was chosen, the slope after the last step of the same cells, and the difference of the two, paired within the seed

# %%
chosen: dict[tuple[str, int], dict[int, int]] = {}
for r in store.records():
    own = chosen.setdefault((r["config"]["learner"]["name"], r["config"]["K"]), {})
    own[r["config"]["seed"]] = r["metrics"]["selected_step"]
for (name, K), by_seed in sorted(chosen.items()):
    steps = by_seed.values()
    print(
        f"{name}, K = {K}: best look after {sum(steps) / len(steps):,.0f} steps in the mean ({min(steps):,} to {max(steps):,})"
    )
later = kaxis.estimate([chosen["dtg_ff", 50][s] - chosen["bp_deepsup", 50][s] for s in sorted(chosen["dtg_ff", 50])])
print(
    f"K = 50, dtg_ff minus bp_deepsup: {later.mean:+.0f} [{later.lower:+.0f}, {later.upper:+.0f}] steps, p = {later.p:.3g}"
)
last = cube.assign(test_accuracy=cube.test_accuracy_curve.sel(step=8000, drop=True))
late = kaxis.contrast(last, **AB)
for label, c in (("best look", slope.isel(source=0)), ("last step", late.isel(source=0))):
    print(
        f"slope on ln K, {label}: {float(c.effect):+.2f} [{float(c.ci[0]):+.2f}, {float(c.ci[1]):+.2f}], p = {float(c.p):.3g}"
    )
apart = kaxis.estimate((late.per_seed - slope.per_seed).isel(source=0).values)
print(f"last step minus best look: {apart.mean:+.2f} [{apart.lower:+.2f}, {apart.upper:+.2f}], p = {apart.p:.3g}")

# %%
plots.save(
    *plots.paired(cube, kaxis.paired(cube, **AB), str(cube.source.values[0]), slope), ROOT / "figures", "early_stopping"
)
