"""Fashion-MNIST."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kaxis.sources.info import Archive, ImageSet, SourceInfo

if TYPE_CHECKING:
    from kaxis.sources.info import Read

__all__ = ["SETS"]

NAMES = tuple("t-shirt/top trouser pullover dress coat sandal shirt sneaker bag ankle_boot".split())


def _read(folder: Path, archive: Archive) -> Read:
    from kaxis.sources import readers

    pixels, y = readers.idx(archive.images(folder), archive.others(folder))
    return pixels, {"fine": y}, archive.n_train, {"fine": NAMES}


SETS = (
    ImageSet(
        SourceInfo(
            "fashion_mnist", {"fine": 10}, "Fashion-MNIST, grey, 28 px with a border", 32, 60_000, 10_000, "MIT", 30
        ),
        Archive(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "",
            "fashion-mnist",
            {"train-images-idx3-ubyte.gz": (60_000, "8d4fb7e6c68d591d4c3dfef9ec88bf0d")},
            {"t10k-images-idx3-ubyte.gz": (10_000, "bef4ecab320f06d8554ea6380940ec79")},
            {
                "train-labels-idx1-ubyte.gz": (60_000, "25c81989df183df01b3e8a0aad5dffbe"),
                "t10k-labels-idx1-ubyte.gz": (10_000, "bb300cfdad3c16e7a12a480ee83cd310"),
            },
        ),
        _read,
    ),
)
