"""Features of a real source: raw pixels or principal components, standardised; fitted once, on training images,
without labels.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from kaxis.errors import KaxisError
from kaxis.sources.cache import as_written, keep
from kaxis.sources.image_set import Images

__all__ = ["features"]

RULES = 2
"""Raised with each change of what is computed or refused: a matrix made before is not served."""


def features(images: Images, kind: str, cache: Path | None) -> NDArray[np.float32]:
    """The feature matrix of a whole set, shared by every K, seed and learner.

    Parameters
    ----------
    images : Images
    kind : str
        ``raw`` or ``pca:D``. Each feature has mean 0 and standard deviation 1 over the training images; a pixel that
        never changes stays 0. Whitened components stand to the student as the synthetic task's inputs do.
    cache : Path or None
        Folder that keeps what was computed; mapped into memory from there, so that processes share it.

    Returns
    -------
    array, shape (N, D), float32

    Raises
    ------
    KaxisError
        If D exceeds the number of pixels or of training images, or of components that vary.
    """
    if kind.startswith("pca:"):
        most = min(images.pixels[0].size, images.n_train)
        if int(kind[4:]) > most:
            raise KaxisError(f"features '{kind}': these images have at most {most} components")
    if cache is None:
        return _compute(images, kind)
    identity = (RULES, kind, images.pixels.shape, images.n_train, images.digest)
    key = hashlib.sha256(repr(identity).encode()).hexdigest()[:16]
    path = cache / "features" / f"{key}.npy"
    if not as_written(path):
        matrix = _compute(images, kind)

        def write(part: Path) -> None:
            with part.open("wb") as file:
                np.save(file, matrix)

        try:
            keep(path, write)
        except OSError:
            return matrix
    # Copy-on-write: torch takes only writable arrays without a warning.
    return np.load(path, mmap_mode="c", allow_pickle=False)


def _compute(images: Images, kind: str) -> NDArray[np.float32]:
    x = images.flat.astype(np.float32)
    if kind != "raw":
        from sklearn.decomposition import PCA

        # One thread: the order of a sum over images must not depend on the machine's load or cores.
        with threadpool_limits(1):
            pca = PCA(int(kind[4:]), svd_solver="covariance_eigh").fit(x[: images.n_train])
            x = pca.transform(x).astype(np.float32)
    train = x[: images.n_train]
    std = train.std(axis=0, dtype=np.float64)
    if kind != "raw" and std.min() < 1e-6 * std.max():  # rounding, blown up to 1, differs from machine to machine
        varying = int((std >= 1e-6 * std.max()).sum())
        raise KaxisError(
            f"features '{kind}': {varying} components of these training images vary, the others are rounding"
        )
    std[std == 0] = 1.0
    x -= train.mean(axis=0, dtype=np.float64).astype(np.float32)
    x /= std.astype(np.float32)
    return x
