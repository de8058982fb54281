"""Confusion matrices against a loop over pixels, and the formulas against worked examples."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.evaluation.confusion import _BLOCK, ConfusionMatrix

_IGNORE = 65535
_TYPES = [np.uint8, np.uint16, np.int64]


def brute_force(pairs: list[tuple[np.ndarray, np.ndarray]], classes: int, ignore: int) -> np.ndarray:
    counts = np.zeros((classes, classes + 1), np.int64)
    for pred, gt in pairs:
        for p, g in zip(pred.ravel().tolist(), gt.ravel().tolist(), strict=True):
            if g != ignore:
                counts[g, p if 0 <= p < classes else classes] += 1
    return counts


@st.composite
def label_maps(draw) -> tuple[int, list[tuple[np.ndarray, np.ndarray]]]:
    """Numbers of classes and some pairs: noise, or runs of equal pixels as in real maps."""
    classes = draw(st.integers(1, 12))
    pairs = []
    for _ in range(draw(st.integers(1, 3))):
        height, width = draw(st.integers(1, 20)), draw(st.integers(1, 40))
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        run = draw(st.sampled_from([1, 7, 60]))
        pred, gt = (
            np.repeat(rng.integers(0, high, -(-height * width // run)), run)[: height * width].reshape(height, width)
            for high in (classes + 2, classes + 1)
        )
        pred, gt = pred.astype(draw(st.sampled_from(_TYPES))), gt.astype(draw(st.sampled_from(_TYPES)))
        gt[gt == classes] = 200
        pairs.append((pred, gt))
    return classes, pairs


@given(label_maps())
@settings(max_examples=150, deadline=None)
def test_counts_as_a_loop_over_pixels_does(drawn):
    classes, pairs = drawn
    matrix = ConfusionMatrix(classes, ignore_index=200)
    for pred, gt in pairs:
        matrix.update(pred, gt)
    assert np.array_equal(matrix.counts, brute_force(pairs, classes, 200))


def test_more_pixels_than_one_block():
    rng = np.random.default_rng(0)
    gt = np.repeat(rng.integers(0, 5, 5000), 50)[: 3 * _BLOCK + 17].astype(np.uint16)
    pred = np.where(rng.random(gt.size) < 0.1, 3, gt).astype(np.uint16)
    gt[_BLOCK // 2 : _BLOCK] = _IGNORE
    matrix = ConfusionMatrix(5, _IGNORE)
    matrix.update(pred[None], gt[None])
    expected = np.bincount((gt.astype(int) * 6 + pred)[gt != _IGNORE], minlength=30).reshape(5, 6)
    assert np.array_equal(matrix.counts, expected)


def test_merging_equals_one_pass_and_counts_can_be_stored():
    rng = np.random.default_rng(1)
    pairs = [(rng.integers(0, 9, (30, 30)), rng.integers(0, 8, (30, 30))) for _ in range(6)]
    whole, first, second = (ConfusionMatrix(8) for _ in range(3))
    for index, pair in enumerate(pairs):
        whole.update(*pair)
        (first if index % 2 else second).update(*pair)
    first = ConfusionMatrix.from_counts(pickle.loads(pickle.dumps(first)).counts)
    first.merge(second)
    assert np.array_equal(first.counts, whole.counts)
    assert first.result().miou == whole.result().miou


def test_scores_of_a_worked_example():
    # Class 0: 4 pixels, 3 right; class 1: 2 pixels, 1 right and one unlabelled; class 2 is predicted once, absent.
    gt = np.array([[0, 0, 0, 0, 1, 1, 255]], np.uint8)
    pred = np.array([[0, 0, 0, 2, 1, 65535, 1]], np.uint16)
    matrix = ConfusionMatrix(3)
    matrix.update(pred, gt)
    scores = matrix.result()
    assert scores.iou[:2].tolist() == [3 / 4, 1 / 2]
    assert scores.acc[:2].tolist() == [3 / 4, 1 / 2]
    assert np.isnan([scores.iou[2], scores.acc[2]]).all()
    assert scores.miou == pytest.approx(5 / 8)
    assert scores.miou_gt_or_pred == pytest.approx((3 / 4 + 1 / 2) / 3)
    assert scores.fwiou == pytest.approx((4 * 3 / 4 + 2 * 1 / 2) / 6)
    assert scores.macc == pytest.approx(5 / 8)
    assert scores.pacc == pytest.approx(4 / 6)


def test_both_formulas_agree_without_absent_classes():
    rng = np.random.default_rng(2)
    gt = np.arange(400).reshape(20, 20) % 10
    matrix = ConfusionMatrix(10)
    matrix.update(rng.integers(0, 10, gt.shape), gt)
    assert matrix.result().miou == pytest.approx(matrix.result().miou_gt_or_pred)


@pytest.mark.parametrize(("present", "absent"), [(5, 1), (345, 114)])
def test_predicted_absent_classes_lower_the_older_formula(present, absent):
    """345 of 459: the validation split of Pascal Context 459, with every absent class predicted somewhere."""
    gt = np.repeat(np.arange(present), 4 + -(-absent // present)).astype(np.uint16)
    pred = gt.copy()
    pred[np.flatnonzero(np.diff(gt, prepend=-1))[:absent]] = present + np.arange(absent)
    matrix = ConfusionMatrix(present + absent, _IGNORE)
    matrix.update(pred[None], gt[None])
    scores = matrix.result()
    assert scores.miou_gt_or_pred == pytest.approx(scores.miou * present / (present + absent))


def test_nothing_counted_gives_nan():
    matrix = ConfusionMatrix(4)
    matrix.update(np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8))
    matrix.update(np.zeros((0, 5), np.uint8), np.zeros((0, 5), np.uint8))
    scores = matrix.result()
    assert np.isnan([scores.miou, scores.miou_gt_or_pred, scores.fwiou, scores.macc, scores.pacc]).all()
    assert np.isnan(scores.iou).all()


def test_uint16_labels_above_255():
    labels = np.array([[846, 300, 255, 0]], np.uint16)
    matrix = ConfusionMatrix(847, _IGNORE)
    matrix.update(labels, labels)
    assert matrix.counts.diagonal().nonzero()[0].tolist() == [0, 255, 300, 846]


@pytest.mark.parametrize("kind", _TYPES)
def test_labels_outside_the_classes_are_named_and_nothing_is_counted(kind):
    matrix = ConfusionMatrix(3)
    gt = np.array([[0, 1, 7, 9, 255]], kind)
    with pytest.raises(UserError, match=r"the labels hold 7, 9; expected are the classes 0 to 2 and 255"):
        matrix.update(np.zeros_like(gt), gt)
    assert not matrix.counts.any()
    with pytest.raises(UserError, match="-1"):
        matrix.update(np.zeros((1, 1), int), np.full((1, 1), -1))


def test_a_class_that_is_also_the_index_to_ignore():
    matrix = ConfusionMatrix(300)
    matrix.update(np.full((1, 4), 299), np.full((1, 4), 299))
    with pytest.raises(UserError, match="255, which is both one of 300 classes"):
        matrix.update(np.zeros((1, 4), int), np.full((1, 4), 255))


def test_sizes_that_differ():
    with pytest.raises(UserError, match="the prediction is 4×3, its labels are 3×4"):
        ConfusionMatrix(2).update(np.zeros((3, 4), np.uint8), np.zeros((4, 3), np.uint8))


def test_matrices_that_do_not_fit():
    with pytest.raises(ValueError, match="cannot merge 3 classes into 2"):
        ConfusionMatrix(2).merge(ConfusionMatrix(3))
    with pytest.raises(ValueError, match=r"\[C, C\+1\]"):
        ConfusionMatrix.from_counts(np.zeros((3, 3), np.int64))
