"""The page of evaluations: its numbers against their tables, its layers against the data set, and how it behaves."""

import base64
import io
import json
import shutil
from pathlib import Path

import duckdb
import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.evaluation.datasets import IGNORE, DatasetConfig, open_dataset
from pipeline.evaluation.datasets.contents import FILES, file_digests
from pipeline.microworld.categories import NAMES
from pipeline.report.evaluation import default_labels, write_evaluation_report
from pipeline.report.evaluation.pictures import choose_images, draw_scenes
from pipeline.report.evaluation.reading import read_evaluations
from pipeline.report.evaluation.report import class_rows, confused_pairs
from pipeline.segmentation.drawing import class_colours
from tests.report.made import made_evaluation
from tests.report.page_data import assert_fits


@pytest.fixture(scope="module")
def evaluated(world, tmp_path_factory) -> dict[str, str]:
    """A bad and a good evaluation of the same images. Tests only read them."""
    folder = tmp_path_factory.mktemp("evaluated")
    return {
        name: str(made_evaluation(world, folder / name, wrong_share, seed))
        for seed, (name, wrong_share) in enumerate({"before": 0.6, "after": 0.2}.items())
    }


@pytest.fixture(scope="module")
def page(evaluated, tmp_path_factory) -> Path:
    """Their report, side by side."""
    return Path(write_evaluation_report(evaluated, str(tmp_path_factory.mktemp("page")), images=2))


def ious(output: str) -> dict[str, float]:
    """By class, from the confused pixels."""
    rows = duckdb.sql(
        f"""
        WITH cells AS (SELECT label, predicted, sum(pixels) AS pixels FROM '{output}/confusion/*.parquet' GROUP BY ALL),
             truth AS (SELECT label, sum(pixels) AS pixels FROM cells GROUP BY label),
             found AS (SELECT predicted AS label, sum(pixels) AS pixels FROM cells GROUP BY predicted),
             hits AS (SELECT label, pixels FROM cells WHERE label = predicted)
        SELECT label, coalesce(hits.pixels, 0)
               / (truth.pixels + coalesce(found.pixels, 0) - coalesce(hits.pixels, 0))
        FROM truth LEFT JOIN found USING (label) LEFT JOIN hits USING (label)
        """
    )
    return {NAMES[label]: iou for label, iou in rows.fetchall()}


def test_classes_worst_first(evaluated):
    rows = class_rows(read_evaluations(evaluated))
    expected = [ious(output) for output in evaluated.values()]
    assert {row["name"]: row["ious"] for row in rows} == {
        name: pytest.approx([column[name] for column in expected]) for name in expected[0]
    }
    assert [row["ious"][0] for row in rows] == sorted(expected[0].values())
    for row in rows:
        assert row["gain"] == pytest.approx(expected[1][row["name"]] - expected[0][row["name"]])
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    [alone] = [class_rows(read_evaluations({"after": evaluated["after"]}))]
    assert [row["gain"] for row in alone] == [None] * len(rows)
    assert [row["ious"][0] for row in alone] == sorted(expected[1].values())


def test_what_is_taken_for_what(evaluated):
    found = confused_pairs(read_evaluations({"before": evaluated["before"]}))
    expected = duckdb.sql(
        f"""
        SELECT label, predicted, sum(pixels), sum(sum(pixels)) OVER (PARTITION BY label)
        FROM '{evaluated["before"]}/confusion/*.parquet' GROUP BY label, predicted
        """
    ).fetchall()
    shares = {(label, predicted): pixels / total for label, predicted, pixels, total in expected}
    pixels = sorted((row[2] for row in expected if row[0] != row[1]), reverse=True)
    total = {label: total for label, _, _, total in expected}
    assert len(found) == 40 < len(pixels)
    listed = []
    for row in found:
        true = NAMES.index(row["true"])
        predicted = None if row["predicted"] is None else NAMES.index(row["predicted"])
        assert row["shares"] == [pytest.approx(shares[true, predicted])]
        listed.append(round(row["shares"][0] * total[true]))
    assert listed == pixels[:40]
    assert None in {row["predicted"] for row in found}


def test_a_choice_of_images():
    mious = {f"image-{index}": index / 100 for index in range(11)}
    assert choose_images(mious, 3) == {
        "worst": ["image-0", "image-1", "image-2"],
        "median": ["image-4", "image-5", "image-6"],
        "best": ["image-10", "image-9", "image-8"],
    }
    assert choose_images(mious, 4) == {"worst": sorted(mious, key=mious.get)}


def pixels(url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


def test_layers_show_the_truth_and_what_differs_from_it(evaluated, world):
    dataset = open_dataset(DatasetConfig(kind="micro_world", root=str(world)))
    models = read_evaluations(evaluated)
    image_id = min(models[0].mious, key=models[0].mious.get)
    scene = draw_scenes(dataset, models, [image_id])[image_id]
    sample = dataset.read(image_id)
    assert pixels(scene.photograph).shape == sample.image.shape
    colours = class_colours(len(NAMES))
    truth = pixels(scene.truth.classes)
    inside = (truth[..., 3] == 255) & (truth[..., :3] != 255).any(axis=2)  # but for the outlines
    assert inside.mean() > 0.8
    assert (truth[inside][:, :3] == colours[sample.labels[inside]]).all()
    mistakes = pixels(scene.predictions[0].mistakes)[..., 3] > 0
    assert (mistakes <= (sample.labels != IGNORE)).all()
    # The share of right pixels bounds the mean IoU of few classes; here it is the share itself that counts.
    prediction = pixels(scene.predictions[0].classes)
    plain = inside & ~((prediction[..., :3] == 255).all(axis=2) & (prediction[..., 3] == 255))
    differs = (prediction != truth).any(axis=2)
    assert (differs[plain] == mistakes[plain]).all()
    there = {NAMES[label] for label in np.unique(sample.labels).tolist() if label != IGNORE}
    assert there <= {name for name, _, _ in scene.legend}


def test_names_of_evaluations():
    assert default_labels(["/a/full", "/b/prompts/"]) == {"full": "/a/full", "prompts": "/b/prompts/"}
    assert default_labels(["/a/full", "/b/full"]) == {"a/full": "/a/full", "b/full": "/b/full"}
    assert default_labels(["old=/a/full", "s3://bucket/x=1/full"]) == {"old": "/a/full", "full": "s3://bucket/x=1/full"}
    with pytest.raises(UserError, match="two evaluations are called 'x'"):
        default_labels(["x=/a", "x=/b"])


def test_only_evaluations_of_the_same_data_are_compared(evaluated, world, tmp_path):
    other = made_evaluation(world, tmp_path / "less", 0.1, limit=4)
    with pytest.raises(UserError, match="evaluate 24 and 4 images"):
        read_evaluations({**evaluated, "less": str(other)})
    with pytest.raises(UserError, match=r"no result\.json"):
        read_evaluations({"nothing": str(tmp_path)})


@pytest.mark.parametrize(
    ("gone", "said"),
    [("evaluated/label_maps", "made by an older version"), ("world/images", "The images cannot be shown")],
)
def test_what_is_not_there_any_more_is_said(world, tmp_path, gone, said):
    shutil.copytree(world, tmp_path / "world")
    output = made_evaluation(tmp_path / "world", tmp_path / "evaluated", 0.3)
    shutil.rmtree(tmp_path / gone)
    html = Path(write_evaluation_report({"it": str(output)}, str(tmp_path / "page"))).read_text()
    assert said in html
    assert "<article" not in html
    assert 'id="class-table"' in html


def test_an_image_whose_labels_were_corrected_is_not_shown_beside_its_old_score(world, tmp_path):
    shutil.copytree(world, tmp_path / "world")
    output = made_evaluation(tmp_path / "world", tmp_path / "evaluated", 0.3, limit=4)
    dataset = open_dataset(DatasetConfig(kind="micro_world", root=str(tmp_path / "world")))
    ids = dataset.image_ids[:4]
    (output / FILES).write_text(json.dumps(file_digests(dataset, ids)))

    def page() -> str:
        return Path(write_evaluation_report({"it": str(output)}, str(tmp_path / "page"))).read_text()

    assert page().count("<article") == 4
    assert "have changed" not in page()
    labels = Path(dataset.files.uri(dataset.paths_of(ids[1])[1]))
    with Image.open(labels) as image:
        corrected = np.asarray(image)[::-1]
    Image.fromarray(corrected).save(labels)
    html = page()
    assert f"the label files of {ids[1]} have changed" in html
    assert html.count("<article") == 3
    assert f'aria-label="Image {ids[1]}"' not in html


def test_a_page_of_one_and_of_two(evaluated, page, tmp_path):
    alone = Path(write_evaluation_report({"after": evaluated["after"]}, str(tmp_path / "one.html"), images=2))
    html = alone.read_text()
    assert html.count("<article") == 6
    assert "gain" not in html.partition("<main")[2]
    assert page.read_text().count('class="layer for-classes"') == 2 * page.read_text().count("<article")
    assert alone.stat().st_size < 2_000_000


def test_the_tables_sort_and_the_layers_change(evaluated, page, browser_page):
    browser_page.goto(page.as_uri())
    expected = ious(evaluated["after"])
    table = browser_page.locator("#class-table")

    def shares(column: int) -> list[float]:
        cells = table.locator(f"tbody tr:visible > :nth-child({column})").all_text_contents()
        return [float(cell.strip().removesuffix("%")) / 100 for cell in cells]

    assert shares(2) == pytest.approx(sorted(ious(evaluated["before"]).values()), abs=0.0005)
    heading = table.get_by_role("button", name="after")
    heading.click()
    assert shares(3) == pytest.approx(sorted(expected.values()), abs=0.0005)
    assert table.locator("[aria-sort]").all_text_contents() == ["after"]
    heading.click()
    assert shares(3) == pytest.approx(sorted(expected.values(), reverse=True), abs=0.0005)
    name = next(iter(expected))
    browser_page.get_by_label("Find a class").fill(name)
    assert name in table.locator("tbody tr:visible > th").all_text_contents()

    classes, mistakes = (browser_page.locator(f".for-{kind}").first for kind in ("classes", "mistakes"))
    assert classes.is_visible()
    assert not mistakes.is_visible()
    browser_page.get_by_label("mistakes").check()
    assert mistakes.is_visible()
    assert not classes.is_visible()
    slider = browser_page.get_by_label("Opacity")
    slider.focus()
    slider.press("End")
    assert browser_page.locator("#opacity-shown").text_content() == "100 %"
    assert mistakes.evaluate("(layer) => getComputedStyle(layer).opacity") == "1"


@pytest.mark.parametrize("width", [360, 1920])
def test_it_fits(page, browser_page, width):
    assert_fits(page, browser_page, width)
