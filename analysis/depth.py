# %% [markdown]
# # Depth alone: equally wide VGG nets of 7, 8 and 10 convolutions
# No records are committed: fill a store with `kaxis run studies/depth.toml --store runs` (add `--small` on two cores),
# then `python analysis/depth.py runs`.

# %%
import sys

import kaxis

store = kaxis.Store(sys.argv[1] if len(sys.argv) > 1 else "runs")

# %%
print("| net | effect of dtg_ff - bp_deepsup, pp [95% t] | n |\n|---|---|---|")
for net in ("vgg8", "vgg11", "vgg13"):
    cube = kaxis.load_cube(store, {"source": "cifar10", "net": net})
    e = kaxis.paired(cube, learner="dtg_ff", baseline="bp_deepsup").isel(source=0, K=0)
    print(f"| {net} | {float(e.effect):+.2f} [{float(e.ci[0]):+.2f}, {float(e.ci[1]):+.2f}] | {int(e.n_seeds)} |")
    print(*kaxis.verdicts(kaxis.paired(cube, learner="dtg_ff", baseline="bp_deepsup")), sep="\n")
