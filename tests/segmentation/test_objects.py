"""Panoptic segments and instances, against the rules of MaskFormer and FC-CLIP on whole arrays, mask by mask."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.masks.masks import Masks
from pipeline.segmentation import Prediction, SegmentationConfig
from pipeline.segmentation.objects import class_probabilities, instances, mask_qualities, panoptic_segments

HEIGHT, WIDTH, CLASSES = 14, 11, 4
THINGS = {1, 3}


def predicted(seed: int, masks: int = 7, background: int = 0, soft: bool = True, classified: bool = True) -> Prediction:
    rng = np.random.default_rng(seed)
    logits_Qhw = rng.normal(0, 3, (masks, 5, 4)).astype(np.float32)
    binary_QHW = upsampled(logits_Qhw).numpy() > 0
    valid_Q = binary_QHW.any(axis=(1, 2))
    columns = CLASSES + background
    return Prediction(
        classes=CLASSES,
        masks=Masks.encode(binary_QHW),
        mask_logits=logits_Qhw if soft else None,
        region_logits=rng.normal(0, 2, (int(valid_Q.sum()), columns)).astype(np.float32),
        valid=valid_Q,
        proposal_logits=rng.normal(0, 2, (masks, columns + 1)).astype(np.float32) if classified else None,
    )


def upsampled(logits_Qhw: np.ndarray) -> torch.Tensor:
    each = [
        F.interpolate(torch.from_numpy(mask)[None, None], (HEIGHT, WIDTH), mode="bilinear")[0] for mask in logits_Qhw
    ]
    return torch.cat(each) if each else torch.zeros(0, HEIGHT, WIDTH)


def mask_probabilities(prediction: Prediction) -> torch.Tensor:
    """[Q,H,W], of binary masks 0 and 1."""
    if prediction.mask_logits is None:
        return torch.from_numpy(prediction.masks.decode()).float()
    return upsampled(prediction.mask_logits).sigmoid()


def by_the_rules(prediction: Prediction, probabilities_QC: np.ndarray, config: SegmentationConfig):
    """The segments, mask by mask: the ids of all pixels, and the class of each."""
    masks_QHW = mask_probabilities(prediction)
    best = [(int(row.argmax()), float(row.max())) for row in probabilities_QC]
    kept = [q for q, (label, score) in enumerate(best) if label < CLASSES and score > config.object_threshold]
    ids_HW, classes, stuff = np.zeros((HEIGHT, WIDTH), int), [], {}
    if not kept:
        return ids_HW, classes
    scored_KHW = torch.stack([masks_QHW[q] * best[q][1] for q in kept])
    winner_HW = scored_KHW.argmax(dim=0).numpy()
    winner_HW[(scored_KHW.max(dim=0).values == 0).numpy()] = -1  # of binary masks: covered by none
    for k, q in enumerate(kept):
        inside_HW = masks_QHW[q].numpy() >= 0.5
        shown_HW = (winner_HW == k) & inside_HW
        if not shown_HW.any() or (winner_HW == k).sum() / inside_HW.sum() < config.overlap_threshold:
            continue
        label = best[q][0]
        if label in stuff:
            ids_HW[shown_HW] = stuff[label]
            continue
        classes.append(label)
        ids_HW[shown_HW] = len(classes)
        if label not in THINGS:
            stuff[label] = len(classes)
    return ids_HW, classes


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    masks=st.integers(0, 8),
    background=st.integers(0, 2),
    soft=st.booleans(),
    classified=st.booleans(),
    object_threshold=st.sampled_from([0.0, 0.3]),
    overlap_threshold=st.sampled_from([0.0, 0.4, 0.8]),
)
def test_segments(seed, masks, background, soft, classified, object_threshold, overlap_threshold):
    config = SegmentationConfig(object_threshold=object_threshold, overlap_threshold=overlap_threshold)
    prediction = predicted(seed, masks, background, soft, classified)
    probabilities_QC = class_probabilities(prediction, 0.6 if classified else 1.0)
    segments = panoptic_segments(prediction, probabilities_QC, THINGS, config)
    ids_HW, classes = by_the_rules(prediction, probabilities_QC, config)
    np.testing.assert_array_equal(segments.ids, ids_HW)
    assert segments.labels.tolist() == classes
    assert (segments.scores > object_threshold).all()


def test_of_large_images_a_band_at_a_time(monkeypatch):
    prediction = predicted(3)
    probabilities_QC = class_probabilities(prediction, 0.5)
    whole = panoptic_segments(prediction, probabilities_QC, THINGS, SegmentationConfig(overlap_threshold=0.3))
    qualities = mask_qualities(prediction, 0.5)
    monkeypatch.setattr("pipeline.masks.soft._BAND_ELEMENTS", 400)
    banded = panoptic_segments(prediction, probabilities_QC, THINGS, SegmentationConfig(overlap_threshold=0.3))
    assert len(whole.labels) > 1
    np.testing.assert_array_equal(banded.ids, whole.ids)
    assert mask_qualities(prediction, 0.5) == pytest.approx(qualities, abs=1e-6)


@pytest.mark.parametrize("background", [0, 2])
@pytest.mark.parametrize("weight", [0.0, 0.35, 0.8])
def test_probabilities_are_those_of_fc_clip(weight, background):
    """In-vocabulary softmax and CLIP's, a geometric ensemble, made to sum to 1, times that of there being an object."""
    prediction = predicted(5, background=background)
    inside_QC = torch.from_numpy(prediction.proposal_logits)[:, :-1].double().softmax(-1)
    clip_QC = torch.ones_like(inside_QC)
    clip_QC[torch.from_numpy(prediction.valid)] = torch.from_numpy(prediction.region_logits).double().softmax(-1)
    shares_QC = (inside_QC ** (1 - weight) * clip_QC**weight).log().softmax(-1)
    nothing_Q = torch.from_numpy(prediction.proposal_logits).double().softmax(-1)[:, -1:]
    expected_QX = torch.cat([shares_QC * (1 - nothing_Q), nothing_Q], dim=1).numpy()
    probabilities_QC = class_probabilities(prediction, weight)
    assert probabilities_QC[:, :CLASSES] == pytest.approx(expected_QX[:, :CLASSES], abs=1e-6)
    assert probabilities_QC[:, CLASSES] == pytest.approx(expected_QX[:, CLASSES:].max(axis=1), abs=1e-6)


def test_clip_alone_is_a_softmax_and_knows_nothing_of_empty_masks():
    prediction = predicted(5, classified=False)
    empty = Prediction(**{**vars(prediction), "valid": np.append(prediction.valid[:-1], False)})
    empty = Prediction(**{**vars(empty), "region_logits": prediction.region_logits[:-1]})
    expected = torch.from_numpy(empty.region_logits).softmax(-1).numpy()
    probabilities_QC = class_probabilities(empty, 1.0)
    assert probabilities_QC[:-1, :CLASSES] == pytest.approx(expected, abs=1e-6)
    assert not probabilities_QC[-1].any()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), masks=st.integers(0, 8), most=st.integers(1, 40), soft=st.booleans())
def test_instances(seed, masks, most, soft):
    prediction = predicted(seed, masks, soft=soft)
    probabilities_QC = class_probabilities(prediction, 0.6)
    shown = instances(probabilities_QC, mask_qualities(prediction, 0.5), THINGS, most)
    masks_QHW = mask_probabilities(prediction).numpy()
    inside_QHW = prediction.masks.decode().astype(bool)
    pairs = sorted(
        ((-probabilities_QC[q, c], q, c) for q in range(masks) for c in range(CLASSES)), key=lambda pair: pair[0]
    )[:most]
    expected = {
        (q, c): -negative * masks_QHW[q][inside_QHW[q]].mean()
        for negative, q, c in pairs
        if c in THINGS and inside_QHW[q].any()
    }
    assert dict(zip(zip(shown.masks.tolist(), shown.labels.tolist(), strict=True), shown.scores, strict=True)) == (
        pytest.approx(expected, abs=1e-5)
    )
