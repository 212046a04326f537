"""What specifications are made of: fields that say what they mean, and values as people type them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, Self, cast

from pydantic import AllowInfNan, BeforeValidator, TypeAdapter, ValidationError

from kaxis.errors import KaxisError, hint, nearest, told
from kaxis.io import read_bounded

__all__ = ["Float", "Integers", "Option", "Spec", "Strings", "integers", "parsed", "read_toml", "strings", "validated"]


MOST = 100_000
"""Numbers that one range may name."""


class Option(NamedTuple):
    """What a field means, for ``--help`` and docs/options.md: help, what the paper says of it, and its default where
    the field cannot show it.
    """

    help: str
    paper: str = "ours"
    default: str = ""


def integers(value: object) -> tuple[int, ...]:
    """Whole numbers from what people type: ``5 10 50``, ``0-4``, ``0,3,7``, or a list.

    Raises
    ------
    KaxisError
        For something that is no number, or a range that runs backwards.

    Examples
    --------
    >>> integers(["0-2", "7"]), integers("5,10"), integers([3, 5])
    ((0, 1, 2, 7), (5, 10), (3, 5))
    """
    items = value if isinstance(value, (list, tuple)) else [value]
    out: list[int] = []
    for item in (part for each in items for part in re.split(r"[,\s]+", str(each).strip())):
        if re.fullmatch(r"-?\d{1,18}", item):
            out.append(int(item))
        elif match := re.fullmatch(r"(\d{1,18})-(\d{1,18})", item):
            first, last = int(match[1]), int(match[2])
            if last < first:
                raise KaxisError(f"'{item}' runs backwards; write {last}-{first}")
            if last - first >= MOST:
                raise KaxisError(f"'{item}': {last - first + 1:,} numbers, {MOST:,} at most")
            out.extend(range(first, last + 1))
        else:
            raise KaxisError(f"'{item[:80]}' is not a whole number or a range such as 0-4")
        if len(out) > MOST:
            raise KaxisError(f"{len(out):,} numbers and more, {MOST:,} at most")
    return tuple(out)


def strings(value: object) -> tuple[str, ...]:
    """One string or several as a tuple."""
    return tuple(str(v) for v in value) if isinstance(value, (list, tuple)) else (str(value),)


def read_toml(file: Path) -> dict[str, Any]:
    """A file of options.

    Raises
    ------
    KaxisError
        In one line, if it cannot be read, is no TOML, or nests without end.
    """
    with told(str(file)):
        raw = read_bounded(file)
    try:
        return tomllib.loads(raw.decode("utf-8-sig").replace("\r\n", "\n"))
    except ValueError as error:  # no TOML, no UTF-8, a number of thousands of digits
        raise KaxisError(f"{file}: {error}") from None
    except RecursionError:
        raise KaxisError(f"{file}: nested too deeply") from None


Float = Annotated[float, AllowInfNan(False)]
Integers = Annotated[tuple[int, ...], BeforeValidator(integers)]
Strings = Annotated[tuple[str, ...], BeforeValidator(strings)]


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One part of what is asked: its fields are options, and, by the same names, a part of a cell's configuration."""

    UNNAMED: ClassVar[Mapping[str, Any]] = {}
    """Values that a configuration leaves out: as cells were before there was such an option, so that their ids stay."""

    def config(self) -> dict[str, Any]:
        """As JSON."""
        values = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values
            if name not in self.UNNAMED or value != self.UNNAMED[name]
        }

    @classmethod
    def restored(cls, config: Mapping[str, Any]) -> Self:
        """From `config`. Keys of other versions are passed over; those that are left out have their value of then."""
        own = {f.name for f in fields(cls)}
        given = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items() if k in own}
        return cls(**{**cls.UNNAMED, **given})


def parsed(kind: type[Any], options: Mapping[str, Any]) -> Any:
    """A dataclass from options as typed; unknown keys, wrong types and values out of range are errors.

    Raises
    ------
    KaxisError
        For the first that does not fit, in one line.
    """
    names = [f.name for f in fields(kind)]
    for key in options:
        if key not in names:
            raise KaxisError(f"option '{key}' is not {hint(key, names)}")
    return validated(kind, options)


def validated(kind: type[Any], options: Mapping[str, Any], names: Mapping[str, str] | None = None) -> Any:
    """As `parsed`, for keys that are known to exist; `names` are those that users know them by."""
    for each in fields(kind):
        if isinstance(options.get(each.name), bool) and "bool" not in str(each.type):  # else true would be 1
            name = (names or {}).get(each.name, each.name)
            raise KaxisError(f"{name} = {str(options[each.name]).lower()}: a number or a text, not true or false")
    try:
        return _adapter(cast(Hashable, kind)).validate_python(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        field = next((part for part in first["loc"] if isinstance(part, str)), "option")
        value, message = options.get(field), first["msg"].removeprefix("Value error, ")
        if first["type"] == "literal_error":
            message += nearest(value, [word.strip("'") for word in re.split(", | or ", first["ctx"]["expected"])])
        typed = " ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
        raise KaxisError(f"{(names or {}).get(field, field)} = {typed}: {message[0].lower()}{message[1:]}") from None


@cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast(type[Any], kind))
