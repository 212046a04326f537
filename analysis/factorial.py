# %% [markdown]
# # Which of the differences between DTG-FF and BP-DeepSup makes their gap?
# All sixteen learners of {global, local} x {a, a^2} x {T = 1, T learned} x {learned, fixed readout}, eight seeds, on synthetic tasks and on
# CIFAR-100 with the same MLP. A learned readout starts from the draw that a fixed one is. 2,000 steps, one learning rate for
# all. Besides the plain teacher one whose classes all occur in equal shares (studies/factorial_balanced.toml).

# %%
from pathlib import Path

import kaxis
from kaxis import plots

ROOT = Path(__file__).parent.parent
cube = kaxis.load_cube(kaxis.Store(ROOT / "studies/results/factorial"))
result = kaxis.factorial(cube)
FACTORS = result.attrs["factors"]


def cell(effect, ci, p_holm) -> str:
    return f"{float(effect):+.2f} [{float(ci[0]):+.2f}, {float(ci[1]):+.2f}]{'*' if float(p_holm) <= 0.05 else ''}"


# %% [markdown]
# ## Main effects, what each factor carries of the corners' difference (Shapley), and slopes on ln K (* Holm p <= .05)

# %%
for source in map(str, result.source.values):
    one = result.sel(source=source)
    K = one.K.values[one.n_seeds.max("term").values > 0]
    print(f"\n{source}, n = {int(one.n_seeds.max())}")
    print("| term | " + " | ".join(f"K = {k}" for k in K) + " | slope on ln K |\n" + "|---" * (2 + len(K)) + "|")
    for term in [*FACTORS, *(f"carried by {f}" for f in FACTORS), "corners"]:
        at = one.sel(term=term)
        cells = [cell(at.effect.sel(K=k), at.ci.sel(K=k), at.p_holm.sel(K=k)) for k in K]
        print(f"| {term} | {' | '.join(cells)} | {cell(at.slope, at.slope_ci, at.slope_p_holm)} |")

# %% [markdown]
# ## Interactions: the largest at the largest K

# %%
for source in map(str, result.source.values):
    at = result.sel(source=source, K=50)
    terms = [str(t) for t, kind in zip(at.term.values, at.kind.values, strict=True) if kind == "interaction"]
    for term in sorted(terms, key=lambda t: -abs(float(at.effect.sel(term=t))))[:4]:
        e = at.sel(term=term)
        print(f"{source}, K = 50, {term}: {cell(e.effect, e.ci, e.p_holm)}")
        if term.count(" x ") == 1:  # a term is half of what both bring together beyond the sum of each
            print(f"  both together minus the sum of both: {cell(2 * e.effect, 2 * e.ci, 1)}")

# %% [markdown]
# ## Train-test gap and training accuracy of the corners, and BP-DeepSup with torch's own start beside them

# %%
low, high = result.attrs["baseline"], result.attrs["learner"]
print(
    "| source | K | all off: test, % | all on: test, % | bp_deepsup: test, % | all off: train, % | all on: train, % |\n"
    + "|---" * 7
    + "|"
)
for source in map(str, cube.source.values):
    for K in cube.K.values:
        at = cube.sel(source=source, K=K)
        values = [100 * float(at[f"{split}_accuracy"].sel(learner=n).mean()) for split, n in
                  (("test", low), ("test", high), ("test", "bp_deepsup"), ("train", low), ("train", high))]  # fmt: skip
        print(f"| {source} | {K} | " + " | ".join(f"{v:.1f}" for v in values) + " |")
start = kaxis.paired(cube, learner=low, baseline="bp_deepsup")
print(*kaxis.verdicts(start), sep="\n")
print(*kaxis.verdicts(kaxis.contrast(cube, learner=high, baseline=low)), sep="\n")

# %%
plots.save(*plots.factorial(result), ROOT / "figures", "factorial")
