"""``kaxis cube``: print or export the cube."""

from __future__ import annotations

from pathlib import Path

from kaxis.cli.common import StorePath, Where, check_output, open_cube
from kaxis.errors import KaxisError
from kaxis.io import whole_file

__all__ = ["cube"]


def cube(*, store: StorePath = None, where: Where = None, out: Path | None = None) -> int:
    """The results as one xarray Dataset over (source, K, learner, seed): printed, or written as netCDF.

    Example: kaxis cube --out cube.nc

    Parameters
    ----------
    out
        A netCDF file to write.
    """
    if out is not None:
        check_output(out, (".nc",))
    data = open_cube(store, where, curves=True).drop_attrs(deep=False)
    if out is None:
        print(data)
        return 0
    if not out.parent.is_dir():
        raise KaxisError(f"--out {out}: no folder {out.parent}")
    try:
        with whole_file(out) as part:
            data.to_netcdf(part)
    except (OSError, RuntimeError, ValueError) as error:
        raise KaxisError(f"--out {out}: {getattr(error, 'strerror', None) or error}") from None
    print(out)
    return 0
