"""A hundred classes of a user's ImageNet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kaxis.errors import KaxisError
from kaxis.sources.info import ImageSet, SourceInfo

if TYPE_CHECKING:
    from kaxis.sources.image_set import Images

__all__ = ["SETS"]

TERMS = (
    "imagenet100: ImageNet may not be passed on; sign up at image-net.org and put imagenet/train/<wnid>/*.JPEG, "
    "imagenet/val/<wnid>/*.JPEG and imagenet100.txt (100 WordNet ids, one a line) into"
)


def _load(name: str, folder: Path, size: int | None) -> Images:
    from kaxis.sources.cache import md5_of
    from kaxis.sources.own import load_folder

    root, chosen = folder / "imagenet", folder / "imagenet100.txt"
    if not root.is_dir() or not chosen.is_file():
        raise KaxisError(f"{TERMS} {folder}")
    try:
        wanted = tuple(chosen.read_text("utf-8").split())
    except (OSError, ValueError) as error:
        raise KaxisError(f"{chosen}: {error}") from None
    if len(set(wanted)) != 100:
        raise KaxisError(f"{chosen}: {len(set(wanted))} different WordNet ids, 100 expected")
    return load_folder(root, size or 224, wanted, {"imagenet100.txt": md5_of(chosen)})


SETS = (
    ImageSet(
        SourceInfo(
            "imagenet100",
            {"fine": 100},
            "100 classes of your ImageNet",
            224,
            126_689,
            5_000,
            "ImageNet's terms, by sign-up",
        ),
        load=_load,
        needs=("imagenet", "imagenet100.txt"),
        terms=TERMS,
    ),
)
