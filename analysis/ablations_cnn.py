# %% [markdown]
# # The paper's ablations on CIFAR-10, as differences from DTG-FF
# No records are committed: fill a store with `kaxis run studies/ablations_cnn.toml --store runs` (add `--small` on two cores),
# then `python analysis/ablations_cnn.py runs`.

# %%
import sys

import kaxis

store = kaxis.Store(sys.argv[1] if len(sys.argv) > 1 else "runs")
cube = kaxis.load_cube(
    store, {"source": "cifar10", "dropout": "0.1", "local_step": "interleaved", "augment": "crop flip jitter cutout"}
)

# %%
print("| learner | test, % | minus dtg_ff, pp [95% t] | n |\n|---|---|---|---|")
for learner in map(str, cube.learner.values):
    mean = 100 * float(cube.test_accuracy.sel(learner=learner).mean())
    if learner == "dtg_ff":
        print(f"| {learner} | {mean:.2f} | | |")
        continue
    e = kaxis.paired(cube, learner=learner, baseline="dtg_ff").isel(source=0, K=0)
    print(
        f"| {learner} | {mean:.2f} | {float(e.effect):+.2f} [{float(e.ci[0]):+.2f}, {float(e.ci[1]):+.2f}] | {int(e.n_seeds)} |"
    )
