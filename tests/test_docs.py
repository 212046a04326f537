"""The documents say what the code does."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from mypy import api

from kaxis.spec.sweep import Sweep
from kaxis.spec.table import OPTIONS, page, shown_default

ROOT = Path(__file__).parent.parent


def test_the_page_of_options_is_the_table() -> None:
    """Names, meanings, defaults and what the paper says: docs/options.md has them from the fields."""
    assert page() in (ROOT / "docs" / "options.md").read_text("utf-8"), "python -m kaxis.spec.table docs/options.md"


def test_help_and_page_give_the_defaults_that_a_run_has() -> None:
    """Against sweeps in which nothing is said."""
    mlp = Sweep.of({"source": "digits"}).as_dict()
    vgg = Sweep.of({"source": "cifar10", "net": "vgg8"}).as_dict()
    for name, owners in OPTIONS.items():
        shown = shown_default(owners).replace(",", " ").replace(":", " ").split()
        for net, sweep in (("mlp", mlp), ("vgg", vgg)):
            value = sweep[name]
            if isinstance(value, (int, float)) and not isinstance(value, bool) and name not in ("K", "size"):
                assert f"{value:.10g}" in [w.strip(";") for w in shown], (net, name, shown)


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


@pytest.mark.slow
def test_table_rows_and_intervals_of_the_findings_come_from_the_analyses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each table row and each interval of the findings and of docs/audit.md is printed by a script of analysis/, over
    the committed records.
    """
    from kaxis import plots

    saved: list[Any] = []
    monkeypatch.setattr(plots, "save", lambda *args, **_: saved.append(args))
    monkeypatch.setattr("sys.argv", ["analysis"])
    for file in sorted((ROOT / "analysis").glob("*.py")):
        if "No records are committed" not in file.read_text():
            runpy.run_path(str(file))
    printed = capsys.readouterr().out
    assert saved
    pages = [ROOT / "docs" / "findings.md", ROOT / "docs" / "audit.md", *(ROOT / "docs" / "findings").glob("*.md")]
    text = "\n".join(page.read_text() for page in pages)
    heads = {
        line for line, below in zip(text.split("\n"), text.split("\n")[1:], strict=False) if below.startswith("|---")
    }
    rows = [
        line for line in text.split("\n") if line.startswith("|") and not line.startswith("|---") and line not in heads
    ]
    assert len(rows) > 400
    assert [row for row in rows if row not in printed] == []
    intervals = re.findall(r"[+-]\d+\.\d+ \[[+-]\d+\.\d+, [+-]\d+\.\d+\]", text)
    assert [i for i in intervals if i not in printed] == []


@pytest.mark.slow
def test_a_type_checker_knows_the_public_names(tmp_path: Path) -> None:
    import kaxis

    file = tmp_path / "use.py"
    file.write_text("import kaxis\n" + "".join(f"reveal_type(kaxis.{name})\n" for name in sorted(kaxis.__all__)))
    out, error, code = api.run(["--config-file", str(ROOT / "pyproject.toml"), "--no-incremental", str(file)])
    assert code == 0, out + error
    shown = [
        line.partition('Revealed type is "')[2].rstrip('"') for line in out.splitlines() if "Revealed type" in line
    ]
    assert len(shown) == len(kaxis.__all__)
    assert "Any" not in {x.removeprefix("typing.") for x in shown}
