"""Random walks through the labelling page: what it saves and estimates is what a model in Python has."""

import random
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.quality.labels import Labels
from pipeline.report.dataset import DatasetReportOptions, write_dataset_report
from tests.report.made_dataset import make_dataset
from tests.report.page_data import page_json
from tests.report.test_labelling_page import answers, press, saved

if TYPE_CHECKING:
    from playwright.sync_api import Page

KEYS = {"ArrowRight": "right", "r": "right", "ArrowLeft": "wrong", "w": "wrong", "Space": "unclear", "u": "unclear"}
OTHERS = ("Backspace", "z", "n", "p")


class Model:
    """Which pairs are answered, and which is shown, while the page shows those to label."""

    def __init__(self, pairs: int) -> None:
        self.given: list[str | None] = [None] * pairs
        self.reload()

    def reload(self) -> None:
        self.shown = [index for index, answer in enumerate(self.given) if answer is None]
        self.past = [index for index, answer in enumerate(self.given) if answer is not None]
        self.place = 0

    def press(self, key: str) -> None:
        if key in KEYS:
            if self.shown:
                self.given[self.shown[self.place]] = KEYS[key]
                self.past.append(self.shown[self.place])
                self._forward()
        elif key == "n":
            self._forward()
        elif key == "p":
            self.place = max(self.place - 1, 0)
        elif self.past:
            index = self.past.pop()
            self.given[index] = None
            if index not in self.shown:
                self.shown = [other for other, answer in enumerate(self.given) if answer is None]
            self.place = self.shown.index(index)

    def _forward(self) -> None:
        places = [place for place, index in enumerate(self.shown) if self.given[index] is None]
        if not places:
            self.shown, self.place = [], 0
        else:
            self.place = next((place for place in places if place > self.place), places[0])


def estimate(labels: Labels) -> float:
    """Share of right pairs: of every stratum that has labels that decide, by its size."""
    decided = Counter(label.stratum for label in labels.labels if label.answer != "unclear")
    right = Counter(label.stratum for label in labels.labels if label.answer == "right")
    sizes = {stratum: labels.strata[stratum].pairs for stratum in decided}
    return sum(sizes[stratum] * right[stratum] / decided[stratum] for stratum in decided) / sum(sizes.values())


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 of 60 pairs to label."""
    folder = tmp_path_factory.mktemp("made")
    make_dataset(folder, ["dog", "cat", "sofa", "lamp", "tree"], shards=3, images_per_shard=6)
    return Path(write_dataset_report(str(folder), None, DatasetReportOptions(samples=5, label=20)))


@pytest.mark.parametrize("seed", range(4))
def test_what_is_saved_is_what_was_pressed(browser_page: "Page", report: Path, tmp_path: Path, seed: int):
    rng = random.Random(seed)
    pairs = page_json(report, "label-data")["pairs"]
    model = Model(len(pairs))
    browser_page.goto(report.as_uri())
    for _ in range(3):
        browser_page.locator("#label-stage").focus()
        for _ in range(15):
            key = rng.choice([*KEYS, *KEYS, *OTHERS])
            press(browser_page, key)
            model.press(key)
            if model.shown:
                noun = pairs[model.shown[model.place]]["noun"]
                assert browser_page.locator("#label-noun").text_content() == noun
        browser_page.reload()
        model.reload()
    labels = saved(browser_page, tmp_path / "labels.json")
    expected = [(pair["key"], given) for pair, given in zip(pairs, model.given, strict=True) if given]
    assert answers(labels) == expected
    if sum(label.answer != "unclear" for label in labels.labels) >= 10:
        shown = browser_page.locator("#label-estimate").text_content()
        assert int(shown.removesuffix("\u00a0%")) == pytest.approx(100 * estimate(labels), abs=0.51)
