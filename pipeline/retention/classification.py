"""Zero-shot classification: which class name, under prompt templates, is most similar to a whole image?

The protocol of CLIP (Radford et al. 2021, Sec. 3.1): the embedding of a class is the mean over its prompts, each of
unit length, and of unit length again.

Shape suffixes: N images, C classes, D embedding width.
"""

from dataclasses import dataclass

import numpy as np
import torch

from pipeline.clip import Clip, EmbeddingCache, TextEmbedder
from pipeline.retention.encoding import check_finite
from pipeline.retention.sets import ClassifiedImages

_TOP = 5


@dataclass(frozen=True)
class Ranks:
    """How each of N images was classified."""

    nearest: np.ndarray
    """int64 [N]: the most similar class; of equally similar ones the first."""
    rank: np.ndarray
    """int64 [N]: how many classes are more similar than the own one, or as similar and before it."""


def embed_classes(clip: Clip, images: ClassifiedImages, cache: EmbeddingCache | None = None) -> torch.Tensor:
    """Unit-length embeddings of the classes, float32 [C,D] on the CPU.

    Raises:
        UserError: a template is too long for the CLIP, or an embedding is not a number.
    """
    classes_CD = TextEmbedder(clip, images.templates, cache)(images.classes)
    check_finite(classes_CD)
    return classes_CD


def classify(features_ND: torch.Tensor, classes_CD: torch.Tensor, labels: np.ndarray) -> Ranks:
    """Rank the own class of each image among all.

    Args:
        features_ND, classes_CD: float32, of unit length, on one device.
        labels: int64 [N].
    """
    if not len(features_ND):
        return Ranks(np.zeros(0, np.int64), np.zeros(0, np.int64))
    similarity_NC = features_ND @ classes_CD.T
    labels_N1 = torch.from_numpy(labels).to(similarity_NC.device)[:, None]
    own_N1 = similarity_NC.gather(1, labels_N1)
    before_NC = torch.arange(len(classes_CD), device=similarity_NC.device) < labels_N1
    ranks_N = ((similarity_NC > own_N1) | ((similarity_NC == own_N1) & before_NC)).sum(1)
    return Ranks(similarity_NC.argmax(1).cpu().numpy(), ranks_N.cpu().numpy())


def class_accuracies(ranks: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """For each class its images, int64 [C], and the share of them that are nearest to it, float64 [C], nan without."""
    images = np.bincount(labels, minlength=classes)
    right = np.bincount(labels[ranks == 0], minlength=classes)
    with np.errstate(invalid="ignore"):
        return images, right / images


def accuracies(ranks: np.ndarray, labels: np.ndarray, classes: int) -> dict[str, float | None]:
    """`top1` and `top5`, shares of the images whose class is the most similar one, or among the five most similar; and
    `mean_per_class`, the mean of top1 over the classes that have images. None where there is nothing to measure:
    without images, and top5 of fewer than five classes.

    Args:
        ranks, labels: int64 [N].
    """
    if not len(ranks):
        return dict.fromkeys(("top1", "top5", "mean_per_class"))
    _, shares = class_accuracies(ranks, labels, classes)
    return {
        "top1": float((ranks == 0).mean()),
        "top5": float((ranks < _TOP).mean()) if classes >= _TOP else None,
        "mean_per_class": float(np.nanmean(shares)),
    }
