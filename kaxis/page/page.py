"""What a page holds, as plain data, and its HTML by the template beside this file."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from xml.etree import ElementTree

__all__ = ["Page", "Picture", "Section", "Table", "render"]

SVG = "http://www.w3.org/2000/svg"


@dataclass(frozen=True)
class Picture:
    """A figure: `svg` text, what it shows in words with its numbers (`alt`), a line below it."""

    svg: str
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Table:
    """A table as people see it, with its numbers in full to take away (`csv`, `json`) under a file `name`.

    `words` are columns that stand to the left; `remarks` are what the numbers do and do not say.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: frozenset[str] = frozenset()
    remarks: Sequence[str] = ()
    name: str = ""
    csv: str = ""
    json: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a page with a heading of its own; `anchor` names it in an address."""

    title: str
    anchor: str
    lines: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    code: Sequence[str] = ()


@dataclass(frozen=True)
class Page:
    """What stands first, `verdict` and `pictures`, and sections."""

    title: str
    verdict: Sequence[str]
    pictures: Sequence[Picture] = ()
    sections: Sequence[Section] = field(default_factory=tuple)
    made: str = ""


def render(page: Page) -> str:
    """The page as HTML. All text is taken as text."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"inline": inline, "address": _address}
    source = files("kaxis.page").joinpath("page.html.jinja").read_text("utf-8")
    return environment.from_string(source).render(page=page)


def inline(picture: Picture, number: int) -> str:
    """An SVG to stand inside a page: with its words for those who do not see it, and names that no other on the page
    has.
    """
    from markupsafe import Markup

    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ElementTree.fromstring(picture.svg)
    for part in root.findall(f"{{{SVG}}}metadata"):
        root.remove(part)
    used = set(re.findall(r"#([\w-]+)", picture.svg))
    for part in root.iter():
        name = part.attrib.pop("id", None)
        if name in used:
            part.set("id", f"p{number}-{name}")
        for key, value in part.attrib.items():
            if "#" in value:
                part.set(key, re.sub(r"(url\(#|^#)(?=[\w-])", rf"\1p{number}-", value))
    root.attrib |= {"role": "img", "aria-label": picture.alt}
    root.attrib.pop("height", None)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _address(text: str, kind: str) -> str:
    """A file's content as an address, which is no request."""
    return f"data:{kind};base64,{base64.b64encode(text.encode('utf-8', 'replace')).decode()}"
