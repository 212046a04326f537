"""From the ``source`` part of a configuration to a task."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kaxis.sources.task import Task

__all__ = ["load_task", "prepare"]


def load_task(source: Mapping[str, Any], K: int, seed: int, data: Path | None = None) -> Task:
    """The data of one (source, K, seed), the same for every learner.

    Parameters
    ----------
    source : mapping
        The ``source`` part of a cell's configuration.
    K, seed : int
    data : Path, optional
        Folder of image files; see `kaxis.sources.images.data_dir`.

    Raises
    ------
    KaxisError
        If the files are missing or damaged, or a class has too few images.
    """
    if source["name"] == "synthetic":
        from kaxis.sources.teacher import teacher_task

        return teacher_task(source, K, seed)
    from kaxis.sources import relabel
    from kaxis.sources.images import data_dir, load_images
    from kaxis.sources.task import label_facts

    folder = data_dir(data)
    images = load_images(source["name"], folder)
    x = prepare(source["name"], source["features"], folder)
    labels, names = relabel.label_view(images, source["labels"], seed)
    chosen = relabel.draw_classes(names, K, seed, tuple(source["classes"]))
    new_label = np.full(len(names), -1)
    new_label[chosen] = np.arange(K)
    y = new_label[labels]
    train_rows = relabel.draw_sample(y[: images.n_train], K, seed, source)
    test_rows = images.n_train + np.flatnonzero(y[images.n_train :] >= 0)
    facts = label_facts(y[train_rows], y[test_rows], K)
    facts |= {"classes": [names[i] for i in chosen], "checksums": images.checksums}
    return Task(x, train_rows, y[train_rows], test_rows, y[test_rows], facts)


@lru_cache(maxsize=2)
def prepare(name: str, kind: str, folder: Path) -> NDArray[np.float32]:
    """Read a real source and fit its features, once; a later call in any process finds them in the user's cache."""
    import pooch

    from kaxis.sources.features import features
    from kaxis.sources.images import load_images

    return features(load_images(name, folder), kind, Path(pooch.os_cache("kaxis")))
