"""STL-10, its labelled part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kaxis.sources.info import Archive, ImageSet, SourceInfo

if TYPE_CHECKING:
    from kaxis.sources.info import Read

__all__ = ["SETS"]

NAMES = tuple("airplane bird car cat deer dog horse monkey ship truck".split())


def _read(folder: Path, archive: Archive) -> Read:
    from kaxis.sources import readers

    pixels, y = readers.stl10(archive.images(folder), archive.others(folder))
    return pixels, {"fine": y}, archive.n_train, {"fine": NAMES}


SETS = (
    ImageSet(
        SourceInfo("stl10", {"fine": 10}, "STL-10, labelled part, colour", 96, 5_000, 8_000, "none stated", 2_518),
        Archive(
            "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
            "91f7769df0f17e558f3565bffb0c7dfb",
            "stl10_binary",
            {"train_X.bin": (5_000, "918c2871b30a85fa023e0c44e0bee87f")},
            {"test_X.bin": (8_000, "7f263ba9f9e0b06b93213547f721ac82")},
            {
                "train_y.bin": (5_000, "5a34089d4802c674881badbb80307741"),
                "test_y.bin": (8_000, "36f9794fa4beb8a2c72628de14fa638e"),
            },
        ),
        _read,
    ),
)
