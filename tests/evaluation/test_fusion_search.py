"""The search for weight and threshold, against trying every setting on its own."""

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.evaluation.confusion import ConfusionMatrix
from pipeline.evaluation.fusion_search import search_fusion
from pipeline.segmentation import UNLABELLED
from tests.segmentation.colours import ColourProposer, ColourQueries, fields
from tests.segmentation.test_segmenter import segmenter

WEIGHTS = [0.2, 0.7, 1.0]


def samples():
    rng = np.random.default_rng(5)
    for number, size in enumerate([(24, 36), (30, 21), (16, 16)]):
        labels = np.repeat(np.arange(3, dtype=np.uint16), size[1] // 3 + 1)[None, : size[1]].repeat(size[0], axis=0)
        labels[rng.random(size) < 0.1] = UNLABELLED
        yield fields(*size), str(number), labels


def miou(clip, proposer, weight, threshold):
    matrix = ConfusionMatrix(3, ignore_index=UNLABELLED)
    tried = segmenter(clip, proposer, weight=weight, mask_threshold=threshold)
    for image, image_id, labels in samples():
        [(_, prediction)] = tried.predict([(image, image_id, None)])
        matrix.update(prediction.label_map(weight), labels)
    return matrix.result().miou


def counted(clip, search):
    """The result of a search, and how many regions CLIP encoded."""
    regions = []
    hook = clip.vision.register_forward_pre_hook(lambda _, inputs: regions.append(len(inputs[0])))
    try:
        return search(), sum(regions)
    finally:
        hook.remove()


def test_soft_proposals(tiny):
    thresholds = [0.3, 0.5, 0.8]
    rows, regions = counted(
        tiny, lambda: search_fusion(segmenter(tiny, ColourQueries()), samples(), WEIGHTS, thresholds)
    )
    assert len(rows) == 9
    for row in rows:
        assert row.miou == pytest.approx(miou(tiny, ColourQueries(), row.weight, row.threshold))
    assert [row.miou for row in rows] == sorted((row.miou for row in rows), reverse=True)
    _, once = counted(tiny, lambda: search_fusion(segmenter(tiny, ColourQueries()), samples(), [0.5], thresholds))
    assert regions == once  # weights cost CLIP nothing


def test_binary_proposals_have_no_threshold(tiny):
    rows, regions = counted(
        tiny, lambda: search_fusion(segmenter(tiny, ColourProposer()), samples(), WEIGHTS, [0.3, 0.5])
    )
    assert [row.threshold for row in rows] == [0.5] * 3
    assert regions == 3 * 5
    for row in rows:
        assert row.miou == pytest.approx(miou(tiny, ColourProposer(), row.weight, 0.5))


def test_nothing_to_search_among(tiny):
    with pytest.raises(UserError, match="weights"):
        search_fusion(segmenter(tiny), samples(), [], [0.5])
