"""Real image sets as uint8 arrays: found in a local folder, else downloaded with checksums."""

from __future__ import annotations

import hashlib
import warnings
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kaxis.errors import KaxisError
from kaxis.sources import readers
from kaxis.sources.archives import ARCHIVES, download, missing_files
from kaxis.sources.cache import cached, md5_of
from kaxis.sources.image_set import Images
from kaxis.sources.info import Archive
from kaxis.sources.lookup import image_set
from kaxis.sources.own import load_own
from kaxis.spec.catalog import OWN

__all__ = ["channel_statistics", "load_images", "square_pixels"]


@lru_cache(maxsize=2)
def load_images(name: str, folder: Path, size: int | None = None) -> Images:
    """A real set by name; files that are not there are downloaded.

    A local file that differs from the official one is used, with a warning, and its checksum is recorded.

    Parameters
    ----------
    name : str
    folder : Path
        Of image files; see `kaxis.sources.archives.data_dir`.
    size : int, optional
        Side of the images in pixels, where a set of your own has none or another is wanted.

    Returns
    -------
    Images

    Raises
    ------
    KaxisError
        For a truncated, damaged or wrong-size file, a label outside the classes, or a failed download.
    """
    if name.startswith(OWN):
        return load_own(name, folder, size or 224)
    made = image_set(name.split("/")[0])
    if made.load:
        return _checked(made.load(name, folder, size), name)
    archive = ARCHIVES[name]
    if missing := missing_files(name, folder):
        if archive.md5 and len(missing) < len(archive.files):  # never over files that somebody put there
            raise KaxisError(
                f"{folder / archive.folder} lacks {', '.join(missing)}; add it, or move the folder away to "
                "download the set"
            )
        download(name, folder)
    assert made.read is not None
    pixels, labels, n_train, names = made.read(folder, archive)
    checksums = _checksums(archive, folder)
    wanted = made.info.size or 0
    if pixels.shape[1] < wanted:
        pixels = readers.bordered(pixels, wanted)
    return _checked(Images(pixels, n_train, labels, names, checksums), name, f"{folder / archive.folder}: ")


def _checked(images: Images, name: str, where: str = "") -> Images:
    """Labels count from 0, pixels are bytes: also where a set's own reader made them."""
    x = images.pixels
    if x.dtype != np.uint8 or x.ndim != 4:
        raise KaxisError(f"{where}{name}: pixels of {x.dtype} and shape {x.shape}; uint8 and (N, H, W, C) are wanted")
    for view, y in images.labels.items():
        if y.min() < 0 or y.max() >= len(images.names[view]):
            wrong = y.min() if y.min() < 0 else y.max()
            raise KaxisError(f"{where}{view} label {wrong} of {len(images.names[view])} classes; not a {name} file")
    return images


def _checksums(archive: Archive, folder: Path) -> dict[str, str]:
    """MD5 of every file that is read; one that differs from the official sum is used with a warning."""
    out = {}
    for file, (_, official) in archive.files.items():
        out[file] = md5_of(folder / archive.folder / file)
        if official and out[file] != official:
            warnings.warn(f"{file}: MD5 {out[file]} is not the official {official}; used as it is", stacklevel=3)
    return out


@lru_cache(maxsize=2)
def square_pixels(name: str, folder: Path, size: int | None) -> NDArray[np.uint8]:
    """What a conv net sees: colour, square, shape (N, S, S, 3), contiguous.

    Grey is repeated. A set whose images have another side is resized (bilinear, antialiased; ours) once and kept in the
    cache.
    """
    images = load_images(name, folder, size)
    x = images.pixels
    if size and x.shape[1:3] != (size, size):
        key = hashlib.sha256(repr((x.shape, size, images.digest)).encode()).hexdigest()[:16]
        shape = (len(x), size, size, x.shape[3])
        x = cached(f"{key}-{size}", shape, lambda out: _resize(images.pixels, out))
    if x.shape[1] != x.shape[2]:
        raise KaxisError(f"{name}: images of {x.shape[1]} x {x.shape[2]} pixels; name a --size to make them square")
    if x.shape[3] == 1:
        x = np.repeat(x, 3, axis=3)
    return x if x.flags["C_CONTIGUOUS"] else np.ascontiguousarray(x)


def _resize(pixels: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    import torch

    size = out.shape[1:3]
    for start in range(0, len(pixels), 1000):
        x = torch.from_numpy(np.array(pixels[start : start + 1000])).permute(0, 3, 1, 2).float()
        x = torch.nn.functional.interpolate(x, size, mode="bilinear", antialias=True)
        out[start : start + 1000] = x.round_().clamp_(0, 255).byte().permute(0, 2, 3, 1).numpy()


@lru_cache(maxsize=2)
def channel_statistics(name: str, folder: Path, size: int | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over all training images, of pixels in 0 .. 1; the same for every
    K.
    """
    n = load_images(name, folder, size).n_train
    x = square_pixels(name, folder, size)
    total, squares = np.zeros(3), np.zeros(3)
    shades = np.arange(256.0)
    chunk = max(1, 2**24 // x[0].size)
    for start in range(0, n, chunk):  # sums of whole numbers, so that no chunk size changes the result
        part = x[start : min(start + chunk, n)].reshape(-1, 3)
        for c in range(3):
            often = np.bincount(part[:, c], minlength=256)
            total[c] += often @ shades
            squares[c] += often @ shades**2
    count = n * x.shape[1] * x.shape[2]
    mean = total / count
    variance = squares / count - mean**2
    std = np.where(
        variance > 1e-9, np.sqrt(np.maximum(variance, 1e-9)), 255.0
    )  # a channel of one shade is left as it is
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())
