"""The page of a store in a real browser: quiet, alone, readable on a telephone, usable without a mouse or eyes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="there is no Chromium on this machine")]

ROOT = Path(__file__).parents[2]
Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the committed main store."""
    from kaxis.cli import app

    out = tmp_path_factory.mktemp("page") / "report.html"
    store = str(ROOT / "studies/results/main")
    app(["report", "--store", store, "--out", str(out)], result_action="return_value")
    return out


@pytest.fixture
def page(browser: Any, file: Path) -> Iterator[Any]:
    """One that has said nothing and asked for nothing when the test is over."""
    opened = browser.new_page(viewport={"width": 1200, "height": 900})
    said: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(file.as_uri())
    yield opened
    assert said == []
    assert [address for address in asked if not address.startswith("data:")] == [file.as_uri()]
    opened.close()


def test_it_is_small_and_its_first_screen_answers(page: Any, file: Path) -> None:
    assert file.stat().st_size < 2e6
    box = page.locator(".verdict").bounding_box()
    assert box["y"] + box["height"] < 900
    assert "Below 0 on cifar100/pca:32 [-2.52, -1.80], n = 10, 8,000 steps" in page.locator(".verdict").inner_text()


@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_stands_out_of_the_screen(width: int, page: Any) -> None:
    page.set_viewport_size({"width": width, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_tables_are_sorted_by_a_key(page: Any) -> None:
    table = page.locator("table").first
    heading = table.locator("th", has_text="effect")
    place = heading.evaluate("th => th.cellIndex")

    def values() -> list[float]:
        return [float(row.locator("td").nth(place).inner_text()) for row in table.locator("tbody tr").all()]

    before = values()
    heading.locator("button").focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert values() == sorted(before) != before
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert values() == sorted(before, reverse=True)


def test_a_table_is_taken_away_as_the_verb_writes_it(page: Any, cli: Cli, tmp_path: Path) -> None:
    with page.expect_download() as download:
        page.get_by_text("paired_digits.csv", exact=True).click()
    store = ROOT / "studies/results/main"
    line = ["analyze", "paired", "--baseline", "bp_deepsup", "--where", "source=digits", "--store", store]
    assert cli(*line, "--csv", tmp_path / "own.csv")[0] == 0
    assert Path(download.value.path()).read_bytes() == (tmp_path / "own.csv").read_bytes()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(scheme: str, page: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    page.emulate_media(color_scheme=scheme)
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
