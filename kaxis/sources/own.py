"""A user's own sets: folders of image files by class, and npz files; ImageNet-100 is one of the former."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np

from kaxis.errors import KaxisError
from kaxis.sources import readers
from kaxis.sources.archives import data_dir
from kaxis.sources.catalog import SourceInfo
from kaxis.sources.images import Images, cached, md5_of

__all__ = ["inspect", "load_own"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".gif")

IMAGENET100 = (
    "imagenet100: ImageNet may not be passed on; sign up at image-net.org and put imagenet/train/<wnid>/*.JPEG, "
    "imagenet/val/<wnid>/*.JPEG and imagenet100.txt (100 WordNet ids, one a line) into"
)


def _place(name: str, folder: Path) -> Path:
    """Where ``folder:PATH`` or ``npz:PATH`` is: as written, else below the data folder."""
    path = Path(name.split(":", 1)[1]).expanduser()
    return path if path.exists() or path.is_absolute() else folder / path


def inspect(name: str) -> SourceInfo:
    """Classes and counts of a user's own set, without decoding an image.

    Raises
    ------
    KaxisError
        If it is not there, or not laid out as train/CLASS/ and val/CLASS/ (or test/CLASS/), or a class is empty.
    """
    path = _place(name, data_dir())
    return _inspect(name, path, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=8)
def _inspect(name: str, path: Path, changed: int) -> SourceInfo:
    kind = name.split(":", 1)[0]
    if not path.exists():
        raise KaxisError(f"source '{name}': no {kind} at {path} (looked below --data, else $KAXIS_DATA)")
    if kind == "npz":
        pixels, y, n_train = readers.npz(path)
        classes = int(y.max()) + 1
        return SourceInfo(name, {"fine": classes}, "your own arrays", pixels.shape[1], n_train, len(y) - n_train)
    files, _, n_train, names = _listing(path, None)
    return SourceInfo(name, {"fine": len(names)}, "your own images", None, n_train, len(files) - n_train)


def load_own(name: str, folder: Path, size: int) -> Images:
    """A user's own set, decoded once and kept in the cache as uint8 arrays.

    Photographs are scaled so that their shorter side is `size`, then cropped to the middle (ours).
    """
    if name.startswith("npz:"):
        path = _place(name, folder)
        pixels, y, n_train = readers.npz(path)
        names = tuple(str(k) for k in range(int(y.max()) + 1))
        return Images(pixels, n_train, {"fine": y}, {"fine": names}, {path.name: md5_of(path)})
    checksums = {}
    if name == "imagenet100":
        root, chosen = folder / "imagenet", folder / "imagenet100.txt"
        if not root.is_dir() or not chosen.is_file():
            raise KaxisError(f"{IMAGENET100} {folder}")
        wanted = tuple(chosen.read_text("utf-8").split())
        if len(set(wanted)) != 100:
            raise KaxisError(f"{chosen}: {len(set(wanted))} different WordNet ids, 100 expected")
        checksums["imagenet100.txt"] = md5_of(chosen)
    else:
        root, wanted = _place(name, folder), None
    files, y, n_train, names = _listing(root, wanted)
    # Name, size and time of every file stand for its content: hashing a hundred gigabytes at each start would not do.
    stamps = [(str(f.relative_to(root)), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    key = hashlib.sha256(repr((size, stamps)).encode()).hexdigest()[:16]
    content = hashlib.md5(repr([stamp[:2] for stamp in stamps]).encode(), usedforsecurity=False).hexdigest()
    pixels = cached(f"{key}-{size}", (len(files), size, size, 3), lambda out: _decode(files, out))
    return Images(pixels, n_train, {"fine": y}, {"fine": names}, {**checksums, "names and sizes": content})


def _listing(root: Path, wanted: tuple[str, ...] | None) -> tuple[list[Path], np.ndarray, int, tuple[str, ...]]:
    """Image files in order of split, class and name, their labels, the number for training, and the class names."""
    test = next((root / s for s in ("test", "val") if (root / s).is_dir()), None)
    if not (root / "train").is_dir() or test is None:
        raise KaxisError(f"{root}: needs folders train/CLASS/ and val/CLASS/ or test/CLASS/")
    names = tuple(sorted(d.name for d in (root / "train").iterdir() if d.is_dir() and not d.name.startswith(".")))
    if wanted is not None:
        if absent := [w for w in wanted if w not in names]:
            raise KaxisError(f"{root / 'train'} lacks class {absent[0]}")
        names = tuple(sorted(set(wanted)))
    elif extra := [d.name for d in test.iterdir() if d.is_dir() and d.name not in names]:
        raise KaxisError(f"{test / extra[0]}: no such class in train/")
    files: list[Path] = []
    labels: list[int] = []
    n_train = 0
    for split in (root / "train", test):
        for k, name in enumerate(names):
            found = sorted(f for f in (split / name).glob("*") if f.suffix.lower() in SUFFIXES and f.is_file())
            if not found:
                raise KaxisError(f"{split / name}: a class with no images ({', '.join(SUFFIXES)})")
            files += found
            labels += [k] * len(found)
        n_train = n_train or len(files)
    if len(names) < 2:
        raise KaxisError(f"{root / 'train'}: {len(names)} class folders, 2 or more are needed")
    return files, np.array(labels, np.int64), n_train, names


def _decode(files: list[Path], out: readers.Pixels) -> None:
    """Photographs into `out`, several at once: decoding leaves Python alone."""
    from PIL import ImageOps

    def one(i: int) -> None:
        size = out.shape[1:3]
        out[i] = readers.decode(files[i].read_bytes(), str(files[i]), lambda image: ImageOps.fit(image, size))

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(one, range(len(files))):
            pass
