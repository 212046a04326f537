# %% [markdown]
# # Does any rule without backprop keep up with tuned backprop as K grows?
# Every learner that the MLP takes, its rate chosen from four by each (learner, K, seed) for itself on held-out samples, 2,000 steps, eight seeds;
# and a leg of conv nets on 5,000 images, rates from three, 800 steps, five seeds. Learners of which cells
# are still to be run are named and left out: `kaxis run studies/bench.toml --store studies/results/bench` goes on.

# %%
from pathlib import Path

import kaxis
from kaxis import plots
from kaxis.spec.cell import Cell

ROOT = Path(__file__).parent.parent
store = kaxis.Store(ROOT / "studies/results/bench")
BASELINE = "bp"


def at_the_ends(source: str, activation: str) -> dict[str, tuple[int, int, int]]:
    """Of each learner: how often the lowest and the highest rate was chosen, of how many cells."""
    counted: dict[str, list[int]] = {}
    for record in store.records(curves=False, outcomes=False):
        cell = Cell(record["config"])
        if (
            record["status"] == "done"
            and cell.source == source
            and record["config"]["net"].get("activation", "relu") == activation
        ):
            tried = [one["learner"] for one in record["tuning"]["tried"]]
            chosen = tried.index(record["tuning"]["chosen"])
            own = counted.setdefault(cell.learner, [0, 0, 0])
            own[0] += chosen == 0
            own[1] += chosen == len(tried) - 1
            own[2] += 1
    return {name: (low, high, of) for name, (low, high, of) in counted.items()}


for activation in ("relu", "tanh"):
    cube = kaxis.load_cube(store, {"activation": activation})
    for source in map(str, cube.source.values):
        one = cube.sel(source=[source])
        for dim in ("K", "learner", "seed"):  # each source has its own
            one = one.isel({dim: one.asked.any([d for d in one.asked.dims if d != dim]).values})
        there = [str(n) for n in one.learner.values if (one.status == "done").sel(learner=n).all()]
        if left := [str(n) for n in one.learner.values if n not in there]:
            print(f"\n{source}, {activation}: not finished: {', '.join(left)}")
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
        for name in ("mono_forward", "local_ce") if "mono_forward" in there else ():
            e = kaxis.paired(one, learner=name, baseline="bp_deepsup").isel(source=0)
            at = [
                f"{float(e.effect.sel(K=k)):+.2f} [{float(e.ci.sel(K=k)[0]):+.2f}, {float(e.ci.sel(K=k)[1]):+.2f}] at K = {k}"
                for k in Ks
            ]
            print(f"\n{name} - bp_deepsup, pp: {', '.join(at)}")
        for name, other in (("cwcomp", "dtg_ff"), ("deeperforward", "dtg_ff"), ("fa", "dfa")):
            if {name, other} <= set(there):
                s = kaxis.contrast(one, learner=name, baseline=other).isel(source=0)
                print(
                    f"\n{name} - {other}, slope on ln K, pp: {float(s.effect):+.2f} [{float(s.ci[0]):+.2f}, {float(s.ci[1]):+.2f}]"
                )
        ends = at_the_ends(source, activation)
        if named := [
            f"{n} ({low} lowest, {high} highest)"
            for n, (low, high, of) in ends.items()
            if n in there and max(low, high) > of / 2
        ]:
            print(
                f"\nMore than half of the chosen rates are an end of the grid: {', '.join(named)}, of {max(of for *_, of in ends.values())} each."
            )
        label = source.replace("/", "_").replace(":", "")
        plots.save(*plots.ranked(effects, source, floor=-30.0), ROOT / "figures", f"bench_{label}_{activation}")
