# %% [markdown]
# # What a step costs, and what reaches what
# The committed audit (`kaxis audit studies/audit.toml --json > studies/results/audit.json`): memory and arithmetic are predicted from shapes; times
# are of one CPU core, at the sizes that say so.

# %%
import json
from dataclasses import replace
from pathlib import Path

import kaxis
from kaxis import plots
from kaxis.measure.cost import cost_of

ROOT = Path(__file__).parent.parent
found = json.loads((ROOT / "studies/results/audit.json").read_text())
rows = found["rows"]
MiB = 2**20
KINDS = ("parameters", "gradients", "optimizer", "activations", "temporaries")


def shape(r):
    return (
        f"{r['net']}, width {r['width']:g}, {r['size']} {'inputs' if r['net'] == 'mlp' else 'px'}, batch {r['batch']}"
    )


# %% [markdown]
# ## Memory and arithmetic

# %%
for place in dict.fromkeys(map(shape, rows)):
    own = [r for r in rows if shape(r) == place]
    budget, timed = own[0]["budget"], own[0]["steps"]
    print(f"\n{place}" + (f", budget {budget / 1e9:g} GB" if budget else ""))
    head = ["configuration", "K", *KINDS, "peak MiB", "GFLOP an image", "to predict"]
    head += ["largest batch"] if budget else []
    head += ["ms a step (quartiles)", "img/s", "of the floor", "us a prediction"] if timed else []
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for r in own:
        cells = [r["configuration"], str(r["K"]), *(f"{r[k] / MiB:.1f}" for k in KINDS), f"{r['peak'] / MiB:.1f}"]
        cells += [f"{r['flops_step'] / 1e9:.3g}", f"{r['flops_predict'] / 1e9:.3g}"]
        cells += [str(r["largest_batch"])] if budget else []
        if timed:
            cells += [f"{r['step_ms']:.3g} ({r['step_ms_low']:.3g}-{r['step_ms_high']:.3g})"]
            cells += [f"{r['images_per_second']:.0f}", f"{100 * r['floor_share']:.0f} %", f"{r['predict_us']:.3g}"]
        print("| " + " | ".join(cells) + " |")

# On the MLP, dtg_ff over bp: peak and arithmetic of a step
for K in (10, 50, 200):
    own = {r["configuration"]: r for r in rows if r["net"] == "mlp" and r["K"] == K}
    shares = [100 * own["dtg_ff"][k] / own["bp"][k] for k in ("peak", "flops_step")]
    print(f"mlp, K = {K}: dtg_ff needs {shares[0]:.0f} % of bp's peak and {shares[1]:.0f} % of its arithmetic")

# %% [markdown]
# ## In as many parts
# Predicted peak of a step in MiB, batch 128, both learners in 1, 2, 4 and 8 parts; from shapes, so nothing is run.

# %%
print("| net | bp in 1, 2, 4, 8 parts | dtg_ff in 1, 2, 4, 8 parts | dtg_ff of bp, % |")
print("|---|---|---|---|")
for net, size, K in (("vgg8", 32, 10), ("vgg11", 32, 10), ("vgg13", 32, 10), ("vgg11", 224, 100)):
    peaks: dict[str, list[float]] = {}
    for learner in ("bp", "dtg_ff"):
        one = kaxis.subject(net=net, size=size, batch=128, K=K, learners=learner)
        parted = [replace(one, cell=one.cell.retrained(accumulate=parts)) for parts in (1, 2, 4, 8)]
        peaks[learner] = [cost_of(s).peak / 2**20 for s in parted]
    shown = [", ".join(f"{mib:.0f}" for mib in peaks[learner]) for learner in ("bp", "dtg_ff")]
    shares = ", ".join(f"{100 * b / a:.0f}" for a, b in zip(peaks["bp"], peaks["dtg_ff"], strict=True))
    print(f"| {net}, {size} px | {shown[0]} | {shown[1]} | {shares} |")

# %% [markdown]
# ## Beside the paper's table
# VGG11, 224 px, batch 128, RTX 4060 Laptop 8 GB: BP + gradient accumulation 4.18 GB, 157 img/s; DTG-FF pipelined 7.90 GB, 138 img/s.

# %%
large = {r["configuration"]: r for r in rows if (r["net"], r["size"]) == ("vgg11", 224)}
for name in ("bp, 2 parts", "dtg_ff, interleaved"):
    print(f"{name}: {large[name]['peak'] / 1e9:.2f} GB predicted")
ratio = large["dtg_ff, interleaved"]["peak"] / large["bp, 2 parts"]["peak"]
print(f"interleaved over accumulation: {ratio:.1f} x, published {7.90 / 4.18:.1f} x")

# %%
pictured = [r for r in rows if r["size"] in (32, 224) and r["net"] in ("vgg8", "vgg11") and r["batch"] == 128]
pictured = [r for r in pictured if (r["net"], r["size"]) != ("vgg11", 32)]
figure, drawn = plots.audit(pictured)
plots.save(figure, drawn, ROOT / "figures", "audit")

# %% [markdown]
# ## Which loss reaches which layer

# %%
matrices = []
for learner in ("bp", "bp_deepsup", "dtg_ff", "ff_hybrid"):
    matrices.append(kaxis.locality(kaxis.subject(net="mlp", learners=learner, batch=16)))
for learner in ("bp", "bp_deepsup", "dtg_ff", "dtg_ff[inference=concat]", "bp_concat"):
    matrix = kaxis.locality(kaxis.subject(net="vgg8", width=0.125, learners=learner, batch=8))
    print(f"| {learner} | vgg8 | {matrix.attrs['pattern']} |")
for matrix in matrices:
    print(f"| {matrix.attrs['learner']} | mlp | {matrix.attrs['pattern']} |")
figure, drawn = plots.locality(*matrices)
plots.save(figure, drawn, ROOT / "figures", "locality")
