"""``kaxis data``: which sources there are, and the files they need."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from kaxis.cli.report import console
from kaxis.errors import KaxisError, hint
from kaxis.sources.catalog import CATALOG

__all__ = ["app"]

app = App(name="data", help="Image sets: list them, fetch one, check the files.\n\nExample: kaxis data list")


def _archived(name: str) -> str:
    from kaxis.sources.archives import ARCHIVES

    if name not in ARCHIVES:
        raise KaxisError(f"'{name}' is not {hint(name, ARCHIVES)}, the sets with files")
    return name


@app.command(name="list")
def list_(*, data: Path | None = None) -> int:
    """Every source: classes, what it is, whether its files are here.

    Example: kaxis data list --data ~/data
    """
    from rich.table import Table

    from kaxis.sources.archives import ARCHIVES, data_dir, missing_files

    table = Table("source", "labels", "files", "what it is")
    for info in CATALOG.values():
        labels = ", ".join(f"{view} {n}" for view, n in info.views.items()) or "any K"
        files = (
            "built in"
            if info.name not in ARCHIVES
            else "missing"
            if missing_files(info.name, data_dir(data))
            else "here"
        )
        table.add_row(info.name, labels, files, info.about)
    console().print(table)
    return 0


@app.command
def get(name: str, /, *, data: Path | None = None) -> int:
    """Download an official archive; a wrong checksum is refused.

    Example: kaxis data get cifar100 --data ~/data
    """
    from kaxis.sources.archives import data_dir, download, missing_files

    folder = data_dir(data)
    if missing_files(_archived(name), folder):
        download(name, folder)
    print(f"{name} is in {folder}")
    return 0


@app.command
def check(name: str, /, *, data: Path | None = None) -> int:
    """Read a set's files: sizes, labels, checksums. A file that is not the official one is named.

    Example: kaxis data check cifar100 --data ~/data
    """
    from kaxis.sources.archives import data_dir, missing_files
    from kaxis.sources.images import load_images

    folder = data_dir(data)
    if missing := missing_files(_archived(name), folder):
        raise KaxisError(f"{name}: {folder} lacks {', '.join(missing)}; kaxis data get {name}", exit_code=1)
    images = load_images(name, folder)
    for file, checksum in images.checksums.items():
        print(f"{checksum}  {file}")
    print(f"{name}: {images.n_train} training and {len(images.pixels) - images.n_train} test images, readable")
    return 0
