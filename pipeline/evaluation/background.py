"""The background class of data sets that have one: what no mask covers, and what nothing is likely enough for.

See `pipeline.evaluation.datasets.background` for where this comes from. Shape suffixes: V regions, C classes.
"""

from dataclasses import replace

import numpy as np

from pipeline.evaluation.datasets.background import Background
from pipeline.segmentation import UNLABELLED, Prediction

# Ahead of every other class by this, the background has all of the probability.
_CERTAIN = 1e4


def unlikely_as_background(prediction: Prediction, background: Background | None) -> Prediction:
    """The prediction with regions as background to which CLIP gives no class the probability `background.threshold`.

    SCLIP takes the same threshold pixel by pixel (`prob_thd`); here regions are what CLIP classifies.
    """
    if background is None or background.threshold == 0:
        return prediction
    logits_VC = prediction.region_logits.astype(np.float32)
    # The largest probability of a softmax is one over the sum of these.
    sums_V = np.exp(logits_VC - logits_VC.max(axis=1, keepdims=True, initial=-np.inf)).sum(axis=1)
    unlikely = sums_V * background.threshold > 1
    logits_VC[unlikely, background.label] = logits_VC[unlikely].max(axis=1, initial=-np.inf) + _CERTAIN
    return replace(prediction, region_logits=logits_VC)


def uncovered_as_background(labels: np.ndarray, background: Background | None) -> np.ndarray:
    """A label map uint16 [H,W] in which pixels without a label are background, if the data set has one."""
    if background is None:
        return labels
    return np.where(labels == UNLABELLED, np.uint16(background.label), labels)
