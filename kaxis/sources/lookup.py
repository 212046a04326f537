"""How the images of a set come into memory, by its name."""

from __future__ import annotations

from collections.abc import Iterator

from kaxis.errors import KaxisError
from kaxis.registry import modules
from kaxis.sources.info import ImageSet
from kaxis.spec.catalog import ADDED, source_info

__all__ = ["SETS", "image_set", "image_sets"]

SETS: dict[str, ImageSet] = {made.info.name: made for family in modules("kaxis.sources.sets") for made in family.SETS}
"""The package's own; 28 px sets get a border of two pixels (ours; the paper says 32 px)."""


def image_set(name: str) -> ImageSet:
    """A set of the package, or of an installed one.

    Raises
    ------
    KaxisError
        For an unknown name, or one that its package gives to something else.
    """
    if name in SETS:
        return SETS[name]
    source_info(name)
    made = ADDED[name]
    if not isinstance(made, ImageSet) or not made.load:
        raise KaxisError(f"source '{name}': its package gives no ImageSet of that name with a load(name, folder, size)")
    return made


def image_sets() -> Iterator[ImageSet]:
    """All of them, the package's first."""
    yield from SETS.values()
    yield from (image_set(name) for name in ADDED if name not in SETS)
