"""AP of instance masks, against pycocotools and, where it is installed, lvis-api."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.evaluation.average_precision import FoundInstances, class_precisions, instance_scores
from pipeline.evaluation.datasets.objects import TrueInstances
from pipeline.evaluation.instance_matching import THRESHOLDS, Detections, match_instances, objects_of_sizes, overlaps
from pipeline.masks.masks import Masks
from pipeline.segmentation.objects import Instances
from tests.evaluation import accepted
from tests.evaluation.accepted import CaseOfInstances


def ours(case: CaseOfInstances, most_of_class: int | None = 100) -> tuple[np.ndarray, np.ndarray]:
    """Precisions [C,A,T], and how many objects count [C,A]."""
    classes = len(case.document["categories"])
    objects_CA = np.zeros((classes, 4), np.int64)
    matched: list[Detections] = []
    for image, truth in case.truth.items():
        masks, found = case.found[image]
        matched.append(match_instances(found, masks.areas, overlaps(masks, truth), truth, most_of_class))
        for size, counts in enumerate(objects_of_sizes(truth)):
            objects_CA[:, size] += np.bincount(truth.labels[counts], minlength=classes)
    joined = FoundInstances(
        *(
            np.concatenate([getattr(one, name) for one in matched])
            for name in ("labels", "scores", "matched", "ignored")
        )
    )
    return class_precisions(joined, objects_CA), objects_CA


def cocos(case: CaseOfInstances, most: int = 100) -> COCOeval:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = case.document
        truth.createIndex()
        evaluator = COCOeval(truth, truth.loadRes(case.results), "segm")
        evaluator.params.maxDets = [1, 2 if most < 10 else 10, most]  # in order
        evaluator.evaluate()
        evaluator.accumulate()
        if most == 100:
            evaluator.summarize()
    return evaluator


@pytest.mark.parametrize("seed", range(6))
def test_as_pycocotools(seed):
    case = accepted.instances(seed, images=15, classes=4)
    precision_CAT, objects_CA = ours(case)
    evaluator = cocos(case)
    # [T,R,C,A,M] → [C,A,T]
    theirs = evaluator.eval["precision"][..., 2].mean(axis=1).transpose(1, 2, 0)
    assert (np.isnan(precision_CAT) == (theirs < 0)).all()
    assert np.nan_to_num(precision_CAT, nan=-1) == pytest.approx(theirs, abs=1e-9)
    scores = instance_scores(precision_CAT)
    expected = [np.nan if value < 0 else value for value in evaluator.stats[:6]]
    found = [scores.ap, scores.ap50, scores.ap75, scores.ap_small, scores.ap_medium, scores.ap_large]
    assert found == pytest.approx(expected, abs=1e-9, nan_ok=True)
    counted = np.zeros_like(objects_CA)
    for one in evaluator.evalImgs:
        if one:
            size = evaluator.params.areaRng.index(one["aRng"])
            counted[(one["category_id"] - 1) // 2, size] += int((np.array(one["gtIgnore"]) == 0).sum())
    assert (counted == objects_CA).all()
    assert 0.05 < scores.ap < 0.95


def test_what_each_detection_is_as_pycocotools():
    """Matched and ignored, threshold by threshold, size by size."""
    case = accepted.instances(11, images=12, classes=3)
    for one in filter(None, cocos(case).evalImgs):
        masks, found = case.found[one["image_id"]]
        truth = case.truth[one["image_id"]]
        label = (one["category_id"] - 1) // 2
        size = [[0, 1e10], [0, 1024], [1024, 9216], [9216, 1e10]].index([float(x) for x in one["aRng"]])
        result = match_instances(found, masks.areas, overlaps(masks, truth), truth, 100)
        chosen = result.labels == label
        assert result.scores[chosen].tolist() == one["dtScores"]
        for threshold in range(len(THRESHOLDS)):
            for bits, theirs in ((result.matched, one["dtMatches"] > 0), (result.ignored, one["dtIgnore"])):
                assert ((bits[chosen, size] >> threshold & 1) == theirs[threshold].astype(int)).all()


def test_only_the_best_of_a_class_count():
    case = accepted.instances(5, images=8, classes=1)
    precision_CAT, _ = ours(case, most_of_class=3)
    evaluator = cocos(case, most=3)
    theirs = evaluator.eval["precision"][..., -1].mean(axis=1).transpose(1, 2, 0)
    assert np.nan_to_num(precision_CAT, nan=-1) == pytest.approx(theirs, abs=1e-9)
    assert not np.allclose(np.nan_to_num(ours(case)[0]), np.nan_to_num(precision_CAT))


@pytest.mark.parametrize("seed", range(4))
def test_as_lvis_api(seed, monkeypatch, tmp_path):
    lvis = pytest.importorskip("lvis")
    monkeypatch.setattr(np, "float", float, raising=False)  # which the release still writes
    case = accepted.instances(seed, images=15, classes=6, crowds=False, federated=True)
    precision_CAT, _ = ours(case, most_of_class=None)
    path = tmp_path / "lvis.json"
    path.write_text(json.dumps(case.document))
    evaluator = lvis.LVISEval(lvis.LVIS(str(path)), case.results, "segm")
    evaluator.run()
    theirs = evaluator.eval["precision"].mean(axis=1).transpose(1, 2, 0)
    assert np.nan_to_num(precision_CAT, nan=-1) == pytest.approx(theirs, abs=1e-9)
    scores = instance_scores(precision_CAT, ["rcf"[c % 3] for c in range(6)])
    names = ("AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf")
    expected = [evaluator.results[name] for name in names]
    assert [np.nan_to_num(value, nan=-1) for value in vars(scores).values()] == pytest.approx(expected, abs=1e-9)


def test_what_nobody_looked_for_does_not_count():
    masks = Masks.encode(np.stack([np.eye(8), 1 - np.eye(8)]).astype(np.uint8))
    truth = TrueInstances(
        masks[:1], np.array([2]), np.array([8.0]), np.zeros(1, bool), frozenset({1, 2}), frozenset({1})
    )
    found = Instances(np.array([0, 1, 1, 1]), np.array([2, 0, 1, 2]), np.array([0.9, 0.8, 0.7, 0.6], np.float32))
    result = match_instances(found, masks.areas, overlaps(masks, truth), truth, None)
    assert result.labels.tolist() == [2, 1, 2]  # nobody looked for class 0
    assert result.matched[:, 0].tolist() == [1023, 0, 0]
    assert result.ignored[:, 0].tolist() == [0, 1023, 0]  # not all of class 1 is annotated


def test_true_masks_with_true_names_are_perfect():
    case = accepted.instances(1, images=10, classes=3)
    for image, truth in case.truth.items():
        real = np.flatnonzero(~truth.crowd)
        case.found[image] = (truth.masks, Instances(real, truth.labels[real], np.ones(len(real), np.float32)))
    scores = instance_scores(ours(case)[0])
    assert [scores.ap, scores.ap50, scores.ap75, scores.ap_small, scores.ap_medium] == [1.0] * 5


def test_nothing_found_and_nothing_there():
    case = accepted.instances(2, images=5, classes=3)
    case.found = {image: (masks[:0], Instances(*np.zeros((3, 0), int))) for image, (masks, _) in case.found.items()}
    assert instance_scores(ours(case)[0]).ap == 0.0
    empty = np.zeros((0, 4), np.uint16)
    nothing = FoundInstances(np.zeros(0, np.int32), np.zeros(0, np.float32), empty, empty)
    assert np.isnan(instance_scores(class_precisions(nothing, np.zeros((3, 4), np.int64))).ap)
