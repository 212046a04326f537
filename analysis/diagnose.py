# %% [markdown]
# # Inside trained nets
# VGG8 at an eighth of its width, 1,000 steps on CIFAR-10, five seeds: `kaxis run studies/diagnose.toml --small --weights`, then `kaxis diagnose --json >
# studies/results/diagnose.json` and `--figure figures`. Weights are not committed; what was read off them is.

# %%
import json
from pathlib import Path

ROOT = Path(__file__).parent.parent
found = json.loads((ROOT / "studies/results/diagnose.json").read_text())
rows = found["rows"]

# %%
COLUMNS = {
    "accuracy": (100, ".1f"),
    "temperature": (1, ".2f"),
    "ksg": (1, ".2f"),
    "histogram_50": (1, ".2f"),
    "histogram_500": (1, ".2f"),
    "probe_goodness": (1, ".2f"),
    "probe_gap": (1, ".2f"),
}


def text(row, scale, form):
    half = scale * (row["ci_upper"] - row["ci_lower"]) / 2
    return f"{scale * row['mean']:{form}} ({half:{form}})"


for learner in dict.fromkeys(r["learner"] for r in rows):
    own = [r for r in rows if r["learner"] == learner]
    print(f"\n{learner}, n = {own[0]['n_seeds']}: mean over seeds (half the 95 % t interval)")
    print("| layer | " + " | ".join(COLUMNS) + " |\n" + "|---" * (len(COLUMNS) + 1) + "|")
    for layer in sorted({r["layer"] for r in own} - {None}):
        at = {r["quantity"]: r for r in own if r["layer"] == layer}
        cells = [text(at[q], *how) if q in at else "-" for q, how in COLUMNS.items()]
        print(f"| {layer} | " + " | ".join(cells) + " |")
    for r in own:
        if r["layer"] is None:
            print(f"{r['quantity']}: {text(r, 100, '.1f')} %")
for case in found["attrs"]["known_cases"]:
    print("known case:", {k: round(v, 3) for k, v in case.items()})
