# %% [markdown]
# # Does any rule without backprop keep up with tuned backprop as K grows?
# Every learner that the MLP takes, its rate chosen from four by each (learner, K, seed) for itself on held-out samples, 2,000 steps, eight seeds. No records are committed
# yet: run `kaxis run studies/bench.toml --store studies/results/bench` first.

# %%
from pathlib import Path

import kaxis
from kaxis import plots

ROOT = Path(__file__).parent.parent
store = kaxis.Store(ROOT / "studies/results/bench")
BASELINE = "bp"
for activation in ("relu", "tanh"):
    cube = kaxis.load_cube(store, {"activation": activation})
    for source in map(str, cube.source.values):
        one = cube.sel(source=[source])
        there = [str(n) for n in one.learner.values if (one.status.sel(learner=n) == "done").any()]
        effects = {
            n: kaxis.paired(one, learner=n, baseline=BASELINE) for n in there if n != BASELINE and BASELINE in there
        }
        if not effects:
            continue
        print(f"\n{source}, {activation}: learner - {BASELINE}, pp [95% t]\n")
        Ks = [int(k) for k in one.K.values]
        print(
            "| learner | " + " | ".join(f"K = {k}" for k in Ks) + " | slope on ln K |\n" + "|---" * (len(Ks) + 2) + "|"
        )
        for name in sorted(effects, key=lambda n: -float(effects[n].effect.isel(source=0)[-1])):
            e = effects[name].isel(source=0)
            s = kaxis.contrast(one, learner=name, baseline=BASELINE).isel(source=0)
            at = [
                f"{float(e.effect.sel(K=k)):+.2f} [{float(e.ci.sel(K=k)[0]):+.2f}, {float(e.ci.sel(K=k)[1]):+.2f}]"
                for k in Ks
            ]
            print(
                f"| {name} | {' | '.join(at)} | {float(s.effect):+.2f} [{float(s.ci[0]):+.2f}, {float(s.ci[1]):+.2f}] |"
            )
        label = source.replace("/", "_").replace(":", "")
        plots.save(*plots.ranked(effects, source, floor=-30.0), ROOT / "figures", f"bench_{label}_{activation}")
