"""Who does what: claims in a folder that several runs share, so that they keep out of each other's way.

A holder is a process's own file, locked while the process lives, its time renewed; a claim is a link to it of the
claimed thing's name, made where none is. One is abandoned when its holder is gone: on the same machine the lock says so
at once, elsewhere a time that stands still does, after `STALE` seconds. A lost claim costs time and never a number,
since any number of processes may write a store.
"""

from __future__ import annotations

import contextlib
import os
import platform
import threading
import time
import uuid
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from kaxis.errors import KaxisError
from kaxis.io import PART

try:
    import fcntl
except ImportError:  # a system without such locks
    fcntl = None  # type: ignore[assignment]

__all__ = ["CLAIM", "STALE", "claimed", "place", "taken"]

CLAIM = ".claim"


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0.1 <= float(text) <= 1e6:
            return float(text)
    raise KaxisError(f"KAXIS_STALE = {text}: seconds, 0.1 to 1,000,000")


STALE = _seconds(os.environ.get("KAXIS_STALE", "180"))
"""Seconds after which a holder whose time stands still counts as gone."""

RENEWALS = 6
"""In this time."""


@contextlib.contextmanager
def claimed(folder: Path, names: Sequence[str], *, at_most: int | None = None) -> Iterator[list[str]]:
    """Hold what nobody else holds of `names` while the block runs.

    Parameters
    ----------
    folder : Path
        Made if it is not there. Where it takes no claims everything is given, with a warning.
    names : sequence of str
        Each plain enough for the name of a file.
    at_most : int, optional
        How many; by default all, and none if the first is held by others, so that runs that claim the same names in the
        same order do not cut what belongs together in pieces.
    """
    holder = None
    try:
        try:
            holder = _Holder(folder)
            mine = holder.take_of(names, at_most)
        except OSError as error:
            why = error.strerror or error
            warnings.warn(f"no claims in {folder} ({why}): runs beside this one may do its work again", stacklevel=3)
            mine = list(names)[:at_most]
        yield mine
    finally:
        if holder:
            holder.release()


def taken(folder: Path, names: Iterable[str]) -> set[str]:
    """Which of the names somebody holds now."""
    present = {file.name for file in folder.glob(f"*{CLAIM}")}
    asked = [name for name in names if name + CLAIM in present]
    now = _clock(folder) if asked else 0.0
    return {name for name in asked if _lives(folder / (name + CLAIM), now)}


@cache
def place() -> str:
    """This machine since it was started: where a lock says whether a process lives."""
    with contextlib.suppress(OSError):
        return f"{platform.node()} {Path('/proc/sys/kernel/random/boot_id').read_text('ascii').strip()}"
    return f"{platform.node()} {uuid.getnode()}"


class _Holder:
    """This process, as long as it holds something."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.names = folder, list[str]()
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / f"{uuid.uuid4().hex}{PART}"  # which Store.prepare sweeps away some day
        self.handle = os.open(self.file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        if fcntl:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(self.handle, fcntl.LOCK_EX)
        try:
            os.write(self.handle, place().encode())
        except OSError:  # a full disk
            os.close(self.handle)
            self.file.unlink()
            raise
        self.over = threading.Event()
        threading.Thread(target=self._renew, daemon=True).start()

    def _renew(self) -> None:
        while not self.over.wait(STALE / RENEWALS):
            with contextlib.suppress(OSError):
                os.utime(self.file)

    def take_of(self, names: Sequence[str], at_most: int | None) -> list[str]:
        mine: list[str] = []
        for name in names:
            if len(mine) == at_most:
                break
            if self._take(name):
                mine.append(name)
            elif at_most is None and not mine:
                break
        return mine

    def _take(self, name: str) -> bool:
        claim = self.folder / (name + CLAIM)
        for _ in range(3):
            with contextlib.suppress(FileExistsError):
                os.link(self.file, claim)
                self.names.append(name)
                return True
            inode = _inode(claim)
            if _lives(claim, _clock(self.folder)):
                return False
            _take_away(claim, inode)
        return False

    def release(self) -> None:
        self.over.set()
        own = os.fstat(self.handle).st_ino
        for name in self.names:
            if _inode(claim := self.folder / (name + CLAIM)) == own:
                _take_away(claim, own)
        os.close(self.handle)
        with contextlib.suppress(OSError):
            self.file.unlink()


def _inode(file: Path) -> int:
    try:
        return file.stat().st_ino
    except OSError:
        return 0


def _clock(folder: Path) -> float:
    """The time of the file system, which all machines that share it see alike."""
    probe = folder / f"{uuid.uuid4().hex}{PART}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def _lives(claim: Path, now: float) -> bool:
    """Whether a claim's holder does."""
    with contextlib.suppress(OSError), claim.open("rb") as opened:  # one that is not ours to read goes by its time
        if fcntl and opened.read(1000) == place().encode():
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(opened.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False
    try:
        return now - claim.stat().st_mtime <= STALE
    except OSError:
        return False


def _take_away(claim: Path, inode: int) -> None:
    """Remove a claim that is still the file it was when it was looked at."""
    aside = claim.with_name(f"{uuid.uuid4().hex}{PART}")
    with contextlib.suppress(OSError):
        os.rename(claim, aside)  # of several that try, one succeeds
        if _inode(aside) != inode:  # it was another's by then
            with contextlib.suppress(OSError):
                os.link(aside, claim)
        aside.unlink()
