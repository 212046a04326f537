"""The documents say what the code does."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from kaxis.leg import Leg

ROOT = Path(__file__).parent.parent


def test_every_option_is_documented() -> None:
    text = (ROOT / "docs" / "options.md").read_text()
    for field in fields(Leg):
        assert f"`{field.name}`" in text, field.name


@pytest.mark.parametrize("file", sorted((ROOT / "studies").glob("*.toml")), ids=lambda f: f.stem)
def test_every_study_has_its_analysis(file: Path) -> None:
    assert (ROOT / "analysis" / f"{file.stem}.py").exists()


def test_public_names_exist() -> None:
    import kaxis

    for name in kaxis.__all__:
        assert getattr(kaxis, name).__doc__
    assert set(kaxis.__all__) == set(dir(kaxis))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = kaxis.nonsense
