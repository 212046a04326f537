# %% [markdown]
# # The factorial where every class occurs
# Its effects are printed and drawn by factorial.py, beside the plain teacher's and CIFAR-100's, out of one store. Here: what it says of DTG-FF against
# BP-DeepSup as published, whose readout starts otherwise, at a quarter of the published steps.

# %%
from pathlib import Path

import kaxis

ROOT = Path(__file__).parent.parent
cube = kaxis.load_cube(kaxis.Store(ROOT / "studies/results/factorial"))

# %%
for source in ("synthetic", "synthetic/balance:uniform"):
    one = cube.sel(source=[source])
    pair = {"learner": "dtg_ff", "baseline": "bp_deepsup"}
    effect, slope = kaxis.paired(one, **pair), kaxis.contrast(one, **pair)
    for k in effect.K.values:
        at = effect.isel(source=0).sel(K=k)
        low, high = at.ci.values
        print(f"{source} K = {k}: {float(at.effect):+.2f} [{low:+.2f}, {high:+.2f}]")
    low, high = slope.ci.isel(source=0).values
    print(f"{source} slope on ln K: {float(slope.effect.isel(source=0)):+.2f} [{low:+.2f}, {high:+.2f}]")
