"""Benchmarks are run by hand; that they still find what they measure is seen here."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).parent.parent / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_what_a_benchmark_imports_is_there(file: Path) -> None:
    assert "main" in runpy.run_path(str(file), run_name="imported")
