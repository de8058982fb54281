"""What the two stages say of an image, before they are fused.

Shape suffixes: Q masks, V of them valid, C classes and then background names, h×w the proposal model's resolution,
H×W the image.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.bank.search import Neighbours
from pipeline.masks.masks import Masks
from pipeline.segmentation.binary_masks import binary_labels
from pipeline.segmentation.fusion import class_scores
from pipeline.segmentation.soft_labels import soft_labels


@dataclass(frozen=True)
class Prediction:
    """The masks of an image and their logits, from which `label_map` makes labels with any weight."""

    classes: int
    """How many of the C columns are classes; the others are background."""
    masks: Masks
    """Q binary masks in the frame of the image, as CLIP saw them: the proposals, or soft masks above the threshold."""
    mask_logits: np.ndarray | None
    """float32 [Q,h,w], covering the whole image; None if the proposals are binary."""
    region_logits: np.ndarray
    """CLIP's, fused with those of the bank where there is one, float32 [V,C]."""
    valid: np.ndarray
    """bool [Q]: the masks that have a pixel, so that CLIP could look at them."""
    proposal_logits: np.ndarray | None
    """float32 [Q,C+1], last column: no object; None if the backend does not classify."""
    neighbours: Neighbours | None = None
    """The entries of the bank nearest to each of the V regions; None without a bank."""

    def label_map(self, weight: float) -> np.ndarray:
        """The class of each pixel, uint16 [H,W]: the largest of the scores that `fuse` defines.

        UNLABELLED (65535) where a background name wins, or where no class scores above 0: with binary masks, pixels
        that no mask covers of which anything is known (without proposal logits: no valid mask). Bounded in memory, see
        `soft_labels` and `binary_labels`.

        Args:
            weight: λ, see `class_scores`.
        """
        scores_QC = class_scores(self.proposal_logits, self.region_logits, self.valid, weight).numpy()
        if self.mask_logits is None:
            return binary_labels(self.masks, scores_QC, self.classes)
        return soft_labels(self.mask_logits, *self.masks.size, scores_QC, self.classes)
