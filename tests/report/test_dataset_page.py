"""A dataset's report in a browser."""

import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from pipeline.report.dataset import DatasetReportOptions, write_dataset_report
from tests.report.made_dataset import make_dataset
from tests.report.page_data import page_json

if TYPE_CHECKING:
    from playwright.sync_api import Page

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</script><script>alert(3)</script>",
    "<!-- <script>",
    "line\u2028separator",
    "כלב גדול",
    "'); alert(4); ('",
    "{{ 7 * 7 }} $x^2$",
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 pairs of 33 nouns, some of them hostile, so that captions and image ids are, too."""
    folder = tmp_path_factory.mktemp("made")
    nouns = [*HOSTILE, "dog", "hot dog", *(f"noun{number}" for number in range(23))]
    make_dataset(folder, nouns, shards=3, images_per_shard=26)
    return folder


@pytest.fixture(scope="module")
def uri(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of all of them."""
    to = tmp_path_factory.mktemp("report") / "pairs.html"
    return Path(write_dataset_report(str(dataset), str(to), DatasetReportOptions(samples=300))).as_uri()


@pytest.fixture
def page(browser_page: "Page", uri: str) -> "Page":
    """The page, showing all pairs."""
    browser_page.on("dialog", lambda dialog: pytest.fail(f"a script of the data ran: {dialog.message}"))
    browser_page.goto(uri)
    browser_page.get_by_label("Show").select_option("all")
    return browser_page


def nouns_shown(page: "Page") -> list[str]:
    return page.locator("#cards h3 bdi").all_text_contents()


def numbers_shown(page: "Page", name: str) -> list[float]:
    texts = page.locator(f"#cards dd[data-of={name}]").all_text_contents()
    return [float(re.sub("[^0-9.-]", "", text)) for text in texts]


def status(page: "Page") -> str:
    return page.locator("#status").text_content()


def ask(dataset: Path, condition: str) -> int:
    [[count]] = duckdb.sql(f"select count(*) from '{dataset}/manifests/*.parquet' where {condition}").fetchall()
    return count


def test_search_by_noun(page: "Page", dataset: Path):
    assert status(page) == "1–24 of 300 pairs"
    dogs, real_dogs = ask(dataset, "noun like '%dog%'"), ask(dataset, "noun = 'dog'")
    page.get_by_label("Noun", exact=True).fill("DOG")
    assert status(page).endswith(f"of {dogs} pairs")
    assert set(nouns_shown(page)) == {"dog", "hot dog"}
    page.get_by_label("Noun", exact=True).fill('"dog"')
    assert set(nouns_shown(page)) == {"dog"}
    assert status(page).endswith(f"of {real_dogs} pairs")
    page.get_by_label("Noun", exact=True).fill("nothing like it")
    assert status(page) == "No pair fits"
    page.get_by_role("button", name="Reset").click()
    assert "of 300 pairs" in status(page)


def test_sort_and_filter(page: "Page", dataset: Path):
    page.get_by_label("Per page").select_option("96")
    page.get_by_label("Sort by").first.select_option("score")
    scores = numbers_shown(page, "score")
    assert len(scores) == 96
    assert scores == sorted(scores, reverse=True)
    page.get_by_label("Order").first.select_option("1")
    assert numbers_shown(page, "score")[0] < scores[-1]
    page.get_by_label("Score, from").fill("0.4")
    page.get_by_label("Mask area (px), to").fill("500")
    page.get_by_label("Noun margin, from").fill("0")
    expected = ask(dataset, "clip_score >= 0.4 and mask_area <= 500 and noun_margin >= 0")
    assert status(page).endswith(f"of {expected} pairs")
    assert min(numbers_shown(page, "score")) >= 0.4
    page.get_by_label("Sort by").first.select_option("noun")
    assert nouns_shown(page)[0] != nouns_shown(page)[-1]


def test_groups(page: "Page", dataset: Path):
    page.get_by_label("Show").select_option("worst")
    [[limit]] = duckdb.sql(
        f"select max(clip_score) from (from '{dataset}/manifests/*.parquet' order by clip_score limit 45)"
    ).fetchall()
    assert status(page) == "1–24 of 45 pairs; 300 among all that are shown"
    assert max(numbers_shown(page, "score")) <= round(limit, 3)
    page.get_by_label("Show").select_option("shared")
    assert page.locator("#cards p[data-of=others]").first.text_content().startswith("Same mask: ")


def test_pages_by_keyboard(page: "Page"):
    first = nouns_shown(page)
    page.get_by_role("button", name="Next").focus()
    page.keyboard.press("Enter")
    assert status(page) == "25–48 of 300 pairs"
    page.keyboard.press("Space")
    assert status(page) == "49–72 of 300 pairs"
    page.keyboard.press("Shift+Tab")  # the number of the page
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("13")
    page.keyboard.press("Enter")
    assert status(page) == "289–300 of 300 pairs"
    page.get_by_role("button", name="Next").press("Enter")
    assert status(page) == "289–300 of 300 pairs"
    assert page.locator("#cards > li").count() == 12
    page.get_by_label("Page", exact=True).fill("1")
    page.keyboard.press("Tab")
    assert nouns_shown(page) == first


def test_threshold(page: "Page", dataset: Path, uri: str):
    slider = page.get_by_role("slider")
    [curve] = [curve for curve in page_json(uri.removeprefix("file://"), "curves") if curve["column"] == "clip_score"]
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.locator("#threshold-value").text_content() == str(curve["thresholds"][3])
    slider.fill("120")
    threshold = curve["thresholds"][120]
    left = ask(dataset, f"clip_score >= {threshold}::float")
    assert page.locator("#pairs-left").text_content() == str(left)
    assert page.locator("#condition").text_content() == f"clip_score >= {threshold}"
    assert slider.get_attribute("aria-valuetext") == f"at least {threshold}: {left} pairs"
    # The upright line stands where the axis has the threshold.
    share = (threshold - curve["thresholds"][0]) / (curve["thresholds"][-1] - curve["thresholds"][0])
    svg = page.locator("[data-curve='0'] svg").first
    moved = float(svg.locator(".marker").get_attribute("transform").split("(")[1].split(" ")[0])
    width = float(svg.get_attribute("data-right")) - float(svg.get_attribute("data-left"))
    assert moved == pytest.approx(share * width, rel=1e-3)

    page.get_by_role("button", name="Show pairs just above it").click()
    assert status(page).endswith(f"of {left} pairs")
    assert numbers_shown(page, "score")[0] == pytest.approx(threshold, abs=0.02)
    page.get_by_label("Threshold on").select_option("Mask area (px)")
    assert page.locator("[data-curve='0']").is_hidden()
    slider.fill("200")
    assert page.locator("#condition").text_content().startswith("mask_area >= ")


def test_a_noun_of_the_list_shows_its_pairs(page: "Page", dataset: Path):
    page.get_by_label("Find a noun").fill("hot")
    page.get_by_role("button", name="hot dog").click()
    assert set(nouns_shown(page)) == {"hot dog"}
    found = ask(dataset, "noun = 'hot dog'")
    assert status(page).endswith(f"of {found} pairs")


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_texts_of_the_data_stay_texts(page: "Page", text: str):
    page.get_by_label("Noun", exact=True).fill(f'"{text}"')
    assert set(nouns_shown(page)) == {text}
    page.get_by_label("Noun", exact=True).fill("")
    page.get_by_label("Find a noun").fill(text)
    assert page.locator("#noun-rows button").all_text_contents() == [text]
    marks = page.locator("#cards mark").all_text_contents()
    assert nouns_shown(page) == marks
    assert page.locator("#cards script, #cards p img").count() == 0


def test_all_pictures_are_there(page: "Page"):
    page.get_by_label("Per page").select_option("96")
    page.wait_for_function("[...document.querySelectorAll('#cards img')].every((image) => image.naturalWidth > 0)")
    assert page.locator("#cards img").count() == 192
    alternatives = page.locator("#cards img").evaluate_all("(images) => images.map((image) => image.alt)")
    assert all(alternatives)


def test_narrow_wide_light_and_dark(page: "Page"):
    colours = []
    for width, scheme in ((360, "light"), (360, "dark"), (1920, "dark")):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours[0] != colours[1] == colours[2]


def test_headings_labels_and_landmarks(page: "Page"):
    levels = page.locator("h1, h2, h3, h4").evaluate_all(
        "(found) => found.map((heading) => Number(heading.tagName[1]))"
    )
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    unnamed = page.locator("input, select, textarea").evaluate_all("(all) => all.filter((one) => !one.labels.length)")
    assert unnamed == []
    assert page.locator("svg:not([aria-label])").count() == 0
    assert page.get_by_role("main").count() == page.get_by_role("search").count() == 1
    identities = page.locator("[id]").evaluate_all("(all) => all.map((one) => one.id)")
    assert len(identities) == len(set(identities))
