"""How much a number, or a vector, tells of the label: three estimators, and the cases on which they can be checked.

All in bits. A scalar's information is estimated by nearest neighbours (Ross 2014, as
`sklearn.feature_selection.mutual_info_classif` has it) and by histograms; a vector's is bounded from below by what a
linear probe gets right (Fano's inequality; paper, diagnostics).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["fano_bound", "gaussian_mixture", "histogram", "ksg", "label_entropy", "probe_error"]

Floats = NDArray[np.floating]
Labels = NDArray[np.integer]
BITS = 1 / np.log(2)


def label_entropy(y: Labels) -> float:
    """Bits in the label: log2 K where classes are equally frequent.

    Examples
    --------
    >>> label_entropy(np.array([0, 1, 2, 3]))
    2.0
    """
    counts = np.bincount(y)
    share = counts[counts > 0] / len(y)
    return float(-(share * np.log2(share)).sum())


def ksg(x: Floats, y: Labels, *, neighbours: int = 3) -> float:
    """Information of a scalar by its nearest neighbours of the same label (paper: 3 neighbours, random_state 42).

    Parameters
    ----------
    x : array, shape (n,)
    y : array of int, shape (n,)
    """
    from sklearn.feature_selection import mutual_info_classif

    found = mutual_info_classif(np.asarray(x, float)[:, None], y, n_neighbors=neighbours, random_state=42)
    return float(found[0] * BITS)


def histogram(x: Floats, y: Labels, *, bins: int) -> float:
    """Information of a scalar cut into equally wide bins, without a correction: it grows with the number of bins
    (paper: 50 to 500).

    Examples
    --------
    >>> histogram(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0, 0, 1, 1]), bins=2)
    1.0
    """
    edges = np.linspace(np.min(x), np.max(x), bins + 1)
    place = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, bins - 1)
    joint = np.zeros((bins, int(y.max()) + 1))
    np.add.at(joint, (place, y), 1 / len(y))
    product = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log2(joint[seen] / product[seen])).sum())


def fano_bound(error: float, K: int, entropy: float) -> float:
    """Least information that any features must have from which labels are told with this error: H(Y) - h(e) - e log2(K
    - 1), not below 0.

    Parameters
    ----------
    error : float
        Share of wrong answers.
    K : int
    entropy : float
        H(Y) in bits; the paper writes log2 K, which it is for equally frequent classes.

    Examples
    --------
    >>> fano_bound(0.0, 8, 3.0), fano_bound(0.875, 8, 3.0)
    (3.0, 0.0)
    """
    e = min(max(error, 0.0), 1.0)
    h = 0.0 if e in (0.0, 1.0) else -e * np.log2(e) - (1 - e) * np.log2(1 - e)
    return max(0.0, float(entropy - h - e * np.log2(K - 1)))


def probe_error(x: Floats, y: Labels, K: int, *, seed: int = 42, epochs: int = 50, lr: float = 0.01) -> float:
    """Held-out error of a linear classifier: 80 % of the samples train it, standardised, 20 % test it (paper: Adam, lr
    0.01, 50 epochs).

    Parameters
    ----------
    x : array, shape (n, D)
    y : array of int, shape (n,)
    K : int
    seed : int
        Of the split and the order (ours).

    Notes
    -----
    Batches of 256 and a start at zero are ours. The error varies with the split: at n = 2,000 tested by up to 2 points.
    """
    import torch

    rng = np.random.default_rng(seed)
    order = rng.permutation(len(y))
    cut = int(0.8 * len(y))
    train, test = order[:cut], order[cut:]
    mean, spread = x[train].mean(0), x[train].std(0) + 1e-8
    z = torch.from_numpy(((x - mean) / spread).astype(np.float32))
    labels = torch.from_numpy(np.asarray(y, np.int64))
    W = torch.zeros(K, x.shape[1], requires_grad=True)
    b = torch.zeros(K, requires_grad=True)
    optimizer = torch.optim.Adam([W, b], lr=lr, fused=True)
    for _ in range(epochs):
        for rows in np.array_split(rng.permutation(train), max(1, cut // 256)):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(z[rows] @ W.T + b, labels[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        said = (z[test] @ W.T + b).argmax(1)
    return float((said != labels[test]).float().mean())


def gaussian_mixture(bits: float, K: int, n: int, *, seed: int = 0) -> tuple[Floats, Labels, float]:
    """A case with known information: label k of K, equally likely, seen as a normal number around d k.

    Returns
    -------
    x, y : arrays, shape (n,)
    exact : float
        I(X; Y) in bits by quadrature, within 1e-6 of `bits`, for which d is chosen.

    Raises
    ------
    ValueError
        If `bits` is not between 0 and log2 K.
    """
    from scipy.optimize import brentq

    if not 0 < bits < np.log2(K):
        raise ValueError(f"bits = {bits}: between 0 and log2 K = {np.log2(K):.3g}")

    def information(d: float) -> float:
        # The trapezoid rule is exact to rounding for sums of normals on a grid this fine.
        x = np.arange(-9, d * (K - 1) + 9, 0.05)
        p = np.zeros_like(x)
        for k in range(K):
            p += np.exp(-0.5 * (x - d * k) ** 2)
        p /= K * np.sqrt(2 * np.pi)
        seen = p[p > 0]
        return float(-0.05 * (seen * np.log2(seen)).sum() - 0.5 * np.log2(2 * np.pi * np.e))

    d = brentq(lambda d: information(d) - bits, 1e-3, 12, xtol=1e-9)
    rng = np.random.default_rng(seed)
    y = rng.integers(0, K, n)
    return d * y + rng.standard_normal(n), y, information(d)
