# %% [markdown]
# # Do the CIFAR-100 effects hold over other images?
# `kaxis run studies/images.toml --store studies/results/images`, then `kaxis analyze images --store studies/results/images --json > studies/results/images.json`: which
# test image is which, the data set's own labels say, so this reads what was found. The interval over seeds alone takes the test images as all there are.

# %%
import json
from pathlib import Path

ROOT = Path(__file__).parent.parent
rows = json.loads((ROOT / "studies/results/images.json").read_text())["rows"]

# %%
print(
    "| source | K | pp | 95% t, seeds alone | 95% t, seeds x images | of images | differ | seeds differ | n | images |\n"
    + "|---" * 10
    + "|"
)
for r in rows:
    ends = [f"[{r[a]:+.2f}, {r[b]:+.2f}]" for a, b in (("seeds_lower", "seeds_upper"), ("ci_lower", "ci_upper"))]
    shares = f"{r['of_samples']:.0%} | {r['disagree']:.1%} | {r['disagree_alone']:.1%}"
    print(
        f"| {r['source']} | {r['K']} | {r['effect']:+.2f} | {ends[0]} | {ends[1]} | {shares} | {r['n_seeds']} | {r['n_samples']:,} |"
    )

# %%
for r in rows:
    print(
        f"{r['source']} K = {r['K']}, seeds x images: {r['effect']:+.2f} [{r['ci_lower']:+.2f}, {r['ci_upper']:+.2f}]"
    )
