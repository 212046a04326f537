# %% [markdown]
# # Which learning rate for which learner, at the two-core size
# VGG8 at an eighth of its width, CIFAR-100, K = 20, 500 steps, one seed, a tenth of the training images held out. The choice
# is made on the held-out images, never on the test set.

# %%
from pathlib import Path

import kaxis

ROOT = Path(__file__).parent.parent
store = kaxis.Store(ROOT / "studies/results/cnn_lr")

# %%
print("| learner | held-out accuracy, % | test accuracy, % |\n|---|---|---|")
for record in sorted(store.records(), key=lambda r: r["config"]["learner"]["name"]):
    metrics = record["metrics"]
    print(
        f"| {record['config']['learner']['name']} | {100 * metrics['held_accuracy']:.1f} | {100 * metrics['test_accuracy']:.1f} |"
    )
