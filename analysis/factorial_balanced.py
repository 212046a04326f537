# %% [markdown]
# # The factorial where every class occurs
# Its effects are printed and drawn by factorial.py, beside the plain teacher's and CIFAR-100's, out of one store. Here: what it says of DTG-FF against
# BP-DeepSup as published, whose readout starts otherwise, at a quarter of the published steps.

# %%
from pathlib import Path

import xarray as xr

import kaxis

ROOT = Path(__file__).parent.parent
store = kaxis.Store(ROOT / "studies/results/factorial")
cube = kaxis.load_cube(store)

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

# %% [markdown]
# ## Do the slopes of the gradient, of the readout and of the corners differ between the tasks? Ours, not planned
# A factor's main effect is the mean of the eight learners that have it minus that of the eight that do not.

# %%
ON = {"gradient": "local", "readout": "fixed"}
levels = {r["config"]["learner"]["name"]: r["config"]["learner"] for r in store.records(curves=False, outcomes=False)}
KEEP = ["test_accuracy", "chance", "status", "reason", "asked", "finished"]


def halves(factor: str) -> xr.Dataset:
    """Two learners, `on` and `off`: the means over those that have the factor and those that have it not."""
    sixteen = [n for n in map(str, cube.learner.values) if n != "bp_deepsup"]
    parts = []
    for name in ("on", "off"):
        own = [n for n in sixteen if (levels[n][factor] == ON[factor]) == (name == "on")]
        assert len(own) == 8
        mean = cube[KEEP].sel(learner=[own[0]]).assign_coords(learner=[name])
        parts.append(
            mean.assign(test_accuracy=cube.test_accuracy.sel(learner=own).mean("learner").expand_dims(learner=[name]))
        )
    return xr.concat(parts, "learner").assign_attrs(cube.attrs)


PLAIN, BALANCED, REAL = "synthetic", "synthetic/balance:uniform", "cifar100/pca:32"
ASKED = {factor: (halves(factor), {"learner": "on", "baseline": "off"}) for factor in ON}
ALL_OFF = kaxis.factorial(cube).attrs["baseline"]
ASKED["corners"] = cube, {"learner": "dtg_ff", "baseline": ALL_OFF}
for what, (one, pair) in ASKED.items():
    for a, b in ((PLAIN, BALANCED), (BALANCED, REAL), (PLAIN, REAL)):
        d = kaxis.conflict(one, **pair, synthetic=a, real=b)
        low, high = d.ci.values
        print(
            f"{what}, slope on {b} minus that on {a}: {float(d.difference):+.2f} [{low:+.2f}, {high:+.2f}], {d.attrs['ci_kind']}"
        )
