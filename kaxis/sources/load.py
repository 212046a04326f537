"""From the ``source`` part of a configuration to a task."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kaxis.sources.task import Task
from kaxis.spec.images import ImageSpec, source_spec
from kaxis.spec.source import SourceSpec
from kaxis.spec.teacher import TeacherSpec

__all__ = ["forget", "load_task", "prepare"]


def load_task(
    source: SourceSpec | Mapping[str, Any], K: int, seed: int, data: Path | None = None, *, pixels: bool = False
) -> Task:
    """The data of one (source, K, seed), the same for every learner.

    Parameters
    ----------
    source : SourceSpec or mapping
        What the data are, or the ``source`` part of a cell's configuration.
    K, seed : int
    data : Path, optional
        Folder of image files; see `kaxis.sources.archives.data_dir`.
    pixels : bool
        Images for a conv net instead of features for an MLP.

    Returns
    -------
    Task
        Features or images, rows of training, test and held-out samples, their labels, and facts for the record.

    Raises
    ------
    KaxisError
        If the files are missing or damaged, or a class has too few images.
    """
    spec = source if isinstance(source, SourceSpec) else source_spec(source)
    if isinstance(spec, TeacherSpec):
        from kaxis.sources.synthetic import teacher_task

        return teacher_task(spec, K, seed)
    from kaxis.sources import relabel
    from kaxis.sources.archives import data_dir
    from kaxis.sources.images import channel_statistics, load_images, square_pixels
    from kaxis.sources.task import label_facts

    assert isinstance(spec, ImageSpec)
    folder, size, name = data_dir(data), spec.size, spec.set_name
    images = load_images(name, folder, size)
    labels, names = relabel.label_view(images, spec.labels, seed)
    chosen = _choose(spec, images, names, K, seed)
    new_label = np.full(len(names), -1)
    new_label[chosen] = np.arange(K)
    y = new_label[labels]
    train_rows = relabel.draw_sample(y[: images.n_train], K, seed, spec)
    train_rows, held_rows = relabel.hold_out(train_rows, seed, spec.holdout)
    test_rows = images.n_train + np.flatnonzero(y[images.n_train :] >= 0)
    facts = label_facts(y[train_rows], y[test_rows], K)
    facts |= {"classes": [names[i] for i in chosen], "checksums": images.checksums}
    if len(held_rows):
        facts["n_held_out"] = len(held_rows)
    x, statistics = (
        (square_pixels(name, folder, size), channel_statistics(name, folder, size))
        if pixels
        else (prepare(name, spec.features, folder, size), ((), ()))
    )
    return Task(
        x, train_rows, y[train_rows], test_rows, y[test_rows], facts, held_rows, y[held_rows], statistics, images.stamp
    )


def _choose(source: ImageSpec, images: Any, names: tuple[str, ...], K: int, seed: int) -> NDArray[np.int64]:
    from kaxis.sources import relabel

    subset = source.subset
    parents = None
    if subset != "any":
        parents = np.zeros(len(names), np.int64)
        parents[images.labels["fine"]] = images.labels["coarse"]
    return relabel.draw_classes(
        names,
        K,
        seed,
        source.classes,
        subset=subset,
        parents=parents,
        parent_names=images.names.get("coarse", ()),
    )


@lru_cache(maxsize=2)
def prepare(name: str, kind: str, folder: Path, size: int | None = None) -> NDArray[np.float32]:
    """Read a real source and fit its features, once; a later call in any process finds them in the user's cache."""
    from kaxis.sources.cache import cache_dir
    from kaxis.sources.features import features
    from kaxis.sources.images import load_images

    return features(load_images(name, folder, size), kind, cache_dir())


def forget() -> None:
    """Let nothing that this process has read count: files may have changed since."""
    from kaxis.sources import own
    from kaxis.sources.images import channel_statistics, load_images, square_pixels

    own.forget()
    for kept in (load_images, square_pixels, channel_statistics, prepare):
        kept.cache_clear()
