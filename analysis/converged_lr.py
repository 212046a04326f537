# %% [markdown]
# # Which learning rate for which learner where conv nets converge
# VGG8 at 16 px and an eighth of its width, CIFAR-100, K = 20, 60 epochs, one seed, a tenth of the training images held out. The
# choice is made on the held-out images, never on the test set; each best rate lies inside its grid.

# %%
from pathlib import Path

import kaxis

ROOT = Path(__file__).parent.parent
by_learner: dict[str, list[tuple[float, float]]] = {}
for record in kaxis.Store(ROOT / "studies/results/converged_lr").records():
    learner, metrics = record["config"]["learner"], record["metrics"]
    by_learner.setdefault(learner["name"].partition("[")[0], []).append((learner["lr"], 100 * metrics["held_accuracy"]))

# %%
print("| learner | held-out accuracy, %, by learning rate | chosen |\n|---|---|---|")
for learner, grid in sorted(by_learner.items()):
    grid.sort()
    best = max(grid, key=lambda pair: pair[1])[0]
    assert grid[0][0] < best < grid[-1][0], f"{learner}: the best rate lies at the edge of its grid"
    print(f"| {learner} | {', '.join(f'{lr:g}: {held:.1f}' for lr, held in grid)} | {best:g} |")
