# %% [markdown]
# # 224 px: VGG11 under one recipe for DTG-FF, BP and BP-DeepSup
# The matched control that the paper lacks. Committed records: 600 photographs of 10 classes at a quarter of the width, four
# epochs: a proof that the leg runs from photographs to paired effects, no evidence about converged accuracy. With ImageNet-100
# and a GPU: `kaxis run studies/imagenet100.toml`, then `python analysis/imagenet100.py runs`.

# %%
import sys
from pathlib import Path

import kaxis

ROOT = Path(__file__).parent.parent
STORE = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "studies/results/cnn"
cube = kaxis.load_cube(kaxis.Store(STORE), {"net": "vgg11"})

# %%
print("| source | K | dtg_ff minus | effect, pp [95% t] | wins |\n" + "|---" * 5 + "|")
for baseline in ("bp", "bp_deepsup"):
    effect = kaxis.paired(cube, learner="dtg_ff", baseline=baseline)
    for source in effect.source.values:
        for K in effect.K.values[effect.n_seeds.sel(source=source) > 0]:
            e = effect.sel(source=source, K=K)
            limits = (
                f"[{float(e.ci[0]):+.2f}, {float(e.ci[1]):+.2f}]" if int(e.n_seeds) > 1 else "(one seed: no interval)"
            )
            interval = f"{float(e.effect):+.2f} {limits}"
            print(f"| {source} | {K} | {baseline} | {interval} | {int(e.wins)}/{int(e.n_seeds)} |")
    print(*kaxis.verdicts(effect), sep="\n")
for learner in cube.learner.values:
    test, train = (100 * float(cube[name].sel(learner=learner).mean()) for name in ("test_accuracy", "train_accuracy"))
    print(f"{learner}: test {test:.1f} %, train {train:.1f} %")
