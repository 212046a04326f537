"""The official archives: whether their files are here, and how they are fetched."""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kaxis.errors import KaxisError
from kaxis.io import whole_file
from kaxis.sources.info import Archive
from kaxis.sources.lookup import SETS

__all__ = ["ARCHIVES", "data_dir", "download", "missing_files"]


ARCHIVES: dict[str, Archive] = {name: made.archive for name, made in SETS.items() if made.archive}


def data_dir(given: str | os.PathLike[str] | None = None) -> Path:
    """The folder of image files: as given, else ``$KAXIS_DATA``, else the user's cache."""
    if given or os.environ.get("KAXIS_DATA"):
        return Path(given or os.environ["KAXIS_DATA"]).expanduser()
    import pooch

    return Path(pooch.os_cache("kaxis"))


def missing_files(name: str, folder: Path) -> list[str]:
    """Files of an archive that the folder lacks."""
    archive = ARCHIVES[name]
    return [file for file in archive.files if not (folder / archive.folder / file).is_file()]


def download(name: str, folder: Path) -> Path:
    """Fetch an official archive into `folder` and unpack the files that are read; a wrong checksum is refused.

    What an interrupted download left is gone on with.

    Returns
    -------
    Path
        The folder of the files.

    Raises
    ------
    KaxisError
        If the download fails, or what came is not the official file.
    """
    import pooch
    import requests

    archive = ARCHIVES[name]
    target = folder / archive.folder
    pooch.get_logger().setLevel("WARNING")  # its news would be a second line
    if archive.md5:
        wanted: list[tuple[str, str, Path, Any]] = [(archive.url, archive.md5, folder, _Unpack(archive))]
    else:
        wanted = [
            (archive.url + file, str(md5), target, None)
            for file, (_, md5) in archive.files.items()
            if not (target / file).is_file()
        ]
    for url, md5, place, processor in wanted:
        file = url.rsplit("/", 1)[1]
        try:
            pooch.retrieve(url, f"md5:{md5}", fname=file, path=place, processor=processor, downloader=_fetch)
        except KaxisError as error:
            raise KaxisError(f"{name}: {error}") from None
        except (OSError, ValueError, requests.RequestException) as error:
            bad = "hash" in str(error).lower()
            reason = "what came is not the official file (checksum)" if bad else type(error).__name__
            if bad:
                _partial(place / file).unlink(missing_ok=True)
            inside = "" if archive.folder == "." else f"{archive.folder}/"
            raise KaxisError(
                f"{name}: download of {url} failed: {reason}; or put "
                f"{', '.join(inside + f for f in archive.files)} into a folder and name that folder with --data"
            ) from None
        _partial(place / file).unlink(missing_ok=True)
    return target


LARGEST = 2**30
"""Bytes of the largest file that is taken out of an official archive; the largest there is has a quarter of that."""


class _Unpack:
    """Takes the files that are read out of a tar archive, by name; links, devices, paths and everything else in it stay
    there.

    Called by pooch with the archive's file.

    Raises
    ------
    KaxisError
        If the archive lacks a file, or declares one to be larger than any official one.
    """

    def __init__(self, archive: Archive) -> None:
        self.archive = archive

    def __call__(self, fname: str, action: str, pooch: Any) -> str:
        folder = Path(fname).parent
        lacking = {f"{self.archive.folder}/{file}": folder / self.archive.folder / file for file in self.archive.files}
        try:
            with tarfile.open(fname) as tar:
                for member in tar:
                    name = member.name.removeprefix("./")
                    if name not in lacking or not member.isreg():
                        continue
                    if member.size > LARGEST:
                        raise KaxisError(
                            f"{Path(fname).name}: {name} is declared to have {member.size:,} bytes; not the "
                            "official archive"
                        )
                    source, target = tar.extractfile(member), lacking.pop(name)
                    assert source is not None
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with whole_file(target) as part, part.open("wb") as out:
                        shutil.copyfileobj(source, out, 1 << 20)
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise KaxisError(f"{Path(fname).name}: not a readable archive ({error})") from None
        if lacking:
            raise KaxisError(f"{Path(fname).name}: lacks {', '.join(lacking)}; not the official archive")
        return fname


def _partial(file: Path) -> Path:
    return file.with_name(f".{file.name}.partial")


def _fetch(url: str, output: Any, pooch: Any) -> None:
    """A download that goes on where an earlier one stopped; pooch checks the whole afterwards."""
    kept = _partial(Path(output).parent / url.rsplit("/", 1)[1])
    with _alone(kept):
        _fetch_into(kept, url)
        shutil.copyfile(kept, output)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Hold a file against other processes that download the same, where the system can."""
    with file.open("ab") as held:
        try:
            import fcntl

            fcntl.flock(held, fcntl.LOCK_EX)
        except (ImportError, OSError):
            pass
        yield


def _fetch_into(kept: Path, url: str) -> None:
    import requests

    have = kept.stat().st_size
    with requests.get(url, stream=True, timeout=30, headers={"Range": f"bytes={have}-"} if have else {}) as reply:
        if reply.status_code != 416:  # 416: the rest is empty, all of it is here
            reply.raise_for_status()
            have = have if reply.status_code == 206 else 0
            total = have + int(reply.headers.get("Content-Length", 0))
            with kept.open("ab" if have else "wb") as file, _bar(kept.name[1:-8], total, have) as advance:
                for chunk in reply.iter_content(1 << 20):
                    file.write(chunk)
                    advance(len(chunk))


@contextmanager
def _bar(name: str, total: int, done: int) -> Iterator[Any]:
    """A progress bar on a terminal, nothing into a pipe."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=total or None, completed=done)
        yield lambda count: bar.advance(task, count)
