"""Which GPUs there are for whom, known without torch: a process sees those of ``CUDA_VISIBLE_DEVICES``, or all."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from kaxis.errors import KaxisError

__all__ = ["narrowed", "only", "those", "unchanged", "visible"]

NAME = "CUDA_VISIBLE_DEVICES"


def visible() -> list[str]:
    """GPUs of this process, by number or by their own name."""
    named = os.environ.get(NAME)
    if named is not None:
        return [one.strip() for one in named.split(",") if one.strip()]
    found = [re.fullmatch(r"nvidia(\d+)", file.name) for file in Path("/dev").glob("nvidia*")]
    count = sum(one is not None for one in found)  # CUDA counts those that are here, whatever their files' numbers
    other = any(Path(file).exists() for file in ("/dev/dxg", "/dev/kfd"))  # one at least, by another driver
    return [str(i) for i in range(count or other)]


def narrowed(device: str) -> str:
    """``cuda`` for ``cuda:N``, of which this process sees the N-th alone from now on; other names as they are.

    Raises
    ------
    KaxisError
        If there are not so many.
    """
    asked = re.fullmatch(r"cuda:(\d{1,4})", device)
    if not asked:
        return device
    there = visible()
    if int(asked[1]) >= len(there):
        raise KaxisError(f"device {device}: this process sees {len(there)} GPUs, of which cuda:0 is the first")
    os.environ[NAME] = there[int(asked[1])]
    return "cuda"


@contextlib.contextmanager
def those(names: Sequence[str]) -> Iterator[None]:
    """Processes that are started in the block see these; all that there are, where none is named."""
    before = os.environ.get(NAME)
    if any(names):
        os.environ[NAME] = ",".join(names)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(NAME, None)
        else:
            os.environ[NAME] = before


@contextlib.contextmanager
def unchanged() -> Iterator[None]:
    """What this process sees is after the block what it was before."""
    with those([]):
        yield


def only(worker: int) -> contextlib.AbstractContextManager[None]:
    """`those` of one worker: each takes one in turn."""
    there = visible()
    return those(there[worker % len(there) :][:1] if there else [])
