"""The one error class that users meet, and the hint that goes with it."""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

__all__ = ["KaxisError", "each", "hint", "nearest", "out_of_memory", "told", "visible"]

A = TypeVar("A")
B = TypeVar("B")

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class KaxisError(ValueError):
    """Something the user can mend. The message is one line: the value, what is allowed, the nearest match.

    Parameters
    ----------
    message : str
        One line.
    exit_code : int
        What the command line exits with: 2 (wrong usage) unless the work itself failed (1).
    """

    def __init__(self, message: str, *, exit_code: int = 2) -> None:
        super().__init__(visible(" ".join(message.split())))
        self.exit_code = exit_code


@contextlib.contextmanager
def told(what: str, *, exit_code: int = 2) -> Iterator[None]:
    """What the system says inside of a file that cannot be read or written, as a `KaxisError` that names it.

    Examples
    --------
    >>> with told("--csv nowhere/t.csv"):
    ...     open("nowhere/t.csv", "w")
    Traceback (most recent call last):
    kaxis.errors.KaxisError: --csv nowhere/t.csv: No such file or directory
    """
    try:
        yield
    except OSError as error:
        raise KaxisError(f"{what}: {error.strerror or error}", exit_code=exit_code) from None


def visible(text: str) -> str:
    """Text from files and names with its control characters spelt out, so that none reaches a terminal as a command.

    Examples
    --------
    >>> print(visible("a" + chr(27) + "[31mb"))
    a\\x1b[31mb
    """
    return CONTROL.sub(lambda c: c[0].encode("unicode_escape").decode(), text)


def hint(value: object, allowed: Iterable[str]) -> str:
    """The allowed values and, where one is close, which was probably meant.

    Examples
    --------
    >>> hint("bp_depsup", ["bp", "bp_deepsup"])
    "one of: bp, bp_deepsup (did you mean 'bp_deepsup'?)"
    """
    names = list(allowed)
    return f"one of: {', '.join(names)}{nearest(value, names)}"


def nearest(value: object, allowed: Iterable[str]) -> str:
    """The value that was probably meant, as a question; nothing where none is close."""
    close = difflib.get_close_matches(str(value), list(allowed), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def each(of: Iterable[A], one: Callable[[A], B]) -> tuple[list[B], dict[A, str]]:
    """What there is for each, and why there is nothing for others.

    Raises
    ------
    KaxisError
        If there is nothing for any.

    Examples
    --------
    >>> def halved(n):
    ...     if n % 2:
    ...         raise KaxisError("odd")
    ...     return n // 2
    >>> each([4, 5, 6], halved)
    ([2, 3], {5: 'odd'})
    """
    made: list[B] = []
    refused: dict[A, str] = {}
    for what in of:
        try:
            made.append(one(what))
        except KaxisError as refusal:
            refused[what] = str(refusal)
    if refused and not made:
        raise KaxisError("; ".join(dict.fromkeys(refused.values())))
    return made, refused


OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory does not suffice."""
    if not isinstance(error, RuntimeError):
        return isinstance(error, MemoryError)
    try:
        return any(sign in str(error) for sign in OUT_OF_MEMORY)
    except Exception:  # its own text raises
        return False
