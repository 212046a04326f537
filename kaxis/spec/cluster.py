"""What a batch system is asked for: a study's ``[cluster]`` table over the user's own file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Le
from pydantic import BeforeValidator

from kaxis.errors import KaxisError
from kaxis.spec.options import Strings, parsed, read_toml

__all__ = ["Cluster", "own_file"]


def _time(value: object) -> str:
    text = str(value)
    if not re.fullmatch(r"(\d+-)?\d{1,2}:\d{2}:\d{2}", text):
        raise ValueError("write HH:MM:SS or D-HH:MM:SS")
    return text


Plain = Annotated[str, BeforeValidator(str)]


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Of each job, which is one worker.

    Parameters
    ----------
    partition, account : str
        The batch system's default where empty.
    time : str
        ``HH:MM:SS`` or ``D-HH:MM:SS``. A worker writes a checkpoint and leaves a little before.
    memory : str
        Such as ``4GB``.
    cores : int
        Of a job; its worker trains one stack at a time.
    gpus : int
        None or one: a worker trains on one, and `jobs` says how many there are.
    jobs : int
        At most at a time; ``--jobs`` goes over it.
    interface : str
        Network interface by which workers reach the scheduler.
    setup : tuple of str
        Lines of the job script before the worker, such as ``module load python``.
    directives : tuple of str
        Further ones, such as ``--requeue``.
    python : str
        The interpreter on the nodes; by default this one's path.

    Examples
    --------
    >>> Cluster.of({"partition": "gpu", "time": "1-00:00:00", "gpus": 1}, {}).seconds
    86400
    """

    partition: Plain = ""
    account: Plain = ""
    time: Annotated[str, BeforeValidator(_time)] = "01:00:00"
    memory: Plain = "4GB"
    cores: Annotated[int, Ge(1), Le(1024)] = 1
    gpus: Annotated[int, Ge(0), Le(1)] = 0
    jobs: Annotated[int, Ge(1), Le(10_000)] = 10
    interface: Plain = ""
    setup: Strings = ()
    directives: Strings = ()
    python: Plain = ""

    @classmethod
    def of(cls, table: Mapping[str, Any], own: Mapping[str, Any] | None = None) -> Cluster:
        """A study's table over the user's own.

        Raises
        ------
        KaxisError
            For a key that there is not, or a value that does not fit.
        """
        if own is None:
            own = read_toml(own_file()) if own_file().exists() else {}
        try:
            return parsed(cls, {**own, **table})
        except KaxisError as error:
            raise KaxisError(f"cluster: {error}") from None

    @property
    def seconds(self) -> int:
        """Of a job."""
        days, _, clock = self.time.rpartition("-")
        hours, minutes, seconds = map(int, clock.split(":"))
        return 86_400 * int(days or 0) + 3_600 * hours + 60 * minutes + seconds


def own_file() -> Path:
    """Where a user's own settings are: ``~/.config/kaxis/cluster.toml``."""
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(config) / "kaxis" / "cluster.toml"
