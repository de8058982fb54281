"""What an evaluation comes to, on tables small enough to work out by hand."""

import json
import math

import pyarrow as pa
import pytest

import schemas
from pipeline import storage
from pipeline.evaluation.chunk import chunk_uri
from pipeline.evaluation.datasets import open_dataset
from pipeline.evaluation.result import Evaluation, RegionAccuracy, read_evaluation, region_accuracy, write_result
from tests.evaluation import distributions

# Three classes; of the last there is nothing. By branch, true class, predicted class (None: no class): pixels, in two
# chunks that share cells.
CHUNKS = [
    {("clip", 0, 0): 6, ("clip", 0, 1): 1, ("oracle", 0, 0): 7},
    {("clip", 0, 0): 2, ("clip", 0, None): 1, ("clip", 1, 1): 3, ("clip", 1, 2): 1, ("oracle", 1, 1): 4},
]
# By image and class: rank of the true class.
REGIONS = [{("b", 1): 0, ("b", 0): 5}, {("a", 0): 4, ("c", 0): 0}]
IMAGES = [{"b": (2, None)}, {"a": (0, "annotation_size: turned"), "c": (0, None)}]


@pytest.fixture
def evaluation(tmp_path) -> Evaluation:
    for chunk in range(2):
        tables = {
            "confusion": pa.Table.from_pylist(
                [
                    {"branch": branch, "label": label, "predicted": predicted, "pixels": pixels}
                    for (branch, label, predicted), pixels in CHUNKS[chunk].items()
                ],
                schemas.CONFUSION,
            ),
            "regions": pa.Table.from_pylist(
                [
                    {"image_id": image, "label": label, "area": 10, "rank": rank}
                    for (image, label), rank in REGIONS[chunk].items()
                ],
                schemas.TRUE_REGIONS,
            ),
            "images": pa.Table.from_pylist(
                [
                    {"image_id": image, "height": 4, "width": 5, "proposals": proposals, "problem": problem}
                    for image, (proposals, problem) in IMAGES[chunk].items()
                ],
                schemas.EVALUATED_IMAGES,
            ),
        }
        for name, table in tables.items():
            storage.write_table(table, chunk_uri(str(tmp_path), name, chunk))
    return read_evaluation(str(tmp_path), chunks=2, classes=3)


@pytest.fixture
def dataset(tmp_path):
    """With the classes door, wall and sky."""
    return open_dataset(distributions.folder(tmp_path / "data").config)


def test_chunks_are_added(evaluation):
    assert list(evaluation.matrices) == ["clip", "oracle"]
    assert evaluation.matrices["clip"].counts.tolist() == [[8, 1, 0, 1], [0, 3, 1, 0], [0, 0, 0, 0]]
    assert evaluation.matrices["oracle"].counts.tolist() == [[7, 0, 0, 0], [0, 4, 0, 0], [0, 0, 0, 0]]
    regions = [(row["image_id"], row["label"], row["rank"]) for row in evaluation.regions.to_pylist()]
    assert regions == [("a", 0, 4), ("b", 0, 5), ("b", 1, 0), ("c", 0, 0)]
    assert evaluation.images["image_id"].to_pylist() == ["a", "b", "c"]


def test_the_order_of_the_ways_is_that_of_the_paper(tmp_path):
    cells = [{"branch": branch, "label": 0, "predicted": 0, "pixels": 1} for branch in ("oracle", "fused", "proposals")]
    for name, rows, schema in (
        ("confusion", cells, schemas.CONFUSION),
        ("regions", [], schemas.TRUE_REGIONS),
        ("images", [], schemas.EVALUATED_IMAGES),
    ):
        storage.write_table(pa.Table.from_pylist(rows, schema), chunk_uri(str(tmp_path), name, 0))
    assert list(read_evaluation(str(tmp_path), 1, 1).matrices) == ["proposals", "fused", "oracle"]


def test_accuracy_of_regions(evaluation):
    found = region_accuracy(evaluation.regions)
    # Four regions: two with rank 0, a third below 5. Class 0: one of three right; class 1: one of one.
    assert found == RegionAccuracy(4, 0.5, 0.75, pytest.approx((1 / 3 + 1) / 2))


def test_no_regions():
    found = region_accuracy(schemas.TRUE_REGIONS.empty_table())
    assert found.regions == 0
    assert all(math.isnan(value) for value in (found.top1, found.top5, found.mean_per_class))


def test_the_result_and_the_table_of_classes(evaluation, dataset, tmp_path):
    result = write_result(str(tmp_path), evaluation, dataset, "abc")
    assert json.loads((tmp_path / "result.json").read_text()) == result
    # IoU of door 8 / (10 + 8 − 8), of wall 3 / (4 + 4 − 3); sky is predicted, so the older formula divides by 3.
    ious = 8 / 10, 3 / 5
    assert result["scores"]["clip"] == pytest.approx(
        {
            "miou": sum(ious) / 2,
            "miou_gt_or_pred": sum(ious) / 3,
            "fwiou": (10 * ious[0] + 4 * ious[1]) / 14,
            "macc": (8 / 10 + 3 / 4) / 2,
            "pacc": 11 / 14,
        }
    )
    assert result["scores"]["oracle"] == dict.fromkeys(result["scores"]["clip"], 1.0)
    assert result["region_accuracy"] == pytest.approx(
        {"regions": 4, "top1": 0.5, "top5": 0.75, "mean_per_class": 2 / 3}
    )
    assert result["fingerprint"] == "abc"
    assert result["dataset"] == dataset.identity
    assert (result["images"], result["images_without_proposals"]) == (3, 2)
    assert result["problems"] == {"annotation_size: turned": 1}
    assert (result["classes"], result["classes_present"]) == (3, 2)

    table = storage.read_table(str(tmp_path / "classes.parquet"))
    assert table.schema.equals(schemas.CLASS_SCORES)
    rows = {(row.pop("branch"), row.pop("label")): row for row in table.to_pylist()}
    assert list(rows) == [(branch, label) for branch in ("clip", "oracle") for label in range(3)]
    unknown = {"iou_low": None, "iou_high": None}  # an earlier version kept no pixels of single images
    wall = {"name": "wall", "pixels": 4, "predicted_pixels": 4, "iou": 0.6, "accuracy": 0.75}
    sky = {"name": "sky", "pixels": 0, "predicted_pixels": 1, "iou": None, "accuracy": None}
    assert (rows["clip", 1], rows["clip", 2]) == (wall | unknown, sky | unknown)


def test_what_was_not_counted_is_null(dataset, tmp_path):
    """A data set in which nothing is labelled."""
    for name, schema in (
        ("confusion", schemas.CONFUSION),
        ("regions", schemas.TRUE_REGIONS),
        ("images", schemas.EVALUATED_IMAGES),
    ):
        storage.write_table(schema.empty_table(), chunk_uri(str(tmp_path), name, 0))
    result = write_result(str(tmp_path), read_evaluation(str(tmp_path), 1, 3), dataset, "abc")
    assert result["scores"] == {}
    assert result["region_accuracy"] == {"regions": 0, "top1": None, "top5": None, "mean_per_class": None}
    assert result["classes_present"] == 0
