"""Sets are read anew by every test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from kaxis.sources import own
from kaxis.sources.images import channel_statistics, load_images, square_pixels


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    for cache in (load_images, square_pixels, channel_statistics, own._inspect):
        cache.cache_clear()
    return


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
