# %% [markdown]
# # Against a tuned and a regularised baseline
# Synthetic tasks, a tenth of the training samples held out in every leg, six seeds, 3,000 steps. Settings are chosen by each seed for itself on
# what it held out; the test set is not seen.

# %%
from collections import Counter
from pathlib import Path

import numpy as np
import xarray as xr

import kaxis
from kaxis import plots
from kaxis.stats.models import fieller

ROOT = Path(__file__).parent.parent
store = kaxis.Store(ROOT / "studies/results/fairness")
cube, low, high, tuned = (
    kaxis.load_cube(store, {"select": "last", "lr": lr}) for lr in ("0.001", "0.0003", "0.003", "tuned")
)
stopped = kaxis.load_cube(store, {"select": "best"})
SOURCE = str(cube.source.values[0])


def called(cube: xr.Dataset, what: str) -> xr.Dataset:
    return cube.assign_coords(learner=[f"{name}, {what}" for name in map(str, cube.learner.values)])


tuned, stopped = called(tuned, "tuned"), called(stopped, "early stopping")


def interval(effect, ci) -> str:
    return f"{float(effect):+.2f} [{float(ci[0]):+.2f}, {float(ci[1]):+.2f}]"


# %% [markdown]
# ## Every learner's rate chosen on held-out samples

# %%
chosen = Counter(
    (r["config"]["learner"]["name"], r["config"]["K"], r["tuning"]["chosen"])
    for r in store.records(curves=False, outcomes=False)
    if "tuning" in r
)
for (name, K, setting), n in sorted(chosen.items()):
    print(f"{name}, K = {K}: {n} of {cube.sizes['seed']} seeds choose {setting}")
effect = kaxis.paired(tuned, learner="dtg_ff, tuned", baseline="bp_deepsup, tuned")
slope = kaxis.contrast(tuned, learner="dtg_ff, tuned", baseline="bp_deepsup, tuned")
print(*kaxis.verdicts(effect), *kaxis.verdicts(slope), sep="\n")

# %% [markdown]
# ## DTG-FF at the shared rate, and tuned, minus BP-DeepSup in six states; effects on accuracy and on the train-test gap

# %%
KEEP = ["test_accuracy", "train_accuracy", "chance", "status", "reason", "asked", "finished"]
joined = xr.concat([part[KEEP] for part in (cube, low, high, tuned, stopped)], "learner")
rows = []
BASELINES = [
    "bp_deepsup",
    "bp_deepsup, tuned",
    "bp_deepsup, early stopping",
    "bp_deepsup[weight_decay=0.1]",
    "bp_deepsup[weight_decay=1]",
    "bp_deepsup[label_smoothing=0.1]",
]
print(
    "| dtg_ff | minus | "
    + " | ".join(f"K = {k}: pp [95% t]" for k in cube.K.values)
    + " | slope on ln K |\n"
    + "|---" * 6
    + "|"
)
for learner in ("dtg_ff", "dtg_ff, tuned", "dtg_ff, early stopping"):
    for baseline in BASELINES:
        e = kaxis.paired(joined, learner=learner, baseline=baseline).isel(source=0)
        s = kaxis.contrast(joined, learner=learner, baseline=baseline).isel(source=0)
        cells = [interval(e.effect.sel(K=k), e.ci.sel(K=k)) for k in e.K.values]
        print(f"| {learner} | {baseline} | {' | '.join(cells)} | {interval(s.effect, s.ci)} |")
        if learner == "dtg_ff, tuned":
            rows += [
                {
                    "label": baseline,
                    "series": f"K = {k}",
                    "effect": float(e.effect.sel(K=k)),
                    "ci_lower": float(e.ci.sel(K=k)[0]),
                    "ci_upper": float(e.ci.sel(K=k)[1]),
                    "n_seeds": int(e.n_seeds.sel(K=k)),
                }
                for k in e.K.values
            ]
print("\n| learner | " + " | ".join(f"K = {k}: test / train, %" for k in cube.K.values) + " |\n" + "|---" * 4 + "|")
for name in map(str, joined.learner.values):
    at = joined.sel(source=SOURCE, learner=name)
    cells = [
        f"{100 * float(at.test_accuracy.sel(K=k).mean()):.1f} / {100 * float(at.train_accuracy.sel(K=k).mean()):.1f}"
        for k in cube.K.values
    ]
    print(f"| {name} | {' | '.join(cells)} |")
for baseline in ("bp_deepsup", "bp_deepsup, early stopping"):
    g = kaxis.gap(joined, learner="dtg_ff", baseline=baseline).isel(source=0)
    print(
        f"gap of dtg_ff minus gap of {baseline}: "
        + ", ".join(f"K = {k} {interval(g.effect.sel(K=k), g.ci.sel(K=k))}" for k in g.K.values)
    )

# Gaps against every regularised baseline, and with the same regulariser on both sides (ours, not planned)
print(
    "\n| gap of | minus that of | "
    + " | ".join(f"K = {k}: pp [95% t]" for k in cube.K.values)
    + " |\n"
    + "|---" * 5
    + "|"
)
STOPPED, DECAYED = "{}, early stopping", "{}[weight_decay=1]"
GAPS = [("dtg_ff", baseline) for baseline in BASELINES if "tuned" not in baseline]
GAPS += [tuple(form.format(name) for name in ("dtg_ff", "bp_deepsup")) for form in (STOPPED, DECAYED)]
for learner, baseline in GAPS:
    g = kaxis.gap(joined, learner=learner, baseline=baseline).isel(source=0)
    cells = [interval(g.effect.sel(K=k), g.ci.sel(K=k)) for k in g.K.values]
    print(f"| {learner} | {baseline} | {' | '.join(cells)} |")
print(
    "\n| regularised | minus bp_deepsup | "
    + " | ".join(f"K = {k}: pp [95% t]" for k in cube.K.values)
    + " |\n"
    + "|---" * 5
    + "|"
)
for name in BASELINES[2:]:
    e = kaxis.paired(joined, learner=name, baseline="bp_deepsup").isel(source=0)
    print(f"| {name} | bp_deepsup | {' | '.join(interval(e.effect.sel(K=k), e.ci.sel(K=k)) for k in e.K.values)} |")
s = kaxis.contrast(joined, learner="bp_deepsup[label_smoothing=0.1]", baseline="bp_deepsup[weight_decay=1]").isel(
    source=0
)
print(
    f"slope on ln K of smoothed labels minus weight decay 1, which a comparison with either moves by: {interval(s.effect, s.ci)}"
)

apart = {b: kaxis.gap(joined, learner="dtg_ff", baseline=b).isel(source=0).difference for b in BASELINES[::2][:2]}
late, early = (apart[b] for b in ("bp_deepsup", "bp_deepsup, early stopping"))
for K in map(int, cube.K.values):
    share, low, high = fieller((late - early).sel(K=K).values, late.sel(K=K).values)
    ends = "unbounded" if np.isinf(low) else f"interval {100 * low:.0f} to {100 * high:.0f} %"
    print(
        f"K = {K}: of dtg_ff's smaller gap early stopping takes {100 * share:.0f} %, {ends} (Fieller, n = {late.sizes['seed']})"
    )

# %%
figure, rows = plots.forest(rows, "tuned dtg_ff minus ... on test accuracy (pp), mean and 95% t interval over 6 seeds")
plots.save(figure, rows, ROOT / "figures", "fairness")
