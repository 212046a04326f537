# %% [markdown]
# # The other image sets of the paper
# No records are committed: fill a store with `kaxis run studies/secondary.toml --store runs` (add `--small` on two cores),
# then `python analysis/secondary.py runs`.

# %%
import sys

import kaxis

store = kaxis.Store(sys.argv[1] if len(sys.argv) > 1 else "runs")
cube = kaxis.load_cube(store, {"net": "vgg8"})
effect = kaxis.paired(cube, learner="dtg_ff", baseline="bp_deepsup")

# %%
print("| source | K | dtg_ff - bp_deepsup, pp [95% t] | n |\n|---|---|---|---|")
for source in effect.source.values:
    for K in effect.K.values[effect.n_seeds.sel(source=source) > 0]:
        e = effect.sel(source=source, K=K)
        print(
            f"| {source} | {K} | {float(e.effect):+.2f} [{float(e.ci[0]):+.2f}, {float(e.ci[1]):+.2f}] | {int(e.n_seeds)} |"
        )
print(*kaxis.verdicts(effect), sep="\n")
