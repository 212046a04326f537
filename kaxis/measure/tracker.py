"""A tracker of memory: every tensor that an operation makes, until it is freed, by what it is for.

It sees operations as the dispatcher does. What a kernel takes and gives back inside one operation (a convolution's
workspace) it does not see. It needs no numbers: on fake tensors, which have shapes alone, it reads the same as on real
ones.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["KINDS", "Tracker"]

KINDS = ("parameters", "gradients", "optimizer", "activations", "temporaries")


class Tracker(TorchDispatchMode):
    """Counts bytes of tensor storage that are alive, and remembers their make-up when there were most.

    What is not known to be a parameter, a gradient or the optimizer's is an activation if it is made outside a backward
    pass and lives until one begins, or, where no backward pass is run by autograd, until `rest` is called; else a
    temporary.

    Examples
    --------
    >>> with Tracker() as tracker:
    ...     a = torch.ones(1000)
    ...     b = (a + 1) * 2
    ...     del b
    >>> tracker.peak(), tracker.alive
    (12000, 4000)
    """

    def __init__(self) -> None:
        super().__init__()
        self.alive = 0
        self._sizes: dict[int, int] = {}
        self._kinds: dict[int, str] = {}
        self._undecided: set[int] = set()
        self._keys: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._next = 0
        self._most, self._at_most = 0, dict[int, int]()

    # ---- what happens ----------------------------------------------------------------------------------------------

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        backward = torch._C._current_graph_task_id() != -1
        if backward:
            self.rest()
        out = func(*args, **(kwargs or {}))
        if backward and func is torch.ops.aten.add.Tensor and args[0].shape == getattr(args[1], "shape", None):
            # Autograd sums two gradients; without a mode that looks on, it does so in the first one's place.
            self._drop(args[0])
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._see(tensor, undecided=not backward)
        return out

    def _see(self, tensor: Tensor, *, undecided: bool) -> int:
        storage = tensor.untyped_storage()
        key = self._keys.get(storage)
        if key is None:
            key = self._next = self._next + 1
            self._keys[storage] = key
            self._sizes[key] = storage.nbytes()
            self.alive += storage.nbytes()
            if undecided:
                self._undecided.add(key)
            weakref.finalize(storage, self._freed, key)
            if self.alive > self._most:
                self._most, self._at_most = self.alive, dict(self._sizes)
        return key

    def _drop(self, tensor: Tensor) -> None:
        key = self._keys.get(tensor.untyped_storage())
        if key is not None:
            self.alive -= self._sizes[key]
            self._sizes[key] = 0

    def _freed(self, key: int) -> None:
        self.alive -= self._sizes.pop(key)
        self._undecided.discard(key)

    # ---- what the caller knows -------------------------------------------------------------------------------------

    def mark(self, kind: str, tensors: Iterable[Tensor]) -> None:
        """Say what these tensors are, out of `KINDS`."""
        for tensor in tensors:
            self._kinds[self._see(tensor, undecided=False)] = kind

    def rest(self) -> None:
        """A backward pass begins, or a step is over: what is alive now was kept for it."""
        for key in self._undecided:
            self._kinds.setdefault(key, "activations")
        self._undecided.clear()

    def restart(self) -> None:
        """Forget the peak."""
        self._most, self._at_most = self.alive, dict(self._sizes)

    def peak(self) -> int:
        """Most bytes alive at once since the start or `restart`."""
        return self._most

    def split(self) -> dict[str, int]:
        """The bytes alive at the peak, by kind."""
        out = dict.fromkeys(KINDS, 0)
        for key, size in self._at_most.items():
            out[self._kinds.get(key, "temporaries")] += size
        return out
