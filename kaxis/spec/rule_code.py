"""Running the code of a rule's author: what it raises is told by its file and line, and what it leaves behind is not
left to others.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from kaxis.errors import KaxisError, out_of_memory

__all__ = ["RuleError", "author_told", "authors_code", "own_dtype"]


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
        with own_dtype(f"rule '{made.name}'"):
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
def own_dtype(who: str) -> Iterator[None]:
    """A block of somebody's code that leaves torch's default dtype, which is every learner's, as it was.

    Raises
    ------
    KaxisError
        If it does not; it is put back.
    """
    torch = sys.modules.get("torch")
    before = torch.get_default_dtype() if torch else None
    after = None
    try:
        yield
    finally:
        if torch := sys.modules.get("torch"):
            after, before = torch.get_default_dtype(), before or torch.float32
            if after != before:
                torch.set_default_dtype(before)
    if after != before:
        raise KaxisError(
            f"{who}: makes {str(after).removeprefix('torch.')} torch's default, which is every learner's; "
            "give it to the tensors that need it"
        )


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
