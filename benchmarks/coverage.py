"""What nominal 95 % intervals of a mean really cover with n seeds.

    python benchmarks/coverage.py        # about five minutes

The first table (normal seeds: t, percentile bootstrap, BCa) gives `kaxis.stats.intervals.BOOTSTRAP_COVERAGE`; the
others, by shape and kind of interval, for the published procedure, and given how the sample looks, are those of
docs/statistics.md.
"""

from __future__ import annotations

import numpy as np
import scipy.stats

from kaxis.stats import simulate
from kaxis.stats.intervals import KINDS

DATASETS, RESAMPLES = 10_000, 1_000
SIZES = (5, 8, 10)


def coverage(n: int, rng: np.random.Generator) -> tuple[float, float, float]:
    """Shares of standard normal data sets whose interval holds the true mean 0."""
    t_hits = percentile_hits = bca_hits = 0
    normal = scipy.stats.norm
    for _ in range(DATASETS // 1000):
        d = rng.normal(size=(1000, n))
        half = scipy.stats.t.ppf(0.975, n - 1) * d.std(axis=1, ddof=1) / np.sqrt(n)
        t_hits += (np.abs(d.mean(axis=1)) <= half).sum()
        means = np.stack(
            [d[np.arange(1000)[:, None], rng.integers(0, n, (1000, n))].mean(axis=1) for _ in range(RESAMPLES)], axis=1
        )
        low, high = np.quantile(means, [0.025, 0.975], axis=1)
        percentile_hits += ((low <= 0) & (high >= 0)).sum()
        z0 = normal.ppf(np.clip((means < d.mean(axis=1, keepdims=True)).mean(axis=1), 1e-4, 1 - 1e-4))
        centred = d - d.mean(axis=1, keepdims=True)
        a = (centred**3).sum(axis=1) / (6 * (centred**2).sum(axis=1) ** 1.5)
        for i in range(1000):
            z = z0[i] + normal.ppf([0.025, 0.975])
            low_q, high_q = normal.cdf(z0[i] + z / (1 - a[i] * z))
            lo, hi = np.quantile(means[i], [low_q, high_q])
            bca_hits += lo <= 0 <= hi
    return t_hits / DATASETS, percentile_hits / DATASETS, bca_hits / DATASETS


def main() -> None:
    rng = np.random.default_rng(0)
    print(f"{'n':>3} {'t':>6} {'percentile':>11} {'BCa':>6}   (standard error below {0.5 / DATASETS**0.5:.3f})")
    for n in (3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20):
        t, percentile, bca = coverage(n, rng)
        print(f"{n:3} {t:6.3f} {percentile:11.3f} {bca:6.3f}", flush=True)
    print("\n| seeds | interval | n = 5 | n = 8 | n = 10 |\n|---|---|---|---|---|")
    for shape in simulate.SHAPES:
        for kind in KINDS:
            made = [simulate.coverage(kind, n, shape=shape, question="effect", icc=0.5) for n in SIZES]
            print(f"| {shape} | {kind} | " + " | ".join(f"{100 * c['covers']:.1f}" for c in made) + " |", flush=True)
    print("\n| question | level share | slope share | interval | n = 5 | n = 8 | n = 10 |\n" + "|---" * 7 + "|")
    for question in ("mean", "contrast"):
        for icc, tilt in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5)):
            for kind in ("t", "as-published"):
                made = [simulate.coverage(kind, n, question=question, icc=icc, tilt=tilt) for n in SIZES]
                covers = " | ".join(f"{100 * c['covers']:.1f}" for c in made)
                print(f"| {question} | {icc} | {tilt} | {kind} | {covers} |", flush=True)
    looks_skewed()


def looks_skewed(draws: int = 4_000, n: int = 10, edge: float = 1.0) -> None:
    """Does it help to take the studentized interval when the sample looks skewed? What both cover, given how it
    looks.
    """
    print(
        "\n| seeds (n = 10) | samples that look skewed | t: they | t: others | studentized: they | others |\n"
        + "|---" * 6
        + "|"
    )
    for shape in simulate.SHAPES:
        d = simulate.sample(shape, (draws, n), np.random.default_rng(1))
        looks = np.abs(scipy.stats.skew(d, axis=1, bias=False)) > edge
        hits = []
        for kind in ("t", "studentized"):
            bounds = np.array([KINDS[kind](x, 0.95) for x in d])
            inside = (bounds[:, 0] <= 0) & (bounds[:, 1] >= 0)
            hits += [inside[looks].mean(), inside[~looks].mean()]
        print(
            f"| {shape} | {100 * looks.mean():.0f} % | " + " | ".join(f"{100 * h:.1f}" for h in hits) + " |", flush=True
        )


if __name__ == "__main__":
    main()
