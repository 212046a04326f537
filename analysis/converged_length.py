# %% [markdown]
# # How long conv nets must be trained to converge
# VGG8 at 16 px and an eighth of its width, CIFAR-100, one seed, each learner's own learning rate. Wanted, stated before the runs: over the last fifth of the
# cosine training and test accuracy move by less than 0.5 pp, and at twice the length test accuracy changes by less than 1 pp.

# %%
from pathlib import Path

import kaxis

ROOT = Path(__file__).parent.parent
MOVE, DOUBLE = 0.5, 1.0  # pp
runs: dict[tuple[str, int, str], dict[float, tuple[float, float, float]]] = {}
for record in kaxis.Store(ROOT / "studies/results/converged").records():
    cell, curves = kaxis.Cell(record["config"]), record["curves"]
    looked = [i for i, value in enumerate(curves["train_accuracy"]) if value is not None]
    train, test = ([100 * curves[f"{split}_accuracy"][i] for i in looked[-2:]] for split in ("train", "test"))
    if cell.seed == 0 and cell.learner.partition("[")[0] in ("bp_deepsup", "dtg_ff"):
        own = runs.setdefault((cell.source, cell.K, cell.learner), {})
        own[cell.training.epochs] = train[1] - train[0], test[1] - test[0], test[1]

# %%
print(
    "| source | K | learner | epochs | last fifth: train, pp | test, pp | test, % | at twice the length, pp | settled |"
)
print("|---" * 9 + "|")
for (source, K, learner), lengths in sorted(runs.items()):
    if len(lengths) < 2:
        continue
    for epochs, (train, test, final) in sorted(lengths.items()):
        gain = lengths[2 * epochs][2] - final if 2 * epochs in lengths else None
        settled = abs(train) < MOVE and abs(test) < MOVE
        verdict = (
            "yes"
            if settled and gain is not None and abs(gain) < DOUBLE
            else "not known"
            if settled and gain is None
            else "no"
        )
        print(
            f"| {source} | {K} | {learner} | {epochs:g} | {train:+.2f} | {test:+.2f} | {final:.1f} | "
            f"{'-' if gain is None else f'{gain:+.2f}'} | {verdict} |"
        )

# %% [markdown]
# ## The difference itself, at each length (one seed: no interval)

# %%
names = sorted({learner for _, _, learner in runs})
if len(names) == 2:
    for source, K in sorted({(source, K) for source, K, _ in runs}):
        base, own = (runs.get((source, K, name), {}) for name in names)
        said = [f"{own[e][2] - base[e][2]:+.2f} after {e:g}" for e in sorted(base.keys() & own.keys())]
        if len(said) > 1:
            print(f"{source}, K = {K}: {names[1]} - {names[0]}, pp: {', '.join(said)} epochs")
