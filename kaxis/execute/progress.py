"""Where a run stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Progress"]


def _unseen(progress: Progress) -> None:
    """Nobody draws it."""


@dataclass
class Progress:
    """Where a run stands; a backend says what is done, and `show` draws it.

    Parameters
    ----------
    cells, network_steps : int
        What there is to do.
    show : callable
        Called after every change.
    """

    cells: int
    network_steps: int = 0
    show: Callable[[Progress], None] = _unseen
    cells_done: int = 0
    network_steps_done: int = 0
    images_done: int = 0
    note: str = ""

    def advance(self, network_steps: int, images: int = 0, note: str = "") -> None:
        """Steps of networks that are done since the last call, how many images those were (0 for an MLP), and where a
        stack stands.
        """
        self.network_steps_done += network_steps
        self.images_done += images
        self.note = note or self.note
        self.show(self)

    def finish(self, cells: int) -> None:
        """Cells whose records are in the store."""
        self.cells_done += cells
        self.show(self)
