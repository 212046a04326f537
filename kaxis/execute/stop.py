"""Ending a training that is asked to end: at its next step, with a checkpoint."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

__all__ = ["ASKED", "SIGNALS", "heeded"]

ASKED = threading.Event()
"""Set when this process is asked to end; a training looks at it after every step."""

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)]
"""What asks: a terminal, a batch system before it takes the machine away, the process that started this one."""


@contextlib.contextmanager
def heeded() -> Iterator[None]:
    """Signals only ask while the block runs; a second one ends it at once, but for SIGUSR1, which a batch system sends
    to all processes of a job and a parent to its own again. What is ignored stays so.

    In another thread than the first they are somebody else's to handle.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if (handler := signal.getsignal(number)) is not signal.SIG_IGN:
                before[number] = handler
                signal.signal(number, _ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ask(number: int, _: object) -> None:
    if ASKED.is_set() and number != getattr(signal, "SIGUSR1", None):
        raise KeyboardInterrupt
    ASKED.set()
