"""CIFAR-10 and CIFAR-100, in their binary form."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kaxis.sources.info import Archive, ImageSet, SourceInfo

if TYPE_CHECKING:
    from kaxis.sources.info import Read

__all__ = ["SETS"]

CIFAR10 = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())

CIFAR100_COARSE = tuple(
    """aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices
household_furniture insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes
large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles small_mammals trees
vehicles_1 vehicles_2""".split()
)

CIFAR100_FINE = tuple(
    """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm""".split()
)


def _read(folder: Path, archive: Archive, names: dict[str, tuple[str, ...]]) -> Read:
    from kaxis.sources import readers

    pixels, labels = readers.cifar(archive.images(folder), len(names))
    return pixels, dict(zip(names, labels, strict=True)), archive.n_train, names


SETS = (
    ImageSet(
        SourceInfo("cifar10", {"fine": 10}, "CIFAR-10, colour", 32, 50_000, 10_000, "none stated", 162),
        Archive(
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "c32a1d4ab5d03f1284b67883e8d87530",
            "cifar-10-batches-bin",
            {f"data_batch_{i}.bin": (10_000, None) for i in range(1, 6)},
            {"test_batch.bin": (10_000, None)},
        ),
        lambda folder, archive: _read(folder, archive, {"fine": CIFAR10}),
    ),
    ImageSet(
        SourceInfo(
            "cifar100", {"fine": 100, "coarse": 20}, "CIFAR-100, colour", 32, 50_000, 10_000, "none stated", 161
        ),
        Archive(
            "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
            "03b5dce01913d631647c71ecec9e9cb8",
            "cifar-100-binary",
            {"train.bin": (50_000, "6172c7755cfe09b2fe270c85cebc1b15")},
            {"test.bin": (10_000, "4499cfba6c016c1be1438163640a0898")},
        ),
        lambda folder, archive: _read(folder, archive, {"coarse": CIFAR100_COARSE, "fine": CIFAR100_FINE}),
    ),
)
