"""Intervals by a bootstrap over images, against counting every drawn image again, and against what is known."""

import copy
import shutil

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binom

import schemas
from pipeline.evaluation.average_precision import instance_scores
from pipeline.evaluation.chunk import class_pixels_table
from pipeline.evaluation.confusion import ConfusionMatrix
from pipeline.evaluation.datasets.objects import ObjectClasses
from pipeline.evaluation.instance_matching import match_instances, objects_of_sizes, overlaps
from pipeline.evaluation.panoptic_quality import PanopticCounts, panoptic_qualities, panoptic_scores
from pipeline.evaluation.result import read_evaluation
from pipeline.evaluation.uncertainty.intervals import evaluation_intervals
from pipeline.evaluation.uncertainty.precision import InstanceFigures
from pipeline.evaluation.uncertainty.resampling import interval, point, resample, resampled_weights
from pipeline.evaluation.uncertainty.sums import PanopticFigures, PixelFigures, RegionFigures
from pipeline.microworld.categories import NAMES
from tests.evaluation import accepted
from tests.evaluation.accepted import CaseOfInstances
from tests.evaluation.test_average_precision import cocos, ours
from tests.report.made import made_evaluation

NAMES_OF_STATS = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
CLASSES, IMAGES = 5, 7


def drawn(resamplings: int = 4, images: int = IMAGES) -> np.ndarray:
    return np.concatenate(list(resampled_weights(images, resamplings, seed=1)))


def test_images_are_drawn_as_often_as_there_are_and_alike_for_one_seed():
    first, again, other = (np.concatenate(list(resampled_weights(30_000, 40, seed))) for seed in (3, 3, 4))
    assert (first.sum(axis=1) == 30_000).all()
    assert (first == again).all()
    assert not (first == other).all()
    # How often one is drawn is binomial, nearly Poisson of mean 1: never in 1/e of the cases.
    assert (first == 0).mean() == pytest.approx(np.exp(-1), abs=0.002)


def test_ends_are_quantiles_without_what_is_no_number():
    values = np.random.default_rng(0).normal(size=(57, 3))
    values[5:40, 1], values[:, 2] = np.nan, np.nan
    low, high = interval(values, 0.9)
    expected = np.nanquantile(values[:, :2], [0.05, 0.95], axis=0)
    assert np.array([low, high])[:, :2] == pytest.approx(expected)
    assert np.isnan([low[2], high[2]]).all()


def test_pixels_as_counting_the_label_maps_of_every_drawn_image():
    rng = np.random.default_rng(0)
    # Of few classes each, so that classes are missing in resamplings.
    truth = [rng.choice([*rng.choice(CLASSES, 2), 255], (6, 9)) for _ in range(IMAGES)]
    found = [np.where(rng.random((6, 9)) < 0.5, labels, rng.integers(0, CLASSES + 1, (6, 9))) for labels in truth]
    tables = [
        class_pixels_table("clip", str(image), ConfusionMatrix(CLASSES).update(pred, gt))
        for image, (pred, gt) in enumerate(zip(found, truth, strict=True))
    ]
    ids = pa.array([str(image) for image in range(IMAGES)])
    source = PixelFigures(pa.concat_tables(tables), ids, CLASSES)
    assert source.images_of_class.tolist() == [sum((gt == c).any() for gt in truth) for c in range(CLASSES)]
    weights = drawn()
    figures = source.figures(weights)
    for index, times in enumerate(weights.astype(int).tolist()):
        matrix = ConfusionMatrix(CLASSES)
        for pred, gt, count in zip(found, truth, times, strict=True):
            for _ in range(count):
                matrix.update(pred, gt)
        scores = matrix.result()
        for name in ("miou", "miou_gt_or_pred", "fwiou", "macc", "pacc"):
            assert figures.headline[name][index] == pytest.approx(getattr(scores, name)), name
        assert figures.classes["iou"][index] == pytest.approx(scores.iou, nan_ok=True)
    assert np.isnan(figures.classes["iou"]).any()
    some = PixelFigures(pa.concat_tables(tables), ids[2:4], CLASSES)
    only = np.zeros((1, IMAGES))
    only[0, 2:4] = 1
    assert point(some, 2).headline == source.figures(only).headline


def test_regions_as_the_mean_over_every_drawn_region():
    rng = np.random.default_rng(1)
    rows = [(image, label, rng.integers(0, 8)) for image in range(IMAGES) for label in rng.choice(CLASSES, 3, False)]
    table = pa.Table.from_pylist(
        [{"image_id": str(image), "label": label, "area": 1, "rank": rank} for image, label, rank in rows],
        schemas.TRUE_REGIONS,
    )
    weights = drawn()
    figures = RegionFigures(table, pa.array([str(image) for image in range(IMAGES)]), CLASSES).figures(weights)
    for index, times in enumerate(weights.astype(int)):
        again = [(label, rank) for image, label, rank in rows for _ in range(times[image])]
        assert figures.headline["top1"][index] == pytest.approx(np.mean([rank == 0 for _, rank in again]))
        assert figures.headline["top5"][index] == pytest.approx(np.mean([rank < 5 for _, rank in again]))
        labels = {label for label, _ in again}
        means = [np.mean([rank == 0 for of, rank in again if of == label]) for label in labels]
        assert figures.headline["mean_per_class"][index] == pytest.approx(np.mean(means))


def test_panoptic_quality_as_adding_up_every_drawn_image():
    rng = np.random.default_rng(2)
    objects = ObjectClasses(frozenset({0, 3}), panoptic=True, instances=False)
    counts, rows = [], []
    for image in range(IMAGES):
        tp, fp, fn = rng.integers(0, 3, (3, CLASSES)) * (rng.random((3, CLASSES)) < 0.4)
        counts.append(PanopticCounts(tp * rng.uniform(0.5, 1, CLASSES), tp, fp, fn))
        numbers = zip(*(vars(counts[-1])[name].tolist() for name in ("iou", "tp", "fp", "fn")), strict=True)
        rows += [
            {"branch": "clip", "image_id": str(image), "label": label, "iou": iou, "tp": tp, "fp": fp, "fn": fn}
            for label, (iou, tp, fp, fn) in enumerate(numbers)
            if tp + fp + fn
        ]
    table = pa.Table.from_pylist(rows, schemas.PANOPTIC_COUNTS)
    source = PanopticFigures(table, pa.array([str(image) for image in range(IMAGES)]), CLASSES, objects)
    weights = drawn()
    figures = source.figures(weights)
    for index, times in enumerate(weights.astype(int).tolist()):
        whole = PanopticCounts(*np.zeros((4, CLASSES)))
        for one, count in zip(counts, times, strict=True):
            for _ in range(count):
                whole += one
        for kind, among in {"": range(CLASSES), "_things": {0, 3}, "_stuff": {1, 2, 4}}.items():
            scores = panoptic_scores(whole, among)
            for name in ("pq", "sq", "rq"):
                assert figures.headline[name + kind][index] == pytest.approx(getattr(scores, name), nan_ok=True)
        assert figures.classes["pq"][index] == pytest.approx(panoptic_qualities(whole)[0], nan_ok=True)


def instance_tables(case: CaseOfInstances) -> tuple[pa.Table, pa.Table]:
    detections, truth_rows = [], []
    for image, truth in case.truth.items():
        masks, found = case.found[image]
        matched = match_instances(found, masks.areas, overlaps(masks, truth), truth, 100)
        detections += [
            {"branch": "clip", "image_id": str(image), "label": label, "score": score, "matched": hit, "ignored": no}
            for label, score, hit, no in zip(*(values.tolist() for values in vars(matched).values()), strict=True)
        ]
        counted = objects_of_sizes(truth)
        truth_rows += [
            dict.fromkeys(schemas.TRUE_OBJECTS.names, 0)
            | {"image_id": str(image), "label": label, "instances": counted[:, truth.labels == label].sum(axis=1)}
            for label in np.unique(truth.labels).tolist()
        ]
    return (
        pa.Table.from_pylist(detections, schemas.DETECTIONS),
        pa.Table.from_pylist(truth_rows, schemas.TRUE_OBJECTS),
    )


def redrawn(case: CaseOfInstances, times: np.ndarray) -> CaseOfInstances:
    """Every image as often as it was drawn, under an id of its own."""
    document: dict = {"images": [], "annotations": [], "categories": case.document["categories"], "info": {}}
    results = []
    for entry, count in zip(case.document["images"], times.tolist(), strict=True):
        for _ in range(count):
            image = len(document["images"]) + 1
            document["images"].append(entry | {"id": image})
            for annotation in case.document["annotations"]:
                if annotation["image_id"] == entry["id"]:
                    own = {"id": len(document["annotations"]) + 1, "image_id": image}
                    document["annotations"].append(copy.deepcopy(annotation) | own)
            results += [row | {"image_id": image} for row in case.results if row["image_id"] == entry["id"]]
    return CaseOfInstances(document, results, {}, {})


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_as_pycocotools_on_every_drawn_image(seed):
    case = accepted.instances(seed, images=10, classes=3)
    detections, truth = instance_tables(case)
    objects = ObjectClasses(frozenset(range(3)), panoptic=False, instances=True, frequencies=("r", "c", "c"))
    ids = pa.array([str(image) for image in case.truth])
    source = InstanceFigures(detections, truth, ids, 3, objects)
    exactly = point(source, len(ids))
    whole = instance_scores(ours(case)[0], objects.frequencies)
    for name, value in exactly.headline.items():
        assert value == pytest.approx(getattr(whole, name), abs=1e-12, nan_ok=True), name
    weights = drawn(3, images=len(ids))
    figures = source.figures(weights)
    for index, times in enumerate(weights.astype(int)):
        evaluator = cocos(redrawn(case, times))
        for name, expected in zip(NAMES_OF_STATS, evaluator.stats, strict=False):
            assert np.nan_to_num(figures.headline[name][index], nan=-1) == pytest.approx(expected, abs=1e-9), name
        of_class = evaluator.eval["precision"][:, :, :, 0, 2].mean(axis=(0, 1))
        assert np.nan_to_num(figures.classes["ap"][index], nan=-1) == pytest.approx(of_class, abs=1e-9)


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Images of one accuracy each, drawn from a distribution with a known mean: coverage, and the closed form."""
    rng = np.random.default_rng(5)
    images, pixels, repeats = 200, 100, 300
    held, widths = 0, []
    for _ in range(repeats):
        right = rng.binomial(pixels, rng.beta(3, 2, images))
        rows = [
            {"branch": "clip", "image_id": str(i), "label": 0, "correct": n, "predicted": n, "labelled": pixels}
            for i, n in enumerate(right.tolist())
        ]
        source = PixelFigures(
            pa.Table.from_pylist(rows, schemas.CLASS_PIXELS), pa.array([str(i) for i in range(images)]), 1
        )
        low, high = interval(resample({"pixels": source}, images, 400)["pixels"].headline["pacc"])
        held += low <= 3 / 5 <= high
        widths.append((high - low) / (2 * 1.96 * (right / pixels).std() / np.sqrt(images)))
    lowest, highest = binom.interval(0.999, repeats, 0.95)
    assert lowest <= held <= highest
    assert np.mean(widths) == pytest.approx(1, abs=0.03)


def test_intervals_of_miou_hold_the_truth_as_often_as_they_say():
    """Classes are in half of the images, a share of their pixels is found, and so many wrong ones with them: the IoU of
    all images that there could be is the quotient of the means.
    """
    rng = np.random.default_rng(6)
    images, pixels, repeats = 200, 100, 300
    wrong_C = np.array([5, 10, 20, 40, 80])
    truth = np.mean(3 / 5 * pixels / 2 / (pixels / 2 + wrong_C))
    held = 0
    for _ in range(repeats):
        labelled_IC = pixels * rng.integers(0, 2, (images, len(wrong_C)))
        correct_IC = rng.binomial(labelled_IC, rng.beta(3, 2, labelled_IC.shape))
        predicted_IC = correct_IC + rng.poisson(wrong_C, labelled_IC.shape)
        image, label = (index.ravel() for index in np.indices(labelled_IC.shape))
        columns = {"branch": ["clip"] * image.size, "image_id": image.astype(str), "label": label}
        columns |= {"correct": correct_IC.ravel(), "predicted": predicted_IC.ravel(), "labelled": labelled_IC.ravel()}
        table = pa.table([pa.array(columns[f.name], f.type) for f in schemas.CLASS_PIXELS], schema=schemas.CLASS_PIXELS)
        source = PixelFigures(table, pa.array([str(i) for i in range(images)]), len(wrong_C))
        low, high = interval(resample({"pixels": source}, images, 400)["pixels"].headline["miou"])
        held += low <= truth <= high
    lowest, highest = binom.interval(0.999, repeats, 0.95)
    assert lowest <= held <= highest


def test_intervals_of_a_whole_evaluation_and_of_one_by_an_older_version(world, tmp_path):
    output = made_evaluation(world, tmp_path / "it", 0.3)
    evaluation = read_evaluation(str(output), 2, len(NAMES))
    result = {"scores": {branch: vars(scores) for branch, scores in evaluation.scores.items()}}
    ids = evaluation.images["image_id"].combine_chunks()

    def intervals() -> dict:
        return evaluation_intervals(evaluation.tables, result, ids, len(NAMES), None).result

    found = intervals()
    assert (found["level"], found["resamplings"]) == (0.95, 1000)
    for name, (low, high) in found["scores"]["clip"].items():
        assert low < getattr(evaluation.scores["clip"], name) < high
    assert found == intervals()
    shutil.rmtree(output / "class_pixels")
    old = intervals()
    assert "scores" not in old
    assert old["region_accuracy"] == found["region_accuracy"]
