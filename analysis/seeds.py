# %% [markdown]
# # How many seeds would the synthetic slope have needed?
# The committed cells, seed after seed, as if they had come one at a time: the e-process against a slope of 0 and its confidence sequence. The spread of a
# seed's slope is from the first three seeds, which are then not counted; and, to see what that costs, given as .4 with all ten counted (a look at the data: not
# a plan). Then, by simulation, how many seeds studies like this one take.

# %%
from pathlib import Path

import numpy as np

import kaxis
from kaxis.stats.sequential import evidence

ROOT = Path(__file__).parent.parent
AB = {"learner": "dtg_ff", "baseline": "bp_deepsup"}
cube = kaxis.load_cube(kaxis.Store(ROOT / "studies/results/main"))
cube = cube.sel(source=[s for s in cube.source.values if s != "digits/interleaved"])

# %%
print(
    "| source | spread | counted | largest E | slope on ln K, 95 % confidence sequence | decided |\n" + "|---" * 6 + "|"
)
for options in ({"pilot": 3}, {"spread": 0.4}):
    found = kaxis.sequential(cube, **AB, margin=0.5, **options)
    for source in found.source.values:
        one = found.sel(source=source)
        last = one.dropna("seed", subset=["e"]).isel(seed=-1)
        spread = f"{float(one.spread):.2f}, {'three pilots' if 'pilot' in options else 'given'}"
        ends = "unbounded" if np.isinf(last.ci).any() else f"[{float(last.ci[0]):+.2f}, {float(last.ci[1]):+.2f}]"
        decided = str(one.decided.item()) + (
            f" after {int(one.decided_n)}" if str(one.decided.item()) != "open" else ""
        )
        print(f"| {source} | {spread} | {int(one.n_seeds)} | {float(last.e_max):.1f} | {ends} | {decided} |")

# %% [markdown]
# ## Studies like this one: normal slopes with the observed mean and spread

# %%
slopes = kaxis.contrast(cube, **AB)
rng = np.random.default_rng(0)
for source in ("synthetic", "cifar100/pca:32"):
    d = slopes.per_seed.sel(source=source).values
    mean, sd = float(d.mean()), float(d.std(ddof=1))
    needed = []
    for row in rng.normal(mean, sd, (2000, 80)):
        crossed = np.flatnonzero(evidence(row, sd) >= 20)
        needed.append(crossed[0] + 1 if len(crossed) else 81)
    half, most = np.quantile(needed, [0.5, 0.8])
    print(
        f"{source}: slope {mean:+.2f}, spread {sd:.2f}: half of such studies are decided by n = {half:.0f}, 80 % by {most:.0f}"
    )
