"""Files that are written whole or not at all, read only where they are files of a sane size, and known by their
content.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = [
    "DAY",
    "PART",
    "file_digest",
    "file_name",
    "read_bounded",
    "read_stream",
    "seal",
    "sweep",
    "text_digest",
    "unseal",
    "whole_file",
    "write_bytes",
    "write_text",
]

PART = ".part"
"""Ending of a file that is being written, or was left by a process that was killed."""

DAY = 86_400.0

LIMIT = 64 * 2**20
"""Bytes of the largest record, study or other small file that is read."""


@contextlib.contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """A name beside `file` to write to; what stands there takes the place of `file` when the block ends well, and goes
    when it does not.

    A link is followed. A pipe or device is refused: it would be replaced.

    Raises
    ------
    OSError
        If it cannot be written, also where `file` is a folder.
    """
    file = Path(os.path.realpath(file)) if file.is_symlink() else file
    if file.is_dir():
        raise IsADirectoryError(21, "is a folder", str(file))
    if file.exists() and not file.is_file():
        raise OSError(22, "no regular file", str(file))
    part = file.with_name(f"{file.stem[:100]}-{uuid.uuid4().hex}{PART}")
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(part, file)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def write_text(file: Path, text: str) -> None:
    """Text as UTF-8 whatever the locale, whole or not at all; line ends as they are."""
    write_bytes(file, text.encode("utf-8", "surrogateescape"))


def write_bytes(file: Path, content: bytes) -> None:
    """Whole or not at all."""
    with whole_file(file) as part:
        part.write_bytes(content)


def read_bounded(file: Path, limit: int = LIMIT) -> bytes:
    """The bytes of a regular file of at most `limit` bytes; nothing else is opened for reading, so nothing hangs.

    Raises
    ------
    OSError
        Saying what it is instead: a pipe, a device, a folder, or how large.
    """
    with _regular(file) as (handle, size):
        if size > limit:
            raise OSError(27, f"{size:,} bytes, {limit:,} at most are read")
        return handle.read()


def read_stream(file: Path) -> bytes:
    """The bytes of a file that somebody named; of a pipe what its writers put in, and nothing where there are none."""
    handle = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    os.set_blocking(handle, True)
    with os.fdopen(handle, "rb") as opened:
        return opened.read()


@contextlib.contextmanager
def _regular(file: Path) -> Iterator[tuple[BinaryIO, int]]:
    # Not blocking: to open a pipe without a writer would wait for one.
    handle = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    state = os.fstat(handle)
    if not stat.S_ISREG(state.st_mode):
        os.close(handle)
        raise OSError(22, "not a regular file")
    with os.fdopen(handle, "rb") as opened:
        yield opened, state.st_size


def sweep(folder: Path, older_than: float = DAY, name: str = f"*{PART}") -> None:
    """Remove what writers that were killed left in a folder; a living one has written within the day."""
    with contextlib.suppress(OSError):
        for file in folder.glob(name):
            with contextlib.suppress(OSError):
                if file.is_file() and time.time() - file.stat().st_mtime > older_than:
                    file.unlink()


def text_digest(text: bytes, without: str = "") -> str:
    """SHA-256 of a text but for its white space (line ends and indentation may change on the way) and for the digest
    that it carries.

    Examples
    --------
    >>> text_digest(b'{"a": 1}') == text_digest(b'{  "a":1}')
    True
    >>> text_digest(b'{"a": 1}') == text_digest(b'{"a": 2}')
    False
    """
    bare = text.replace(without.encode(), b"") if without else text
    return hashlib.sha256(bare.translate(None, b" \t\r\n")).hexdigest()


def file_digest(file: Path) -> str:
    """SHA-256 of a file's bytes."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


SEAL = b"\nkaxis-sha256:"
TAIL = len(SEAL) + 64


def seal(payload: bytes) -> bytes:
    """Bytes with their digest behind them."""
    return payload + SEAL + hashlib.sha256(payload).hexdigest().encode()


def unseal(content: bytes) -> bytes | None:
    """The bytes that `seal` took; None if there is no digest behind them.

    Raises
    ------
    ValueError
        If they are not what the digest says.

    Examples
    --------
    >>> unseal(seal(b"numbers")), unseal(b"numbers")
    (b'numbers', None)
    """
    payload, tail = content[:-TAIL], content[-TAIL:]
    if not tail.startswith(SEAL):
        return None
    if hashlib.sha256(payload).hexdigest().encode() != tail[len(SEAL) :]:
        raise ValueError("its content is not what its digest says")
    return payload


def file_name(text: str) -> str:
    """A text as part of a file's name, another for every text: where letters had to go, a digest of the text tells them
    apart.

    Names of catalogued sources and learners are plain enough to do without.

    Examples
    --------
    >>> file_name("cifar100/pca:32/per:100"), file_name("bp_deepsup[lr=0.008]")
    ('cifar100_pca_32_per_100', 'bp_deepsup_lr_0.008')
    >>> file_name("folder:a b") == file_name("folder:a_b")
    False
    """
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in text)
    while "__" in plain:
        plain = plain.replace("__", "_")
    plain = plain.strip("_")
    path = text.partition(":")[2] if text.startswith(("folder:", "npz:")) else ""
    known = "._-" if path else "._-/:[]=,"
    own = not all(c.isascii() and (c.isalnum() or c in known) for c in path or text)
    if own or len(plain) > 120:
        return f"{plain[-100:].strip('_')}-{hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"
    return plain
