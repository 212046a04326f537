# %% [markdown]
# # Which learning rate for which learner at the setting of the converged study
# VGG8 at 16 px and an eighth of its width, CIFAR-100, K = 20, 60 epochs, one seed, a tenth of the training images held out. The
# choice is made on the held-out images, never on the test set; each best rate lies inside its grid, or is not chosen.

# %%
from pathlib import Path

import kaxis

ROOT = Path(__file__).parent.parent


def arm(config: dict) -> str:
    """What is tuned: the learner without its rate, and where its net or augmentation is not the study's."""
    name, _, settings = config["learner"]["name"].rstrip("]").partition("[")
    kept = ",".join(s for s in settings.split(",") if s and not s.startswith("lr="))
    net, cutout = config["net"], "cutout" in config["train"]["augment"]
    depth = [f"{net['name']} of equal widths"] if net["depth_only"] else []
    return ", ".join([f"{name}[{kept}]" if kept else name, *depth, *([] if cutout else ["no Cutout"])])


by_arm: dict[str, list[tuple[float, float]]] = {}
for record in kaxis.Store(ROOT / "studies/results/converged_lr").records():
    own = by_arm.setdefault(arm(record["config"]), [])
    own.append((record["config"]["learner"]["lr"], 100 * record["metrics"]["held_accuracy"]))

# %%
print("| learner | held-out accuracy, %, by learning rate | chosen |\n|---|---|---|")
for name, grid in sorted(by_arm.items()):
    grid.sort()
    best = max(grid, key=lambda pair: pair[1])[0]
    inside = grid[0][0] < best < grid[-1][0]
    print(
        f"| {name} | {', '.join(f'{lr:g}: {held:.1f}' for lr, held in grid)} | {f'{best:g}' if inside else 'at the edge: widen'} |"
    )
