"""A page that stands alone: words, tables and figures in, one HTML file out, that asks nothing of anybody."""

from kaxis.page.page import Page, Picture, Section, Table, render

__all__ = ["Page", "Picture", "Section", "Table", "render"]
