"""Running the code of a rule's author: what it raises is told by its file and line, and torch's defaults stay as they
were for others.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from kaxis.errors import KaxisError, out_of_memory

__all__ = ["RuleError", "author_told", "authors_code", "own_defaults"]


class RuleError(KaxisError):
    """What went wrong in a learner that is code, with the place in its author's file: its cells fail, the others go
    on.
    """


class Authored(Protocol):
    """Somebody's code."""

    @property
    def name(self) -> str: ...

    @property
    def file(self) -> str: ...


@contextmanager
def authors_code(made: Authored) -> Iterator[None]:
    """A block that runs a rule's own code: whatever it raises, even an exit, is told with the author's file and line.

    Raises
    ------
    RuleError
    """
    try:
        with own_defaults(f"rule '{made.name}'"):
            yield
    except (KeyboardInterrupt, MemoryError):
        raise
    except KaxisError as error:
        raise RuleError(str(error)) from None
    except BaseException as error:
        if out_of_memory(error):
            raise
        raise RuleError(author_told(error, made.file, made.name)) from None


@contextmanager
def own_defaults(who: str) -> Iterator[None]:
    """A block of somebody's code that leaves torch's default dtype and device, which are every learner's, as they were.

    Raises
    ------
    KaxisError
        If it does not; they are put back.
    """
    torch = sys.modules.get("torch")
    before = _defaults(torch) if torch else None
    changed = None
    try:
        yield
    finally:
        if torch := sys.modules.get("torch"):
            usual = before or (torch.float32, torch.device("cpu"))
            changed = next((a for a, b in zip(_defaults(torch), usual, strict=True) if a != b), None)
            if changed is not None:
                torch.set_default_dtype(usual[0])
                torch.set_default_device(None if usual[1].type == "cpu" else usual[1])
    if changed is not None:
        new = str(changed).removeprefix("torch.")
        raise KaxisError(
            f"{who}: makes {new} torch's default, which is every learner's; give it to the tensors that need it"
        )


def _defaults(torch: Any) -> tuple[Any, Any]:
    return torch.get_default_dtype(), torch.get_default_device()


def author_told(error: BaseException, file: str, name: str) -> str:
    """An exception in one line, with the last place in the author's file, or in a file beside it."""
    folder = os.path.dirname(os.path.realpath(file)) if file else ""
    frames = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if folder and os.path.realpath(f.filename).startswith(folder + os.sep)
    ]
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{os.path.basename(error.filename)}, line {error.lineno}"
    elif frames:
        where = f"{os.path.basename(frames[-1].filename)}, line {frames[-1].lineno}"
    else:
        where = os.path.basename(file) if file else f"learner '{name}'"
    try:
        what = f"exits with {error.code!r}" if isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
    except Exception:  # its own text raises
        what = type(error).__name__
    return f"{where}: {what.rstrip(': ')}"
