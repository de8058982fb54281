"""One image, segmented in several ways, against its labels.

The ways are the rows of the paper's tables: what the proposal model says alone, CLIP alone, both (Table 4), the true
class of every proposal (the bound that the proposals set, Sec. 1), and CLIP on the true masks (the bound that CLIP
sets, Sec. 1).

Shape suffixes: Q masks of an image, V of them valid, C classes and then background names.
"""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.evaluation.datasets import IGNORE
from pipeline.masks import rle
from pipeline.masks.masks import Masks
from pipeline.proposals import Proposals
from pipeline.segmentation import Prediction

BRANCHES = {
    "proposals": "the proposal model's own classes",
    "clip": "CLIP's classes",
    "fused": "both",
    "oracle": "true classes on the proposals",
    "true_masks": "CLIP's classes on true masks",
}
"""What each way takes the classes from."""
NEED_CLASSES = ("proposals", "fused")
"""Those that need proposals that come with classes."""

# In the softmax of `fuse`, a class that is ahead by this has all of the probability.
_CERTAIN = 1e4


@dataclass(frozen=True)
class TrueRegion:
    """A class of an image as one region: everything that is labelled with it."""

    label: int
    area: int
    """Pixels."""
    rank: int
    """How many classes CLIP finds more similar to the masked region than the true one."""


def true_masks(labels: np.ndarray) -> tuple[list[int], Proposals]:
    """The classes of an image in ascending order, and a mask of each.

    Args:
        labels: uint16 [H,W].
    """
    present = [int(label) for label in np.unique(labels) if label != IGNORE]
    codes = [rle.encode((labels == label)[None])[0] for label in present]
    return present, Proposals(Masks(codes, *labels.shape), np.ones(len(codes), np.float32))


def true_regions(present: list[int], prediction: Prediction) -> list[TrueRegion]:
    """How CLIP ranks the true class of each masked region (the cheap proxy of OVSeg's code; every mask has a pixel).

    Args:
        present: classes of the prediction's masks.
    """
    logits_VC = prediction.region_logits[:, : prediction.classes]
    return [
        TrueRegion(label, int(area), int((logits_C > logits_C[label]).sum()))
        for label, area, logits_C in zip(present, prediction.masks.areas, logits_VC, strict=True)
    ]


def label_maps(prediction: Prediction, labels: np.ndarray, weight: float) -> dict[str, np.ndarray]:
    """Label maps uint16 [H,W] of an image in every way that its proposals allow.

    Args:
        labels: the true ones, uint16 [H,W].
        weight: λ of `fused`.
    """
    maps = {"clip": prediction.label_map(1.0), "oracle": with_true_classes(prediction, labels).label_map(1.0)}
    if prediction.proposal_logits is not None:
        maps |= {"proposals": prediction.label_map(0.0), "fused": prediction.label_map(weight)}
    return maps


def with_true_classes(prediction: Prediction, labels: np.ndarray) -> Prediction:
    """The prediction as a classifier would make it that puts each mask into the class of most of its labelled pixels.

    Masks without a labelled pixel take part in nothing.
    """
    logits_QC = np.full((len(prediction.masks), prediction.region_logits.shape[1]), -_CERTAIN, np.float32)
    valid_Q = np.zeros(len(prediction.masks), bool)
    for index in range(len(prediction.masks)):
        # One at a time: the masks of a large photograph do not all exist decoded at once.
        inside_HW = prediction.masks.select([index]).decode()[0].astype(bool)
        shown = labels[inside_HW]
        shown = shown[shown != IGNORE]
        if len(shown):
            valid_Q[index] = True
            logits_QC[index, np.bincount(shown).argmax()] = _CERTAIN
    return replace(prediction, region_logits=logits_QC[valid_Q], valid=valid_Q, proposal_logits=None)
