"""The documents say what the code does."""

from __future__ import annotations

import re
import runpy
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from mypy import api

from kaxis.leg import Leg
from kaxis.recipes import CONV, MLP

ROOT = Path(__file__).parent.parent


def test_every_option_is_documented() -> None:
    text = (ROOT / "docs" / "options.md").read_text()
    for field in fields(Leg):
        assert f"`{field.name}`" in text, field.name


def _spelt(value: Any) -> set[str]:
    """How a default may be written in a text."""
    if isinstance(value, bool):
        return {"no", ""} if not value else {"yes"}
    if isinstance(value, tuple):
        return {" ".join(value)}
    return {f"{value:g}", f"{value:f}".rstrip("0")} if isinstance(value, float) else {str(value)}


@pytest.mark.parametrize("net", ["mlp", "vgg"])
@pytest.mark.parametrize("name", sorted({*MLP, *CONV}))
def test_help_and_page_give_the_defaults_of_the_recipes(name: str, net: str) -> None:
    if name not in (recipe := {"mlp": MLP, "vgg": CONV}[net]):
        return
    wanted = _spelt(recipe[name])
    (said,) = [
        extra.text for extra in get_args(get_type_hints(Leg, include_extras=True)[name]) if hasattr(extra, "text")
    ]
    brackets = "; ".join(re.findall(r"\[(.*?)\]", said))
    told = [
        part.strip().removeprefix(net).strip() for part in brackets.split(";") if net in part or "mlp" not in brackets
    ]
    assert any(part.split(",")[0] in wanted for part in [*told, *([] if brackets else [""])]), (said, wanted)
    page = (ROOT / "docs" / "options.md").read_text()
    row = next(
        line
        for line in page.split("\n")
        if line.startswith("|") and f"`{name}`" in line.split("|")[1] and line.count("|") == 5
    )
    cell = (
        row.split("|")[2 if net == "mlp" else 3].replace("`", " ").replace(",", " ").replace(":", " ").replace(";", " ")
    )
    assert any(one in f"{cell} " if " " in one else one in cell.split() for one in wanted), (row, wanted)


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
    """Each table row and each interval of docs/findings.md and docs/audit.md is printed by a script of analysis/ over the committed records."""
    from kaxis import plots

    saved: list[Any] = []
    monkeypatch.setattr(plots, "save", lambda *args, **_: saved.append(args))
    monkeypatch.setattr("sys.argv", ["analysis"])
    for file in sorted((ROOT / "analysis").glob("*.py")):
        if "No records are committed" not in file.read_text():
            runpy.run_path(str(file))
    printed = capsys.readouterr().out
    assert saved
    text = "\n".join((ROOT / "docs" / name).read_text() for name in ("findings.md", "audit.md"))
    heads = {
        line for line, below in zip(text.split("\n"), text.split("\n")[1:], strict=False) if below.startswith("|---")
    }
    rows = [
        line for line in text.split("\n") if line.startswith("|") and not line.startswith("|---") and line not in heads
    ]
    assert len(rows) > 50
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
