# %% [markdown]
# # Where every class occurs: the synthetic comparison at the published number of steps, with tuned rates and other readout scales
# Equal shares of all classes, a tenth held out, 8,000 steps, K = 5 and 50, six seeds.

# %%
from pathlib import Path

import kaxis

ROOT = Path(__file__).parent.parent
cube = kaxis.load_cube(kaxis.Store(ROOT / "studies/results/balanced"))
SOURCE = str(cube.source.values[0])
RATES = {f"{name}, tuned": [f"{name}[lr=0.0003]", name, f"{name}[lr=0.003]"] for name in ("bp_deepsup", "dtg_ff")}
SCALES = ["dtg_ff", "dtg_ff[readout_scale=rsqrt_K]", "dtg_ff[readout_scale=rsqrt_width]"]


def interval(effect, ci) -> str:
    return f"{float(effect):+.2f} [{float(ci[0]):+.2f}, {float(ci[1]):+.2f}]"


# %%
print("| learner | K = 5: test / train, % | K = 50: test / train, % |\n|---|---|---|")
for name in map(str, cube.learner.values):
    at = cube.sel(source=SOURCE, learner=name)
    means = [
        f"{100 * float(at.test_accuracy.sel(K=k).mean()):.1f} / {100 * float(at.train_accuracy.sel(K=k).mean()):.1f}"
        for k in (5, 50)
    ]
    print(f"| {name} | {' | '.join(means)} |")

# %% [markdown]
# ## Effects on test accuracy, pp

# %%
tuned = kaxis.tuned(cube, {**RATES, "dtg_ff, tuned rate and scale": [*RATES["dtg_ff, tuned"], *SCALES[1:]]})
for name in map(str, tuned.learner.values):
    for k in (5, 50):
        chosen = tuned.chosen.sel(source=SOURCE, learner=name, K=k).values.tolist()
        print(f"{name}, K = {k}: " + ", ".join(f"{g} {chosen.count(g)}" for g in dict.fromkeys(chosen)))
print("| comparison | K = 5 | K = 50 | slope on ln K |\n|---|---|---|---|")
asked = [(cube, learner, "bp_deepsup") for learner in SCALES]
asked += [(tuned, learner, "bp_deepsup, tuned") for learner in ("dtg_ff, tuned", "dtg_ff, tuned rate and scale")]
for one, learner, baseline in asked:
    e = kaxis.paired(one, learner=learner, baseline=baseline).isel(source=0)
    s = kaxis.contrast(one, learner=learner, baseline=baseline).isel(source=0)
    cells = [interval(e.effect.sel(K=k), e.ci.sel(K=k)) for k in (5, 50)]
    print(f"| {learner} minus {baseline} | {' | '.join(cells)} | {interval(s.effect, s.ci)} |")
print(*kaxis.verdicts(kaxis.paired(tuned, learner="dtg_ff, tuned", baseline="bp_deepsup, tuned")), sep="\n")

# %% [markdown]
# ## The slope against training length, at the shared rate: here, and in the deconfounded study (four K, eight seeds)

# %%
other = kaxis.load_cube(kaxis.Store(ROOT / "studies/results/deconfounded")).sel(source=["synthetic/balance:uniform"])
for one in (cube, other):
    along = kaxis.slope_steps(one, learner="dtg_ff", baseline="bp_deepsup").isel(source=0)
    told = [
        f"{int(e.step)} steps {interval(e.effect, e.ci)}"
        for e in (along.isel(step=i) for i in range(along.sizes["step"]))
    ]
    print(f"{along.source.item()}: {', '.join(told)}")
