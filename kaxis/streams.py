"""Random streams: every draw of a cell comes from a generator keyed by what it is for, never from a global one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a command's help lists options and draws nothing
    import numpy as np

__all__ = ["SHARED", "stream"]

SHARED = "shared"
"""Key of a stream that a seed's cells share along K."""


def stream(seed: int, purpose: str, key: object = SHARED) -> np.random.Generator:
    """The generator of one purpose in one replicate.

    Parameters
    ----------
    seed : int
        Root seed of the replicate.
    purpose : str
        What is drawn, e.g. ``"teacher"`` or ``"order/0"``.
    key : object
        The number of classes K for streams redrawn at every K, else `SHARED`.

    Examples
    --------
    >>> a, b = stream(0, "order"), stream(0, "order")
    >>> bool(a.random() == b.random())
    True
    >>> bool(stream(0, "order").random() == stream(0, "teacher", 5).random())
    False
    """
    import numpy as np

    digest = hashlib.blake2b(f"kaxis/{seed}/{purpose}/{key}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
