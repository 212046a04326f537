# %% [markdown]
# # Which unstated choice decides whether DTG-FF's lead over BP-DeepSup grows with K?
# One change at a time from our defaults, five seeds, K = 5 and 50. Exploratory: many rows, none of them planned as
# primary and none adjusted for the number of rows. Both learners share a changed teacher, normalisation or learning
# rate; readout and temperature exist in DTG-FF alone.

# %%
import math
from pathlib import Path

import kaxis
from kaxis import plots

ROOT = Path(__file__).parent.parent
cube = kaxis.load_cube(kaxis.Store(ROOT / "studies/results/unstated_choices"))
base = "synthetic"
PAIRS = [(base, "dtg_ff", "bp_deepsup")]
PAIRS += [(base, f"dtg_ff[{s}]", "bp_deepsup") for s in ("readout_scale=rsqrt_width", "readout_scale=rsqrt_K")]
PAIRS += [(base, f"dtg_ff[{s}]", "bp_deepsup") for s in ("t_min=0.5", "temperature=1")]
PAIRS += [(base, f"dtg_ff[{s}]", f"bp_deepsup[{s}]") for s in ("norm=layernorm", "lr=0.0003", "lr=0.003")]
PAIRS += [(str(s), "dtg_ff", "bp_deepsup") for s in cube.source.values if s != base]

# %%
rows, said, moved = [], [], []
print(
    "| change | effect at K = 5 | K = 50 | slope on ln K [95% t], n = 5 | p | gap of dtg_ff at K = 50 |\n"
    + "|---" * 6
    + "|"
)
for source, learner, baseline in PAIRS:
    one = cube.sel(source=[source])
    effect = kaxis.paired(one, learner=learner, baseline=baseline).isel(source=0)
    c = kaxis.contrast(one, learner=learner, baseline=baseline).isel(source=0)
    gap = float(kaxis.gap(one, learner=learner, baseline=baseline).gap_learner.sel(source=source, K=50))
    change = learner.partition("[")[2].rstrip("]") or source.partition("/")[2] or "none (our defaults)"
    means = " | ".join(f"{float(v):+.2f}" for v in effect.effect)
    low, high = (float(v) for v in c.ci)
    print(f"| {change} | {means} | {float(c.effect):+.2f} [{low:+.2f}, {high:+.2f}] | {float(c.p):.3g} | {gap:.1f} |")
    said += kaxis.verdicts(kaxis.contrast(one, learner=learner, baseline=baseline))[:1]
    moved.append((change, c.per_seed.values))
    rows.append(
        {"change": change, "slope": float(c.effect), "ci_lower": low, "ci_upper": high, "n_seeds": int(c.n_seeds)}
    )
print(*said, sep="\n")

# %% [markdown]
# ## Does a choice move the slope? Its slope minus that of our defaults, paired within the seed; ten differences, none adjusted

# %%
for change, slopes in moved[1:]:
    e = kaxis.estimate(slopes - moved[0][1])
    print(f"{change} minus our defaults: {e.mean:+.2f} [{e.lower:+.2f}, {e.upper:+.2f}], n = {e.n}, p = {e.p:.3g}")

# %% [markdown]
# ## Slopes with their intervals, beside the slope of the published means at the same two K

# %%
means = {(row["K"], row["learner"]): row["test"] for row in kaxis.published()["synthetic"]}
rise = [means[K, "dtg_ff"] - means[K, "bp_deepsup"] for K in (5, 50)]
published_slope = (rise[1] - rise[0]) / math.log(10)
print(f"published means: {published_slope:+.2f}")
table = [{**row, "label": row["change"], "effect": row["slope"]} for row in rows]
label = "slope of dtg_ff - bp_deepsup on ln K (pp), mean and 95% t interval over 5 seeds"
figure, table = plots.forest(table, label, mark=(published_slope, "slope of the published means"))
plots.save(figure, table, ROOT / "figures", "unstated_choices")
