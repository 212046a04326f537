"""What docs/architecture.md says one adds in one file is added, and seen in every verb."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kaxis.cli import analyze, figure

PAGE = (Path(__file__).parent.parent / "docs" / "architecture.md").read_text("utf-8")
Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def installed(install: Callable[..., Path]) -> Iterator[Path]:
    """The page's files as an installed package."""
    files = dict(re.findall(r"<!-- (\w+\.py) -->\n```python\n(.*?)```", PAGE, re.S))
    assert set(files) == {"toy_set.py", "toy_rule.py", "toy_analysis.py", "toy_backend.py"}
    (toml,) = re.findall(r"<!-- entry points -->\n```toml\n(.*?)```", PAGE, re.S)
    yield install(files, re.sub(r'\[project.entry-points."(.*?)"\]', r"[\1]", toml).replace('"', ""))
    for app in (analyze.app, figure.app):
        if "spread" in app:
            del app["spread"]


def test_every_addition_is_seen_in_its_verbs(installed: Path, tmp_path: Path, cli: Cli) -> None:
    assert "stripes of six widths" in cli("data", "list")[1]
    store, rule = tmp_path / "store", installed / "toy_rule.py"
    learners = ("--learners", "bp_deepsup", "top_only", "--rules", rule)
    run = ("run", "stripes", "--K", "3", "6", "--seeds", "0-2", "--steps", "60", "--width", "16", *learners)
    code, out, err = cli(*run, "--store", store, "--on", "backwards", "--debug")
    print(err)
    assert (code, err) == (0, "")
    assert "12 trained" in out
    code, out, err = cli("analyze", "spread", "--learner", "top_only", "--store", store)
    assert (code, err) == (0, "")
    assert out.count("stripes") == 2
    code, _, err = cli("figure", "spread", "--learner", "top_only", "--out", tmp_path / "f", "--store", store)
    assert (code, err) == (0, "")
    assert (tmp_path / "f" / "spread.csv").read_text().count("stripes") == 2
    code, out, err = cli("analyze", "paired", "--learner", "top_only", "--store", store)
    assert (code, err) == (0, "")
    assert "top_only - bp_deepsup" in out


def test_help_lists_what_is_installed(installed: Path, cli: Cli) -> None:
    assert "How far seeds lie apart" in cli("analyze", "--help")[1]


def test_code_that_does_not_import_is_named(installed: Path, cli: Cli) -> None:
    (installed / "toy_analysis.py").write_text("import nothing_of_that_name")
    code, _, err = cli("analyze", "spread")
    assert code == 2
    assert err == (
        "kaxis: analyze verb 'spread' (toy_analysis:spread): ModuleNotFoundError: No module named "
        "'nothing_of_that_name'\n"
    )


def test_a_set_that_is_none(installed: Path, tmp_path: Path, cli: Cli) -> None:
    (installed / "toy_set.py").write_text("stripes = 3")
    code, _, err = cli("run", "stripes", "--store", tmp_path / "s")
    assert code == 2
    assert "its package gives no ImageSet of that name" in err
    assert "did you mean 'stripes'" in cli("run", "stripez", "--store", tmp_path / "s")[2]
