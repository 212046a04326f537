"""``kaxis data``: which sources there are, the files they need, and what a learner sees of them."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from kaxis.cli.common import DataFolder
from kaxis.cli.report import console, show_table
from kaxis.errors import KaxisError, hint, told
from kaxis.io import file_name, write_bytes
from kaxis.sources.lookup import image_set, image_sets
from kaxis.spec.catalog import OWN, SYNTHETIC, source_info

__all__ = ["app"]

SetName = Annotated[str, Parameter(help="a set that kaxis data list names, folder:PATH or npz:PATH")]

app = App(
    name="data", help="Image sets: list them, fetch one, check the files, look at them.\n\nExample: kaxis data list"
)


def _place(data: Path | None) -> Path:
    """The data folder, for this command and for sets of your own that it names."""
    from kaxis.sources.archives import data_dir

    if data is not None:
        os.environ["KAXIS_DATA"] = str(data.expanduser())
    return data_dir()


def _state(name: str, folder: Path) -> str:
    from kaxis.sources.archives import ARCHIVES, missing_files

    if name in ARCHIVES:
        return "missing" if missing_files(name, folder) else "here"
    needs = () if name == SYNTHETIC.name else image_set(name).needs
    if not needs:
        return "built in"
    return "here" if all((folder / part).exists() for part in needs) else "missing"


@app.command(name="list")
def list_(*, data: DataFolder = None) -> int:
    """Every source: classes, image size, images, licence, download, whether its files are here.

    Example: kaxis data list --data ~/data
    """
    folder, rows = _place(data), []
    for info in (SYNTHETIC, *(made.info for made in image_sets())):
        K = ", ".join(f"{n} {view}" if len(info.views) > 1 else str(n) for view, n in info.views.items()) or "any"
        counts = [f"{n:,}" if n else "" for n in (info.train, info.test)]
        size, megabytes = str(info.size or ""), str(info.download or "")
        rows.append([info.name, K, size, *counts, info.licence, megabytes, _state(info.name, folder), info.about])
    show_table("", ["source", "K", "px", "train", "test", "licence", "MiB", "files", "what it is"], rows)
    console().print(f"Files are looked for in {folder}. Your own: folder:PATH (train/CLASS/, val/CLASS/) and npz:PATH.")
    return 0


@app.command
def get(name: SetName, /, *, data: DataFolder = None) -> int:
    """Download an official archive; what an interrupted one left is gone on with, a wrong checksum is refused.

    Example: kaxis data get cifar100 --data ~/data
    """
    from kaxis.sources.archives import ARCHIVES, download, missing_files

    folder = _place(data)
    if name not in ARCHIVES:
        if terms := next((s.terms for s in image_sets() if s.info.name == name), ""):
            raise KaxisError(f"{terms} {folder}")
        raise KaxisError(f"'{name}' is not {hint(name, ARCHIVES)}, the sets with files to download")
    if missing_files(name, folder):
        download(name, folder)
    print(f"{name} is in {folder}")
    return 0


@app.command
def check(name: SetName, /, *, data: DataFolder = None) -> int:
    """Read a set's files: sizes, labels, checksums. A file that is not the official one is named (exit 1).

    Example: kaxis data check cifar100 --data ~/data
    """
    from kaxis.sources.archives import ARCHIVES, missing_files
    from kaxis.sources.images import load_images
    from kaxis.sources.own import left_out

    folder = _place(data)
    readable = [s.info.name for s in image_sets() if s.archive or s.needs]
    if name not in readable and not name.startswith(OWN):
        raise KaxisError(f"'{name}' is not {hint(name, [*readable, 'folder:PATH', 'npz:PATH'])}")
    if name in ARCHIVES and (missing := missing_files(name, folder)):
        raise KaxisError(f"{name}: {folder} lacks {', '.join(missing)}; kaxis data get {name}", exit_code=1)
    images = load_images(name, folder)
    for file, checksum in images.checksums.items():
        print(f"{checksum}  {file}")
    official = {f: md5 for f, (_, md5) in ARCHIVES[name].files.items() if md5} if name in ARCHIVES else {}
    wrong = [f for f, md5 in official.items() if images.checksums[f] != md5]
    side = "x".join(map(str, images.pixels.shape[1:3]))
    counts = f"{images.n_train} training and {len(images.pixels) - images.n_train} test images"
    views = ", ".join(f"{len(names)} {view}" for view, names in images.names.items())
    beside = left_out(name, folder) if name.startswith("folder:") else ""
    print(f"{name}: {counts} of {side}, classes: {views}; readable" + (f"; left out: {beside}" if beside else ""))
    return 1 if wrong else 0


@app.command
def show(
    name: SetName,
    /,
    *,
    K: Annotated[int, Parameter(name="--K")] = 10,
    labels: str = "fine",
    size: int | None = None,
    seed: int = 0,
    columns: int = 8,
    augmented: bool = False,
    out: Path = Path("figures"),
    data: DataFolder = None,
) -> int:
    """Draw a contact sheet: what a conv net sees, a row a class, with the labels it is told.

    Example: kaxis data show cifar100 --labels coarse --K 5 --augmented

    Parameters
    ----------
    K
        Classes, the seed's choice.
    labels
        Label view.
    size
        Side in pixels, where not the set's own.
    seed
        Whose classes, merge groups and augmentation.
    columns
        Images a class.
    augmented
        As in training instead of as they are.
    out
        Folder for the PNG.
    """
    folder = _place(data)
    if not source_info(name).real:
        raise KaxisError(f"source '{name}' has no images")
    if not 1 <= columns <= 100:
        raise KaxisError(f"--columns {columns}: 1 to 100 images a class")
    from kaxis.plots.contact import contact_sheet
    from kaxis.plots.style import style
    from kaxis.sources.load import load_task
    from kaxis.spec.sweep import Sweep

    sweep = Sweep.of({"source": name, "K": K, "labels": labels, "size": size, "seeds": seed, "learners": "bp"})
    task = load_task(sweep.data, K, seed, folder, pixels=True)
    if augmented and task.statistics == ((), ()):
        raise KaxisError(f"{name}: has no images to augment")
    made = io.BytesIO()
    sheet = contact_sheet(task, columns=columns, seed=seed if augmented else None)
    with style():
        sheet.savefig(made, format="png", dpi=120)
    file = out / f"{file_name(name)}_{labels.replace(':', '')}{'_augmented' if augmented else ''}.png"
    with told(f"--out {file.parent}"):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(file, made.getvalue())
    drawn = [min(columns, int((task.y_train == k).sum())) for k in range(K)]
    each = str(drawn[0]) if len(set(drawn)) == 1 else f"{min(drawn)} to {max(drawn)}"
    print(f"{file}: {K} classes of {name}, {each} training images each")
    return 0
