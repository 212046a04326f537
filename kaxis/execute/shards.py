"""A study cut in shares, for job arrays where a batch system is the engine."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kaxis.errors import KaxisError
from kaxis.execute.grouping import flops
from kaxis.spec.cell import Cell

__all__ = ["shard", "share_of"]


def shard(text: str) -> tuple[int, int]:
    """i and n of ``i/n``.

    Raises
    ------
    KaxisError
        If it is not that, with 1 <= i <= n.

    Examples
    --------
    >>> shard("2/4")
    (2, 4)
    """
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    i, n = map(int, found.groups()) if found else (0, 0)
    if not 1 <= i <= n:
        raise KaxisError(f"shard '{text}' is not i/n with i from 1 to n, such as 1/4")
    return i, n


def share_of(cells: Sequence[Cell], i: int, n: int) -> list[Cell]:
    """The i-th of n shares, about as dear as the others, the same whatever is finished.

    All learners of one (source, K, seed) are in one share, so that what is compared was made on one machine; seeds of
    one K lie side by side, so that they are trained side by side.
    """
    blocks: dict[tuple[str, int, int], list[Cell]] = {}
    for cell in cells:
        blocks.setdefault((cell.source, cell.K, cell.seed), []).append(cell)
    costs = [sum(map(flops, block)) for block in blocks.values()]
    whole, before, mine = sum(costs) or 1.0, 0.0, []
    for block, cost in zip(blocks.values(), costs, strict=True):
        if int((before + cost / 2) / whole * n) == i - 1:  # by its middle
            mine += block
        before += cost
    return mine
