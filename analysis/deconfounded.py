# %% [markdown]
# # K and difficulty apart: does the difference move with the number of classes, or with how hard they are to tell?
# Synthetic tasks whose classes are equally frequent, at three margins and at matched difficulty, K = 5 to 50, eight seeds, 3,000 steps.

# %%
from pathlib import Path

import numpy as np

import kaxis
from kaxis import plots

ROOT = Path(__file__).parent.parent
cube = kaxis.load_cube(kaxis.Store(ROOT / "studies/results/deconfounded"))
AB = {"learner": "dtg_ff", "baseline": "bp_deepsup"}
UNIFORM = "synthetic/balance:uniform"
LEVELS = {
    "matched": f"{UNIFORM}/margin:match:0.4",
    "all": UNIFORM,
    "easy half": f"{UNIFORM}/margin:above:0.5",
    "hard half": f"{UNIFORM}/margin:below:0.5",
    "plain teacher": "synthetic",
    "400 a class": f"{UNIFORM}/per_class:400",
}


def interval(effect, ci) -> str:
    return f"{float(effect):+.2f} [{float(ci[0]):+.2f}, {float(ci[1]):+.2f}]"


# %% [markdown]
# ## How many of the plain teacher's classes ever occur among its 20,000 training samples?

# %%
for K in (5, 10, 20, 50):
    cells = kaxis.Sweep.of({"source": "synthetic", "K": K, "seeds": "0-7", "learners": "bp"}).cells()
    present = [len(np.unique(kaxis.load_task(c.data, K, c.seed).y_train)) for c in cells]
    print(f"K = {K}: {min(present)} to {max(present)} classes occur, {np.mean(present):.1f} on average")

# %% [markdown]
# ## Effects of DTG-FF - BP-DeepSup along K at each difficulty (pp, 95% t)

# %%
effect, slope = kaxis.paired(cube, **AB), kaxis.contrast(cube.sel(source=list(LEVELS.values())), **AB)
scaled = kaxis.contrast(cube.sel(source=list(LEVELS.values())), **AB, scale="normalised")
K = [5, 10, 20, 50]
print(
    "| samples | "
    + " | ".join(f"K = {k}" for k in K)
    + " | slope on ln K | slope, % of headroom |\n"
    + "|---" * 7
    + "|"
)
for name, source in LEVELS.items():
    cells = [interval(effect.effect.sel(source=source, K=k), effect.ci.sel(source=source, K=k)) for k in K]
    s, n = slope.sel(source=source), scaled.sel(source=source)
    print(f"| {name} | {' | '.join(cells)} | {interval(s.effect, s.ci)} | {interval(n.effect, n.ci)} |")
print("\n| samples | learner | " + " | ".join(f"K = {k}: test / train, %" for k in K) + " |\n" + "|---" * 6 + "|")
for name, source in LEVELS.items():
    for learner in ("bp_deepsup", "dtg_ff"):
        at = cube[["test_accuracy", "train_accuracy"]].sel(source=source, learner=learner).mean("seed")
        cells = [
            f"{100 * float(at.test_accuracy.sel(K=k)):.1f} / {100 * float(at.train_accuracy.sel(K=k)):.1f}" for k in K
        ]
        print(f"| {name} | {learner} | {' | '.join(cells)} |")
print(*kaxis.verdicts(slope), sep="\n")

# %% [markdown]
# ## Difficulty at fixed K, and its interaction with K: hard minus easy half, paired within the seed

# %%
for k in K:
    d = kaxis.differential(cube, **AB, of=LEVELS["hard half"], against=LEVELS["easy half"], K=(k, k))
    print(f"hard minus easy at K = {k}: {interval(d.effect, d.ci)} pp, p = {float(d.p):.3g}")
d = kaxis.differential(cube, **AB, of=LEVELS["hard half"], against=LEVELS["easy half"], slope=True)
print(
    f"interaction, slope of hard minus slope of easy: {interval(d.effect, d.ci)} pp per unit of ln K, p = {float(d.p):.3g}"
)
print(*kaxis.verdicts(d), sep="\n")
d = kaxis.differential(cube, **AB, of=LEVELS["400 a class"], against=LEVELS["all"], slope=True)
more = [(a, b, None) for a, b in (("matched", "all"), ("matched", "easy half"))]
for a, b, at in [*more, *(("400 a class", "all", k) for k in (5, 20))]:
    one = {"slope": True} if at is None else {"K": (at, at)}
    apart = kaxis.differential(cube, **AB, of=LEVELS[a], against=LEVELS[b], **one)
    print(
        f"{a} minus {b}, {'slopes' if at is None else f'effects at K = {at}'}: {interval(apart.effect, apart.ci)}, p = {float(apart.p):.3g}"
    )
print(f"400 a class minus 20,000 in all, slopes: {interval(d.effect, d.ci)} pp per unit of ln K, p = {float(d.p):.3g}")

# %% [markdown]
# ## A hierarchical teacher: 50 classes in 10 superclasses, fine, coarse and randomly merged labels

# %%
TREE = "teacher_classes:50/superclasses:10/balance:uniform"
VIEWS = {
    "fine (50)": ("synthetic/superclasses:10/balance:uniform", 50),
    "coarse (10)": (f"synthetic/coarse/{TREE}", 10),
    "merged (10)": (f"synthetic/merge:10/{TREE}", 10),
}
print("| labels | bp_deepsup, % | dtg_ff, % | effect, pp [95% t], n = 8 |\n|---|---|---|---|")
for name, (source, k) in VIEWS.items():
    e, at = effect.sel(source=source, K=k), cube.sel(source=source, K=k)
    means = " | ".join(f"{100 * float(at.test_accuracy.sel(learner=n).mean()):.1f}" for n in ("bp_deepsup", "dtg_ff"))
    print(f"| {name} | {means} | {interval(e.effect, e.ci)} |")
for a, b in (("coarse (10)", "merged (10)"), ("coarse (10)", "fine (50)"), ("merged (10)", "fine (50)")):
    d = kaxis.differential(cube, **AB, of=VIEWS[a][0], against=VIEWS[b][0], K=(VIEWS[a][1], VIEWS[b][1]))
    print(f"{a} minus {b}: {interval(d.effect, d.ci)} pp, p = {float(d.p):.3g}")

# %%
plots.save(*plots.k_conflict(effect.sel(source=list(LEVELS.values()))), ROOT / "figures", "deconfounded")
