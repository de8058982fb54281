"""Masks with class probabilities → panoptic segments, which do not overlap, and instances, which may.

The rules are those of MaskFormer (arXiv 2107.06278, Sec. 3.4) as Mask2Former and FC-CLIP (arXiv 2308.02487) have them.
Things are countable: each mask of one is an object of its own. Masks of the same stuff melt into one segment.

Shape suffixes: Q masks, K of them that take part, C classes, N instances, H×W the image, R rows of a band.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.masks.soft import logit, upsampled_bands
from pipeline.segmentation.binary_masks import uppermost_masks
from pipeline.segmentation.config import SegmentationConfig
from pipeline.segmentation.fusion import class_scores
from pipeline.segmentation.prediction import Prediction


@dataclass(frozen=True)
class PanopticSegments:
    """S segments of an image; each has a pixel."""

    ids: np.ndarray
    """int32 [H,W]: index of the segment plus one; 0: no segment."""
    labels: np.ndarray
    """Their classes, int64 [S]."""
    scores: np.ndarray
    """Class probability of the mask, of several masks of stuff the highest, float32 [S]."""


@dataclass(frozen=True)
class Instances:
    """N pairs of a mask and a class; a mask may be in several."""

    masks: np.ndarray
    """Indices of masks, int64 [N]."""
    labels: np.ndarray
    """Classes, int64 [N]."""
    scores: np.ndarray
    """Class probability times mask quality, float32 [N]."""


def class_probabilities(prediction: Prediction, weight: float) -> np.ndarray:
    """Probabilities of the classes of each mask, float32 [Q,C+1]; the last column: none of them.

    FC-CLIP's: the fused scores (see `class_scores`), made to sum to 1 over the classes and background names, times the
    probability that the proposal model gives to there being an object; at weight 1 or without a proposal model that
    classifies, that is 1. The last column is the larger of that of no object and those of background names: a mask is
    of a class if none of these is more probable. A mask of which nothing is known has zeros.

    Args:
        weight: λ, see `class_scores`.
    """
    scores_QX = class_scores(prediction.proposal_logits, prediction.region_logits, prediction.valid, weight).numpy()
    sums_Q1 = scores_QX.sum(axis=1, keepdims=True)
    shares_QX = np.divide(scores_QX, sums_Q1, out=np.zeros_like(scores_QX), where=sums_Q1 > 0)
    nothing_Q1 = np.zeros_like(sums_Q1)
    if prediction.proposal_logits is not None and weight < 1:
        nothing_Q1 = torch.from_numpy(prediction.proposal_logits).float().softmax(dim=1)[:, -1:].numpy()
        shares_QX *= 1 - nothing_Q1
    classes = prediction.classes
    others_Q1 = np.concatenate([shares_QX[:, classes:], nothing_Q1], axis=1).max(axis=1, keepdims=True)
    return np.concatenate([shares_QX[:, :classes], others_Q1], axis=1)


def panoptic_segments(
    prediction: Prediction, probabilities_QC: np.ndarray, things: Collection[int], config: SegmentationConfig
) -> PanopticSegments:
    """Give each pixel to the mask whose class probability times mask probability is highest.

    Masks of no class, or not above `object_threshold`, take no part. A pixel outside of its mask (mask probability
    below `mask_threshold`) stays without segment, and so do masks of which less than `overlap_threshold` is left. A
    pixel that no binary mask covers is nobody's. Memory is bounded, as for `Prediction.label_map`.

    Args:
        probabilities_QC: by `class_probabilities`, float32 [Q,C+1].
        things: the classes that are things.
    """
    best_Q = probabilities_QC.argmax(axis=1)
    scores_Q = np.take_along_axis(probabilities_QC, best_Q[:, None], axis=1)[:, 0]
    classes = probabilities_QC.shape[1] - 1
    kept_K = np.flatnonzero((best_Q < classes) & (scores_Q > config.object_threshold))
    labels_K, scores_K = best_Q[kept_K], scores_Q[kept_K]
    uppermost_HW, won_K, whole_K = _uppermost(prediction, kept_K, scores_K, config.mask_threshold)
    shown_K = np.bincount(uppermost_HW.ravel() + 1, minlength=len(kept_K) + 1)[1:]
    left_K = np.divide(won_K, whole_K, out=np.zeros(len(kept_K)), where=whole_K > 0)
    ids_K = np.zeros(len(kept_K) + 1, np.int32)  # the last one for pixels that are nobody's
    labels: list[int] = []
    scores: list[float] = []
    stuff: dict[int, int] = {}
    for k in np.flatnonzero((shown_K > 0) & (whole_K > 0) & (left_K >= config.overlap_threshold)).tolist():
        label, score = int(labels_K[k]), float(scores_K[k])
        if label in stuff:
            ids_K[k] = stuff[label]
            scores[stuff[label] - 1] = max(score, scores[stuff[label] - 1])
            continue
        labels.append(label)
        scores.append(score)
        ids_K[k] = len(labels)
        if label not in things:
            stuff[label] = len(labels)
    return PanopticSegments(ids_K[uppermost_HW], np.array(labels, np.int64), np.array(scores, np.float32))


def _uppermost(
    prediction: Prediction, kept_K: np.ndarray, scores_K: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which of the masks wins each pixel and is there, int32 [H,W], -1: none; how many pixels each of them wins, and
    how many it has, int64 [K].
    """
    if prediction.mask_logits is None:
        masks = prediction.masks.select(kept_K)
        uppermost_HW = uppermost_masks(masks, scores_K)
        return uppermost_HW, np.bincount(uppermost_HW.ravel() + 1, minlength=len(kept_K) + 1)[1:], masks.areas
    height, width = prediction.masks.size
    uppermost_HW = np.full((height, width), -1, np.int32)
    won_K, whole_K = np.zeros((2, len(kept_K)), np.int64)
    if not len(kept_K):
        return uppermost_HW, won_K, whole_K
    scores_K11 = torch.from_numpy(scores_K)[:, None, None]
    logits_Khw = torch.from_numpy(prediction.mask_logits[kept_K])
    for top, logits_KRW in upsampled_bands(logits_Khw, height, width, 2 * len(kept_K)):
        masks_KRW = logits_KRW.sigmoid_()
        best_RW = (masks_KRW * scores_K11).argmax(dim=0)
        inside_KRW = masks_KRW >= threshold
        won_K += torch.bincount(best_RW.flatten(), minlength=len(kept_K)).numpy()
        whole_K += inside_KRW.sum(dim=(1, 2)).numpy()
        inside_RW = inside_KRW.gather(0, best_RW[None])[0]
        uppermost_HW[top : top + len(best_RW)] = torch.where(inside_RW, best_RW, -1).numpy()
    return uppermost_HW, won_K, whole_K


def mask_qualities(prediction: Prediction, threshold: float) -> np.ndarray:
    """Mean mask probability inside each mask, float32 [Q]; 1 for binary masks, 0 for those without a pixel.

    Args:
        threshold: the probability above which a pixel is inside, as for the masks of the prediction.
    """
    areas_Q = prediction.masks.areas
    if prediction.mask_logits is None:
        return (areas_Q > 0).astype(np.float32)
    sums_Q, counts_Q = np.zeros((2, len(areas_Q)))
    level = logit(threshold)
    logits_Qhw = torch.from_numpy(prediction.mask_logits)
    if len(areas_Q):
        for _, logits_QRW in upsampled_bands(logits_Qhw, *prediction.masks.size, len(areas_Q)):
            inside_QRW = logits_QRW > level
            sums_Q += torch.where(inside_QRW, logits_QRW.sigmoid(), 0).sum(dim=(1, 2), dtype=torch.float64).numpy()
            counts_Q += inside_QRW.sum(dim=(1, 2)).numpy()
    return np.divide(sums_Q, counts_Q, out=np.zeros(len(areas_Q)), where=counts_Q > 0).astype(np.float32)


def instances(probabilities_QC: np.ndarray, qualities_Q: np.ndarray, things: Collection[int], most: int) -> Instances:
    """The pairs of a mask and a class with the highest probabilities, of which those of things are taken.

    Args:
        probabilities_QC: by `class_probabilities`, float32 [Q,C+1].
        qualities_Q: by `mask_qualities`, float32 [Q].
        things: the classes that are things.
        most: how many pairs, of things and of stuff.
    """
    classes = probabilities_QC.shape[1] - 1
    flat = probabilities_QC[:, :classes].ravel()
    best = flat
    order = np.arange(len(flat))
    if len(flat) > most:  # all that are as probable as the last one, then sorted
        least = np.partition(flat, len(flat) - most)[len(flat) - most]
        order = np.flatnonzero(flat >= least)
        best = flat[order]
    order = order[np.argsort(-best, kind="stable")][:most]
    masks, labels = np.divmod(order, max(classes, 1))
    scores = flat[order] * qualities_Q[masks]
    kept = (scores > 0) & np.isin(labels, list(things))
    return Instances(masks[kept], labels[kept], scores[kept].astype(np.float32))
