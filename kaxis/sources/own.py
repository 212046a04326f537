"""A user's own sets: folders of image files by class, and npz files."""

from __future__ import annotations

import hashlib
import os
import unicodedata
import warnings
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from kaxis.errors import KaxisError, told
from kaxis.io import read_bounded
from kaxis.sources import readers
from kaxis.sources.archives import data_dir
from kaxis.sources.cache import cached, md5_of
from kaxis.sources.image_set import Images
from kaxis.sources.info import SourceInfo

__all__ = ["canonical", "forget", "inspect", "left_out", "load_folder", "load_own"]

LARGEST = 2**30
"""Bytes of the largest image file that is read."""

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".gif")
OTHER_IMAGES = tuple(
    ".avif .heic .heif .jp2 .j2k .jxl .svg .tga .ico .dcm .raw .dng .cr2 .nef .exr .hdr .psd .npy".split()
)
"""Suffixes of images that are not read: counted, and said."""

TESTS = ("test", "val", "valid", "validation")
"""Names of the folder of test images, the first that is there."""


def _place(name: str, folder: Path) -> Path:
    """Where ``folder:PATH`` or ``npz:PATH`` is: as written, else below the data folder."""
    path = Path(name.split(":", 1)[1]).expanduser()
    return path if path.exists() or path.is_absolute() else folder / path


def canonical(name: str) -> str:
    """One name for each place, however it is written: below the data folder relative to it, else the absolute path.

    Raises
    ------
    KaxisError
        For a path with control characters.
    """
    kind, _, text = name.partition(":")
    if not text.isprintable():
        raise KaxisError(f"source '{name!r}': control characters in its path")
    folder = Path(os.path.abspath(data_dir()))
    path = Path(os.path.abspath(_place(name, folder)))
    below = path.relative_to(folder) if path.is_relative_to(folder) and path != folder else path
    # A relative name that another place answers to first, from where we stand, would be ambiguous.
    return f"{kind}:{below if os.path.abspath(_place(f'{kind}:{below}', folder)) == str(path) else path}"


def inspect(name: str) -> SourceInfo:
    """Classes and counts of a user's own set, without decoding an image.

    Raises
    ------
    KaxisError
        If it is not there, or not laid out as train/CLASS/ and val/CLASS/ (or test/CLASS/), or a class is empty.
    """
    path = _place(name, data_dir())
    places = [path, *(path / split for split in ("train", *TESTS))]
    with told(str(path)):
        changed = tuple(p.stat().st_mtime_ns for p in places if p.exists())
    return _inspect(name, path, changed)


@lru_cache(maxsize=8)
def _inspect(name: str, path: Path, changed: tuple[int, ...]) -> SourceInfo:
    kind = name.split(":", 1)[0]
    if not path.exists():
        raise KaxisError(f"source '{name}': no {kind} at {path} (looked below --data, else $KAXIS_DATA)")
    if kind == "npz":
        pixels, y, n_train = readers.npz(path)
        classes = int(y.max()) + 1
        return SourceInfo(name, {"fine": classes}, "your own arrays", pixels.shape[1], n_train, len(y) - n_train)
    listing = _listing(path, None)
    if listing.left_out:
        warnings.warn(f"{name}: left out: {listing.told()}", stacklevel=2)
    n = listing.n_train
    return SourceInfo(name, {"fine": len(listing.names)}, "your own images", None, n, len(listing.files) - n)


def forget() -> None:
    """Let nothing that was counted count: files may have changed since."""
    _inspect.cache_clear()


def left_out(name: str, folder: Path) -> str:
    """Images of a user's own folders that are not read, in words: how many, in which split, and why."""
    return "" if name.startswith("npz:") else _listing(_place(name, folder), None).told()


def load_own(name: str, folder: Path, size: int) -> Images:
    """A user's own set, decoded once and kept in the cache as uint8 arrays.

    Photographs are scaled so that their shorter side is `size`, then cropped to the middle (ours).
    """
    if name.startswith("npz:"):
        path = _place(name, folder)
        pixels, y, n_train = readers.npz(path)
        names = tuple(str(k) for k in range(int(y.max()) + 1))
        return Images(pixels, n_train, {"fine": y}, {"fine": names}, {path.name: md5_of(path)})
    return load_folder(_place(name, folder), size)


def load_folder(
    root: Path, size: int, wanted: tuple[str, ...] | None = None, checksums: Mapping[str, str] | None = None
) -> Images:
    """Folders of images by class: all, or those that are wanted. `checksums` are of what else the set was made from."""
    listing = _listing(root, wanted)
    files, names = listing.files, listing.names
    # Name, size and time of every file stand for its content: hashing a hundred gigabytes at each start would not do.
    stamps = [(str(f.relative_to(root)), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    key = hashlib.sha256(repr(("upright", size, stamps)).encode()).hexdigest()[:16]
    content = hashlib.md5(repr([stamp[:2] for stamp in stamps]).encode(), usedforsecurity=False).hexdigest()
    pixels = cached(f"{key}-{size}", (len(files), size, size, 3), lambda out: _decode(files, out))
    y, sums = np.array(listing.labels, np.int64), {**(checksums or {}), "names and sizes": content}
    return Images(pixels, listing.n_train, {"fine": y}, {"fine": names}, sums, key)


@dataclass
class _Listing:
    """Image files in order of split, class and name, and what lies beside them."""

    files: list[Path] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    n_train: int = 0
    names: tuple[str, ...] = ()
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)

    def told(self) -> str:
        return ", ".join(f"{n} in {split}/ ({why})" for (split, why), n in sorted(self.left_out.items()))


def _listing(root: Path, wanted: tuple[str, ...] | None) -> _Listing:
    splits = _folders(root)
    test = next((s for s in TESTS if s in splits), None)
    if "train" not in splits or test is None:
        raise KaxisError(
            f"{root}: needs folders train/CLASS/ and val/CLASS/ or test/CLASS/; it has {', '.join(splits) or 'none'}"
        )
    made = _Listing()
    for other in (s for s in TESTS if s in splits and s != test):
        made.left_out[other, f"{test}/ is there"] += sum(
            len(_images(d, made, other)) for d in _folders(splits[other]).values()
        )
    classes = {split: _folders(splits[split]) for split in ("train", test)}
    names = tuple(sorted(classes["train"]))
    if wanted is not None:
        if absent := [w for w in wanted if w not in names]:
            raise KaxisError(f"{root / 'train'} lacks class {absent[0]}")
        names = tuple(sorted(set(wanted)))
    elif extra := sorted(set(classes[test]) - set(names)):
        raise KaxisError(f"{classes[test][extra[0]]}: no such class in train/")
    if len(names) < 2:
        raise KaxisError(f"{root / 'train'}: {len(names)} class folders, 2 or more are needed")
    for split, own in classes.items():
        if absent := [n for n in names if n not in own]:
            raise KaxisError(f"{root / split} lacks class '{absent[0]}', which {root / 'train'} has")
        for k, name in enumerate(names):
            found = _images(own[name], made, split)
            if not found:
                raise KaxisError(f"{own[name]}: a class with no images ({', '.join(SUFFIXES)})")
            made.files += found
            made.labels += [k] * len(found)
        made.n_train = made.n_train or len(made.files)
    made.left_out = Counter({place: n for place, n in made.left_out.items() if n})
    made.names = names
    return made


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name; hidden files and folders (.ipynb_checkpoints, macOS's ._ files) do not count."""
    with told(str(folder)), os.scandir(folder) as entries:
        return sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)


def _folders(root: Path) -> dict[str, Path]:
    """Folders in a folder by name, letters with accents written in one way (NFC): systems differ."""
    out: dict[str, Path] = {}
    for entry in _entries(root):
        if entry.is_dir():
            name = unicodedata.normalize("NFC", entry.name)
            if name in out:
                raise KaxisError(f"{root}: two folders '{name}', whose accents are written in different ways; keep one")
            if not name.isprintable():
                raise KaxisError(f"{root}: a folder called {name!r}: control characters")
            out[name] = Path(entry.path)
    return out


def _images(folder: Path, listing: _Listing, split: str) -> list[Path]:
    """A class's image files; other images that lie there are counted as left out."""
    found = []
    for entry in _entries(folder):
        suffix = Path(entry.name).suffix.lower()
        if entry.is_dir():
            inside = sum(_is_image(f) for _, _, files in os.walk(entry.path) for f in files if not f.startswith("."))
            listing.left_out[split, "in sub-folders of a class"] += inside
        elif suffix in SUFFIXES and entry.is_file():
            found.append(Path(entry.path))
        elif suffix in OTHER_IMAGES or suffix in SUFFIXES:
            listing.left_out[split, f"{suffix} is not read" if suffix in OTHER_IMAGES else "no regular files"] += 1
    return found


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in (*SUFFIXES, *OTHER_IMAGES)


def _decode(files: list[Path], out: readers.Pixels) -> None:
    """Photographs into `out`, several at once: decoding leaves Python alone."""
    from PIL import ImageOps

    def one(i: int) -> None:
        size = out.shape[1:3]
        with told(str(files[i])):  # and not of the cache that it was to go to
            raw = read_bounded(files[i], LARGEST)
        out[i] = readers.decode(raw, str(files[i]), lambda image: ImageOps.fit(image, size))

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(one, range(len(files))):
            pass
