"""``kaxis cube``: print or export the cube."""

from __future__ import annotations

from pathlib import Path

from kaxis.cli.common import StorePath, Where, open_cube
from kaxis.errors import KaxisError

__all__ = ["cube"]


def cube(*, store: StorePath = None, where: Where = None, out: Path | None = None) -> int:
    """The results as one xarray Dataset over (source, K, learner, seed): printed, or written as netCDF.

    Example: kaxis cube --out cube.nc

    Parameters
    ----------
    out
        A netCDF file to write.
    """
    data = open_cube(store, where)
    data.attrs.pop("problems")
    if out is None:
        print(data)
        return 0
    if not out.parent.is_dir():
        raise KaxisError(f"--out {out}: no folder {out.parent}")
    try:
        data.to_netcdf(out)
    except (OSError, ValueError) as error:
        raise KaxisError(f"--out {out}: {error}") from None
    print(out)
    return 0
