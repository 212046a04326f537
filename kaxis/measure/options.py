"""What an audit is asked for: its flags, the keys of a file of audits, the arguments from Python."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

from kaxis.errors import KaxisError
from kaxis.spec.options import Float, Integers, Strings, parsed, read_toml

__all__ = ["Asked", "asked_by", "bytes_of", "shape_of"]

Count = Annotated[int, Ge(1), Le(1_000_000)]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One audit.

    Parameters
    ----------
    net : {"mlp", "vgg8", "vgg11", "vgg13"}
    size : int, optional
        Side of the images in pixels, 32 by default; for the MLP its inputs, 256 by default.
    batch : int, optional
        Images a step; else as a run has it.
    parts : int
        Into which gradient accumulation divides a batch.
    K : tuple of int
        Numbers of classes, a set of rows each.
    learners : tuple of str
        Each in every way its step can be worked; by default the published comparison.
    rules : tuple of str
        Files that define learners.
    width, depth, precision
        As a run has them.
    budget : str, optional
        A memory size such as ``8GB``, within which the largest batch is looked for.
    steps : int, optional
        Steps timed in each of two passes, there and back; none on a CPU and 20 on a GPU unless asked for.
    """

    net: Literal["mlp", "vgg8", "vgg11", "vgg13"] = "vgg8"
    size: Annotated[int, Ge(2), Le(4096)] | None = None
    batch: Count | None = None
    parts: Count = 4
    K: Integers = (10,)
    learners: Strings = ()
    rules: Strings = ()
    width: Annotated[Float, Gt(0), Le(65_536)] | None = None
    depth: Annotated[int, Ge(1), Le(1000)] | None = None
    precision: Literal["float32", "bfloat16"] | None = None
    budget: str | None = None
    steps: Annotated[int, Ge(0), Le(1_000_000)] | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Asked:
        """Checked, from options as typed.

        Raises
        ------
        KaxisError
            For the first that does not fit.
        """
        asked: Asked = parsed(cls, options)
        if not asked.K or min(asked.K) < 2:
            raise KaxisError(f"K = {' '.join(map(str, asked.K)) or 'nothing'}: numbers of classes, 2 or more each")
        if asked.budget is not None:
            bytes_of(asked.budget)
        if asked.net == "mlp" and "parts" in options:
            raise KaxisError(f"parts = {asked.parts}: the mlp's batch is worked whole")
        return asked

    @property
    def inputs(self) -> int:
        """Side in pixels, or the MLP's inputs."""
        return self.size or (256 if self.net == "mlp" else 32)


def asked_by(file: Path) -> list[Asked]:
    """The audits of a file: a table ``[[audit]]`` each, what stands above them holding for all.

    Raises
    ------
    KaxisError
        If it cannot be read, or an option does not fit.
    """
    content = read_toml(file)
    tables = content.pop("audit", [{}])
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise KaxisError(f"{file}: audits are tables, headed [[audit]]")
    try:
        return [Asked.of({**content, **table}) for table in tables]
    except KaxisError as error:
        raise KaxisError(f"{file}: {error}") from None


UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def bytes_of(text: str) -> int:
    """A size as typed.

    Examples
    --------
    >>> bytes_of("8GB"), bytes_of("1.5 GiB")
    (8000000000, 1610612736)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]+)\s*", text)
    if not match or match[2].lower() not in UNITS or len(match[1]) > 15:
        raise KaxisError(f"budget '{text}' is not a size such as 8GB, 6.5GiB or 500MB")
    return int(float(match[1]) * UNITS[match[2].lower()])


def shape_of(row: Mapping[str, Any]) -> str:
    """Net, size and batch of an audit's row, in words."""
    mlp = row["net"] == "mlp"
    width = f" (width {row['width']:g})" if mlp or row["width"] != 1 else ""
    depth = f", depth {row['depth']}" if row["depth"] else ""
    return f"{row['net']}{width}{depth}, {row['size']} {'inputs' if mlp else 'px'}, batch {row['batch']}"
