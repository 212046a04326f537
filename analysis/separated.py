# %% [markdown]
# # Number of classes, their meaning and their closeness apart, on real images: CIFAR-100 at K = 20 under five label views
# The synthetic study's MLP on 32 whitened components, 10,000 training images in all, eight seeds, 3,000 steps.

# %%
from pathlib import Path

import kaxis
from kaxis import plots

ROOT = Path(__file__).parent.parent
cube = kaxis.load_cube(kaxis.Store(ROOT / "studies/results/separated"))
BASE, END = "cifar100", "pca:32"
VIEWS = {
    str(s): str(s)
    .replace(f"{BASE}/", "")
    .replace(f"{END}/", "")
    .replace("/total:10000", "")
    .replace("total:10000", "fine, any")
    for s in cube.source.values
}
NAMED = {view: source for source, view in VIEWS.items()}


def interval(effect, ci) -> str:
    return f"{float(effect):+.2f} [{float(ci[0]):+.2f}, {float(ci[1]):+.2f}]"


# %%
rows = []
for baseline in ("bp_deepsup", "bp"):
    effect = kaxis.paired(cube, learner="dtg_ff", baseline=baseline).sel(K=20)
    print(
        f"\n| 20 labels | {baseline}, % | dtg_ff, % | dtg_ff - {baseline}, pp [95% t], n = 8 | wins | % of headroom |\n"
        + "|---" * 6
        + "|"
    )
    for source, view in VIEWS.items():
        e, at = effect.sel(source=source), cube.sel(source=source, K=20)
        means = " | ".join(f"{100 * float(at.test_accuracy.sel(learner=n).mean()):.1f}" for n in (baseline, "dtg_ff"))
        print(
            f"| {view} | {means} | {interval(e.effect, e.ci)} | {int(e.wins)}/{int(e.n_seeds)} | {float(e.effect_normalised):+.2f} |"
        )
        rows.append(
            {
                "label": view,
                "series": f"dtg_ff - {baseline}",
                "effect": float(e.effect),
                "ci_lower": float(e.ci[0]),
                "ci_upper": float(e.ci[1]),
                "n_seeds": int(e.n_seeds),
            }
        )

# %% [markdown]
# ## Paired within the seed: meaning at one K, closeness at one K

# %%
for baseline in ("bp_deepsup", "bp"):
    for a, b in (("coarse", "merge:20"), ("within", "across")):
        d = kaxis.differential(cube, learner="dtg_ff", baseline=baseline, of=NAMED[a], against=NAMED[b], K=(20, 20))
        print(
            f"dtg_ff - {baseline}, {a} minus {b}: {interval(d.effect, d.ci)} pp, p = {float(d.p):.3g}, n = {int(d.n_seeds)}"
        )
        print(*kaxis.verdicts(d), sep="\n")
d = kaxis.differential(
    cube, learner="bp_deepsup", baseline="bp", of=NAMED["coarse"], against=NAMED["merge:20"], K=(20, 20)
)
print(
    f"bp_deepsup - bp, coarse minus merge:20: {interval(d.effect, d.ci)} pp, p = {float(d.p):.3g}, n = {int(d.n_seeds)}"
)

# %%
figure, rows = plots.forest(rows, "difference in test accuracy (pp), mean and 95% t interval over 8 seeds")
plots.save(figure, rows, ROOT / "figures", "separated")
