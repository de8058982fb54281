"""The page of the differences of two datasets in a browser."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.differences import open_comparison
from pipeline.report.differences import DifferencesReportOptions, write_differences_report
from tests.differences.made import MadeImage, rectangle, write_dataset
from tests.report.page_data import assert_fits, page_json

if TYPE_CHECKING:
    from playwright.sync_api import Page

HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "<!-- <script>",
    "{{ 7 * 7 }}",
    "כלב",
]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """40 images with a dog that moves, a cat that is lost, and a noun and caption that are hostile and have a shift."""
    folder, generator = tmp_path_factory.mktemp("both"), np.random.default_rng(0)
    a, b = [], []
    for number in range(40):
        text = HOSTILE[number % len(HOSTILE)]
        mask = rectangle(1, 1, 2 + number % 9, 3 + number % 7)
        score = float(generator.random())
        a.append(MadeImage(f"{text} {number}", {"dog": (mask, 0.4), "cat": (mask, score), text: (mask, 0.1)}))
        b.append(MadeImage(f"{text} {number}", {"dog": (rectangle(11, 8, 15, 12), 0.5), text: (mask, 0.1 + score)}))
        a[-1].caption = b[-1].caption = f"a {text}"
    return write_dataset(folder / "a", a), write_dataset(folder / "b", b[::-1])


def written(both: tuple[Path, Path], to: Path, **options) -> Path:
    with open_comparison(*map(str, both)) as comparison:
        return Path(write_differences_report(comparison, str(to), DifferencesReportOptions(**options)))


@pytest.fixture(scope="module")
def path(both: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(both, tmp_path_factory.mktemp("page"))


@pytest.fixture
def page(browser_page: "Page", path: Path) -> "Page":
    browser_page.on("dialog", lambda dialog: pytest.fail(f"a script of the data ran: {dialog.message}"))
    browser_page.goto(path.as_uri())
    browser_page.get_by_label("Show").select_option("all")
    return browser_page


def status(page: "Page") -> str:
    return page.locator("#status").text_content()


def nouns(page: "Page") -> list[str]:
    return page.locator("#cards h3 bdi").all_text_contents()


def test_groups_reasons_and_search(page: "Page", path: Path):
    rows = page_json(path, "rows")
    assert status(page) == f"1–24 of {len(rows)} pairs"
    page.get_by_label("Show").select_option("lost")
    assert status(page).endswith("of 40 pairs")
    assert set(nouns(page)) == {"cat"}
    assert page.locator("#cards [data-of=absent-b]").first.text_content() == "no such pair in B"
    page.get_by_label("Show").select_option("all")
    page.get_by_label("Because").select_option("mask_not_among_candidates")
    assert set(nouns(page)) == {"dog"}
    page.get_by_label("Because").select_option("")
    page.get_by_label("Noun", exact=True).fill("nothing like it")
    assert status(page) == "No pair fits"
    page.get_by_role("button", name="Reset").click()
    assert status(page).endswith("of 40 pairs")


def test_sorting_by_the_change_of_scores(page: "Page"):
    page.get_by_label("Show").select_option("shifted")
    page.get_by_label("Sort by").select_option("change")
    changes = [float(text) for text in page.locator("#cards dd[data-of=change]").all_text_contents()]
    assert len(changes) > 10
    assert changes == sorted(changes, reverse=True)
    page.get_by_label("Order").select_option("1")
    assert float(page.locator("#cards dd[data-of=change]").first.text_content()) < changes[0]


def test_pages_by_keyboard(page: "Page"):
    page.get_by_label("Show").select_option("moved")
    page.get_by_role("button", name="Next").focus()
    page.keyboard.press("Enter")
    assert status(page) == "25–40 of 40 pairs"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    assert status(page) == "1–24 of 40 pairs"


def test_both_regions_lie_where_they_are(page: "Page"):
    page.get_by_label("Show").select_option("moved")
    card = page.locator("#cards > li").first
    frame, b = card.locator("rect.place-frame"), card.locator("rect.place-b")
    assert float(b.get_attribute("x")) == pytest.approx(float(frame.get_attribute("width")) * 11 / 16, rel=1e-3)
    assert card.locator("rect.place-a").count() == 1
    page.wait_for_function("[...document.querySelectorAll('#cards img')].every((image) => image.naturalWidth > 0)")
    assert page.locator("#cards img:visible").count() == 48
    assert all(page.locator("#cards img").evaluate_all("(images) => images.map((image) => image.alt)"))


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_texts_of_the_data_stay_texts(page: "Page", text: str):
    page.get_by_label("Noun", exact=True).fill(f'"{text.lower()}"')
    if text == text.lower():
        assert set(nouns(page)) <= {text}
    assert page.locator("#cards script, #cards p img").count() == 0
    page.get_by_label("Noun", exact=True).fill("")
    page.get_by_label("Find a noun").fill(text)
    assert page.locator("#noun-table tbody tr:visible th").all_text_contents() == [text]


@pytest.mark.parametrize("width", [360, 1920])
def test_narrow_and_wide(path: Path, browser_page: "Page", width: int):
    browser_page.set_viewport_size({"width": width, "height": 800})
    browser_page.emulate_media(color_scheme="dark")
    browser_page.goto(path.as_uri())
    assert browser_page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_a_page_without_differences(both: tuple[Path, Path], tmp_path: Path, browser_page: "Page"):
    page = written((both[0], both[0]), tmp_path)
    browser_page.goto(page.as_uri())
    assert browser_page.get_by_text("No pair differs.").first.is_visible()
    assert browser_page.locator("#gallery").is_hidden()
    assert_fits(page, browser_page, 800)


def test_a_page_is_no_larger_than_asked(both: tuple[Path, Path], tmp_path: Path):
    large = written(both, tmp_path / "large")
    most = large.stat().st_size * 3 // 4
    small = written(both, tmp_path / "small", max_bytes=most)
    assert small.stat().st_size <= most
    assert page_json(small, "rows")


def test_pictures_that_are_gone_are_told(both: tuple[Path, Path], tmp_path: Path):
    moved = [path.rename(path.with_suffix(".gone")) for path in (both[1] / "shards").iterdir()]
    try:
        text = written(both, tmp_path).read_text()
    finally:
        for path in moved:
            path.rename(path.with_suffix(".tar"))
    assert "pictures of B cannot be shown" in text
    assert "is damaged: missing" in text
