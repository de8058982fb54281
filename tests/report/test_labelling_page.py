"""Labelling in a browser: what is answered by keys and buttons is what the reader of labels gets."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from pipeline.dataset.opening import open_mined_dataset
from pipeline.quality.labels import Labels, check_labels, read_labels
from pipeline.report.dataset import DatasetReportOptions, write_dataset_report
from tests.report.made_dataset import make_dataset
from tests.report.page_data import page_json
from tests.report.test_dataset_page import HOSTILE

if TYPE_CHECKING:
    from playwright.sync_api import Page

SAMPLE = 24


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pairs, whose nouns, captions and image ids are hostile."""
    folder = tmp_path_factory.mktemp("made")
    make_dataset(folder, [*HOSTILE, "dog", "cat"], shards=3, images_per_shard=6)
    return folder


@pytest.fixture(scope="module")
def report(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("report") / "pairs.html"
    return Path(write_dataset_report(str(dataset), str(to), DatasetReportOptions(samples=10, label=SAMPLE)))


@pytest.fixture
def page(browser_page: "Page", report: Path) -> "Page":
    browser_page.on("dialog", lambda dialog: pytest.fail(f"a script of the data ran: {dialog.message}"))
    browser_page.goto(report.as_uri())
    browser_page.get_by_role("button", name="Label by keyboard").click()
    return browser_page


@pytest.fixture
def pairs(report: Path) -> list[dict]:
    """The sample in the order in which it is shown."""
    return page_json(report, "label-data")["pairs"]


def noun(page: "Page") -> str:
    return page.locator("#label-noun").text_content()


def said(page: "Page") -> str:
    return page.locator("#label-status").text_content()


def press(page: "Page", *keys: str) -> None:
    """Press keys while the frame has the focus, or something in it."""
    for key in keys:
        page.keyboard.press(key)


def saved(page: "Page", to: Path) -> Labels:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save labels.json").click()
    assert download.value.suggested_filename == "labels.json"
    download.value.save_as(to)
    return read_labels(str(to))


def answers(labels: Labels) -> list[tuple[str, str]]:
    return [(label.key, label.answer) for label in labels.labels]


def load(page: "Page", content: str | dict) -> str:
    """Give a file to go on from; what the page says of it."""
    text = content if isinstance(content, str) else json.dumps(content)
    before = said(page)
    file = {"name": "labels.json", "mimeType": "application/json", "buffer": text.encode()}
    page.get_by_label("Go on from a saved file").set_input_files(file)
    page.wait_for_function("(before) => document.getElementById('label-status').textContent !== before", arg=before)
    return said(page)


def test_label_reload_go_on_save_read(page: "Page", pairs: list[dict], dataset: Path, tmp_path: Path):
    assert noun(page) == pairs[0]["noun"]
    press(page, "ArrowRight", "ArrowLeft", "Space", "r", "W", "u")
    assert said(page).startswith(f"{pairs[5]['noun']}: unclear. Next: ")
    page.reload()
    assert noun(page) == pairs[6]["noun"]
    assert page.locator("#label-count").text_content() == f"6 of {SAMPLE}"
    page.get_by_role("button", name="Label by keyboard").click()
    press(page, "ArrowRight")
    labels = saved(page, tmp_path / "labels.json")
    given = ("right", "wrong", "unclear", "right", "wrong", "unclear", "right")
    assert answers(labels) == [(pair["key"], answer) for pair, answer in zip(pairs, given, strict=False)]
    rows = check_labels(labels, open_mined_dataset(str(dataset)))
    keys = duckdb.sql(f"select key from '{dataset}/manifests/*.parquet' order by key").fetchnumpy()["key"]
    assert keys[rows].tolist() == [pair["key"] for pair in pairs[:7]]
    assert sum(stratum.drawn for stratum in labels.strata) == SAMPLE
    assert sum(stratum.pairs for stratum in labels.strata) == 60


def test_back_and_what_was_answered(page: "Page", pairs: list[dict]):
    press(page, "ArrowRight", "ArrowRight", "ArrowLeft")
    press(page, "Backspace", "z")
    assert noun(page) == pairs[1]["noun"]
    assert said(page) == f"Taken back: {pairs[1]['noun']}."
    press(page, "ArrowLeft", "n")  # the next one is left out for now
    assert noun(page) == pairs[3]["noun"]
    page.get_by_label("Look at").select_option("wrong")
    assert noun(page) == pairs[1]["noun"]
    assert page.get_by_role("button", name="Wrong").get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="Right").click()
    assert page.locator("#label-answers").text_content() == "2 right, 0 wrong, 0 unclear"
    page.get_by_label("Look at").select_option("wrong")
    assert page.locator("#label-none").text_content() == "No pair has this answer."
    page.reload()
    page.get_by_role("button", name="Label by keyboard").click()
    press(page, *["Backspace"] * 3)
    assert said(page) == "There is nothing to take back."
    assert page.locator("#label-count").text_content() == f"0 of {SAMPLE}"


def test_all_of_the_sample_and_its_estimate(page: "Page", pairs: list[dict], report: Path):
    strata = page_json(report, "label-data")["sample"]["strata"]
    right = [index % 3 > 0 for index in range(SAMPLE)]
    press(page, *("ArrowRight" if value else "ArrowLeft" for value in right))
    assert page.locator("#label-none").text_content().startswith("All pairs of the sample are labelled")
    assert said(page).endswith("That was the last one.")
    of_all = sum(strata[pair["stratum"]]["pairs"] / strata[pair["stratum"]]["drawn"]
                 for pair, value in zip(pairs, right, strict=True) if value) / 60  # fmt: skip
    assert page.locator("#label-estimate").text_content() == f"{100 * of_all:.0f}\u00a0%"
    interval = page.locator("#label-interval").text_content()
    low, high = (int(number) / 100 for number in re.findall(r"\d+", interval))
    assert 0.3 < low < of_all < high < 0.9
    press(page, "ArrowRight", "Backspace")
    assert page.locator("#label-count").text_content() == f"{SAMPLE - 1} of {SAMPLE}"


def test_keys_act_in_the_frame_alone_and_trap_nobody(page: "Page"):
    page.get_by_label("Look at").focus()
    press(page, "r", "u", "Backspace", "ArrowLeft")  # chooses by the first letter
    page.get_by_label("Look at").select_option("open")
    assert page.locator("#label-count").text_content() == f"0 of {SAMPLE}"
    page.locator("#label-stage").focus()
    page.keyboard.press("Control+z")
    page.keyboard.down("ArrowRight")
    page.keyboard.down("ArrowRight")  # held down
    page.keyboard.up("ArrowRight")
    assert page.locator("#label-count").text_content() == f"1 of {SAMPLE}"
    press(page, "Tab", "Space")  # the first button
    assert page.locator("#label-answers").text_content() == "1 right, 1 wrong, 0 unclear"
    press(page, "ArrowRight")
    assert page.locator("#label-answers").text_content() == "2 right, 1 wrong, 0 unclear"
    for _ in range(8):
        press(page, "Tab")
    assert page.evaluate("document.getElementById('label-stage').contains(document.activeElement)") is False


def test_texts_of_the_data_stay_texts_and_no_score_is_shown(page: "Page", pairs: list[dict], report: Path):
    assert {pair["noun"] for pair in pairs} & set(HOSTILE)
    for pair in pairs:
        assert noun(page) == pair["noun"]
        assert page.locator("#label-caption mark").text_content() == pair["caption"][1]
        assert page.locator("#label-caption").text_content() == "".join(pair["caption"])
        assert page.locator("#label-stage script, #label-caption img").count() == 0
        press(page, "ArrowRight")
    assert set(pairs[0]) == {"key", "noun", "text", "caption", "stratum", "picture"}


def test_nothing_moves_and_pictures_are_there_at_once(page: "Page"):
    def places() -> list[list[float]]:
        found = page.locator("#label-stage button, #label-pictures div, #label-caption")
        box = "(one) => { const { x, y, width, height } = one.getBoundingClientRect(); "
        return found.evaluate_all(f"(all) => all.map({box} return [x, y + scrollY, width, height]; }})")

    first = places()
    for _ in range(SAMPLE - 1):
        page.wait_for_function("[...document.querySelectorAll('#label-pictures img')].every((one) => one.naturalWidth)")
        assert page.locator("#label-pictures img").count() == 2
        press(page, "ArrowRight")
        assert places() == first


def test_going_on_from_a_file(page: "Page", pairs: list[dict], tmp_path: Path):
    press(page, "ArrowRight", "ArrowLeft", "Space")
    content = json.loads(Path(saved(page, tmp_path / "labels.json").uri).read_text())
    page.locator("#label-stage").focus()
    press(page, "Backspace", "Backspace", "ArrowRight")  # the second is right, the third open
    assert load(page, content) == (
        "1 labels added, 1 were here already; 1 contradict what was answered here, which stays: they are shown, "
        "to be looked at again."
    )
    assert noun(page) == pairs[1]["noun"]
    assert page.get_by_label("Look at").input_value() == "contradicted"
    assert page.locator("#label-answers").text_content() == "2 right, 0 wrong, 1 unclear"

    label, others = content["labels"][0], content["labels"][1:]
    for changed, message in (
        ("{", "The file holds no JSON."),
        ("null", "The file holds no labels."),
        ({**content, "version": 2}, "The labels are of another version of the program."),
        ({**content, "dataset": {**content["dataset"], "fingerprint": "1" * 64}}, "The labels are of another dataset."),
        ({**content, "dataset": {**content["dataset"], "manifests_sha256": ""}}, "The dataset has changed since the"),
        ({**content, "sample": {**content["sample"], "seed": 9}}, "The labels are of another sample of this dataset."),
        ({**content, "sample": None}, "The labels are of another sample of this dataset."),
        ({**content, "labels": {}}, "The file has no list of labels."),
        ({**content, "labels": [None]}, "The labels are of another sample of this dataset."),
        ({**content, "labels": [{**label, "key": "000009-00000-000"}]}, "The labels are of another sample"),
        ({**content, "labels": [{**label, "answer": "maybe"}, *others]}, f"The label of {label['key']} was changed"),
        ({**content, "labels": [label, {**label, "answer": "wrong"}]}, f"The file answers {label['key']} twice"),
    ):
        assert load(page, changed).startswith(message)
        assert said(page).endswith("Nothing was taken over.")
        load(page, content)


def test_two_pages_lose_nothing(page: "Page", report: Path, pairs: list[dict], tmp_path: Path):
    other = page.context.new_page()
    other.goto(report.as_uri())
    other.get_by_role("button", name="Label by keyboard").click()
    press(page, "ArrowRight", "ArrowRight")
    other.wait_for_function("document.getElementById('label-count').textContent.startsWith('2 ')")
    press(other, "ArrowLeft", "ArrowLeft")
    page.wait_for_function("document.getElementById('label-count').textContent.startsWith('4 ')")
    press(page, "Space")
    assert dict(answers(saved(page, tmp_path / "labels.json"))) == {
        pairs[0]["key"]: "right",
        pairs[1]["key"]: "right",
        **{pair["key"]: "wrong" for pair in pairs[2:4]},
        pairs[4]["key"]: "unclear",
    }
    other.wait_for_function("document.getElementById('label-count').textContent.startsWith('5 ')")


def test_a_browser_that_keeps_nothing(page: "Page", report: Path, tmp_path: Path):
    page.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('forbidden'); } })")
    page.goto(report.as_uri())
    assert page.get_by_text("This browser does not keep labels for this page").is_visible()
    page.get_by_role("button", name="Label by keyboard").click()
    press(page, "ArrowRight", "ArrowLeft")
    asks = "!window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    assert page.evaluate(asks)
    assert [answer for _, answer in answers(saved(page, tmp_path / "labels.json"))] == ["right", "wrong"]
    assert not page.evaluate(asks)


def test_the_labels_as_text(page: "Page", tmp_path: Path):
    press(page, "ArrowRight")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as text").click()
    page.wait_for_function("document.getElementById('label-status').textContent.includes('clipboard')")
    page.get_by_text("The labels as text").first.click()
    (tmp_path / "labels.json").write_text(page.get_by_label("The labels as text").input_value())
    assert len(read_labels(str(tmp_path / "labels.json")).labels) == 1
    if said(page).startswith("The labels are in"):
        assert page.evaluate("navigator.clipboard.readText()") == (tmp_path / "labels.json").read_text()


def test_narrow_and_dark_and_labelled_controls(page: "Page"):
    for width, scheme in ((360, "light"), (360, "dark"), (1920, "dark")):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") == width
    unnamed = page.locator("input, select, textarea").evaluate_all("(all) => all.filter((one) => !one.labels.length)")
    assert unnamed == []
    identities = page.locator("[id]").evaluate_all("(all) => all.map((one) => one.id)")
    assert len(identities) == len(set(identities))
