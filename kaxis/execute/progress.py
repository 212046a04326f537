"""Where a run stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

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
    flops : float
        The arithmetic of it, by which time is estimated: a network-step of one net costs more than another's.
    show : callable
        Called after every change.
    """

    cells: int
    network_steps: int = 0
    flops: float = 0.0
    show: Callable[[Progress], None] = _unseen
    finished: set[str] = field(default_factory=set)
    found: set[str] = field(default_factory=set)
    """Of those that are finished, what another run has trained."""
    network_steps_done: int = 0
    flops_done: float = 0.0
    spared_steps: int = 0
    """Network-steps done that this run did not train: of a checkpoint, of another run, after a divergence."""
    spared_flops: float = 0.0
    images_done: int = 0
    note: str = ""
    workers: dict[str, list[Any]] = field(default_factory=dict)
    """Of each that has said something: network-steps done, where its stack stands."""

    @property
    def cells_done(self) -> int:
        return len(self.finished)

    def seconds_left(self, seconds: float) -> float | None:
        """Of work, after so many seconds of it; None where nothing can be said yet."""
        worked = self.flops_done - self.spared_flops
        return seconds * (self.flops - self.flops_done) / worked if worked > 0 else None

    def rate(self, seconds: float) -> float:
        """Network-steps a second that this run trains, after so many seconds; 0 where nothing can be said yet."""
        return (self.network_steps_done - self.spared_steps) / seconds if seconds > 0 else 0.0

    def advance(
        self,
        network_steps: int,
        images: int = 0,
        note: str = "",
        flops: float = 0.0,
        spared: int = 0,
        *,
        who: str = "",
    ) -> None:
        """Steps of one stack's networks that are done since the last call, how many images those were (0 for an MLP),
        where the stack stands, what they cost, how many of them this run did not train, and who trains it.
        """
        self.network_steps_done += network_steps
        self.flops_done += flops
        self.spared_steps += spared
        self.spared_flops += flops * spared / max(1, network_steps)
        self.images_done += images
        self.note = note or self.note
        if who:
            said = self.workers.setdefault(who, [0, ""])
            said[0], said[1] = said[0] + network_steps, note or said[1]
        self.show(self)

    def finish(self, cells: Iterable[str]) -> None:
        """Ids of cells whose records are in the store by now."""
        self.finished.update(cells)
        self.show(self)

    def find(self, cells: Iterable[str]) -> None:
        """Ids of cells that another run has finished."""
        self.found.update(found := set(cells))
        self.finish(found)

    def wait(self, cells: int) -> None:
        """Other runs on the store are at this many cells."""
        self.note = f"{cells} cell{'s are' if cells != 1 else ' is'} another run's"
        self.show(self)
