"""The outputs of a detectron2 model for one image → proposals.

https://detectron2.readthedocs.io/en/latest/tutorials/models.html#model-output-format says what the outputs are.

- `instances`: each mask is a proposal with its score.
- `panoptic_seg`: each segment. Where there are instances too, only the stuff, since the things are instances that were
  cut where they overlap.
- `sem_seg`, where there is no panoptic segmentation: each connected component of each class. Classes of things do not
  tell apart their objects; components do, as far as these do not touch.

Segments without a score of their own and components get the mean probability of their winning class where there is
`sem_seg`, 1 otherwise.

Shape suffixes: K masks, C classes, H×W the image, R rows of a band.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from skimage.measure import label

from pipeline.errors import UserError
from pipeline.images import ImageProblem
from pipeline.masks import rle
from pipeline.masks.masks import Masks
from pipeline.masks.rle import Rle
from pipeline.masks.soft import encode
from pipeline.proposals.config import ProposalsConfig
from pipeline.proposals.filtering import keep
from pipeline.proposals.proposer import Proposals

_PIXELS_AT_ONCE = 2**25
_Masks = tuple[list[Rle], np.ndarray]


def to_proposals(output: dict[str, Any], height: int, width: int, config: ProposalsConfig) -> Proposals:
    """The proposals of one image that are kept.

    Args:
        output: of a detectron2 model, at the size of the image, on any device.

    Raises:
        ImageProblem: `not_a_number`, if there are masks and no score is a number.
        UserError: the model gives no masks.
    """
    found = list(_masks(output, config))
    rles = [code for codes, _ in found for code in codes]
    scores = np.concatenate([scores_K for _, scores_K in found])
    numbers = np.flatnonzero(~np.isnan(scores))
    if len(scores) and not len(numbers):
        raise ImageProblem("not_a_number", "the proposal model gave scores that are not numbers")
    masks, scores = Masks([rles[index] for index in numbers], height, width), scores[numbers]
    kept = keep(masks, scores, config)
    return Proposals(masks.select(kept), scores[kept].astype(np.float32))


def _masks(output: dict[str, Any], config: ProposalsConfig) -> Iterator[_Masks]:
    instances = output.get("instances")
    with_masks = instances is not None and instances.has("pred_masks")
    if with_masks:
        yield _instances(instances)
    if "panoptic_seg" in output:
        panoptic_HW, segments = output["panoptic_seg"]
        yield _segments(panoptic_HW, segments, output.get("sem_seg"), stuff_only=with_masks)
    elif "sem_seg" in output:
        yield _components(output["sem_seg"], config)
    elif not with_masks:
        raise UserError(
            f"proposals.options.config: the model gives {', '.join(output) or 'nothing'} without masks; proposals "
            "need a model of instance, panoptic or semantic segmentation"
        )


def _instances(instances: Any) -> _Masks:
    """Of detectron2's `Instances` with `pred_masks` [K,H,W], at the size of the image."""
    masks_KHW = instances.pred_masks
    height, width = masks_KHW.shape[1:]
    rles: list[Rle] = []
    if len(masks_KHW):
        for part_KHW in masks_KHW.split(max(1, _PIXELS_AT_ONCE // (height * width))):
            rles += encode(part_KHW > 0.5)  # some models return 0 and 1 as floating point numbers
    return rles, instances.scores.float().cpu().numpy()


def _segments(
    panoptic_HW: torch.Tensor, segments: list[dict] | None, logits_CHW: torch.Tensor | None, stuff_only: bool
) -> _Masks:
    if segments is None:  # Panoptic-DeepLab: the ids tell all there is; below 0 is no segment
        segments = [{"id": number} for number in panoptic_HW.unique().tolist() if number >= 0]
    probability_HW = None if logits_CHW is None else _winners(logits_CHW)[1]
    rles: list[Rle] = []
    scores = []
    for segment in segments:
        mask_HW = panoptic_HW == segment["id"]
        if (stuff_only and segment.get("isthing")) or not mask_HW.any():
            continue
        score = segment.get("score")
        if score is None:
            score = 1.0 if probability_HW is None else float(probability_HW[mask_HW].mean())
        rles += encode(mask_HW[None])
        scores.append(score)
    return rles, np.array(scores, np.float32)


def _components(logits_CHW: torch.Tensor, config: ProposalsConfig) -> _Masks:
    classes_HW, probability_HW = (winner.cpu().numpy() for winner in _winners(logits_CHW))
    parts_HW = label(classes_HW, background=-1, connectivity=2)  # 1, 2, …
    areas = np.bincount(parts_HW.ravel())[1:]
    scores = np.bincount(parts_HW.ravel(), weights=probability_HW.ravel())[1:] / areas
    # Noise falls into thousands of components. They do not overlap, so those to keep can be chosen before they are
    # encoded; a score that is not a number sorts last and is for the caller to judge.
    fits = (areas >= config.min_area * parts_HW.size) & (areas <= config.max_area * parts_HW.size)
    order = np.argsort(-scores, kind="stable")
    chosen = order[(fits | np.isnan(scores))[order]][: config.max_proposals]
    return [rle.encode((parts_HW == index + 1)[None])[0] for index in chosen], scores[chosen].astype(np.float32)


def _winners(logits_CHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The class of each pixel, int64 [H,W], and its probability (softmax), float32 [H,W]."""
    classes, probabilities = [], []
    rows = max(1, _PIXELS_AT_ONCE // logits_CHW[:, 0].numel())
    for logits_CRW in logits_CHW.split(rows, dim=1):
        best_RW, class_RW = logits_CRW.float().max(dim=0)
        classes.append(class_RW)
        probabilities.append((best_RW - logits_CRW.float().logsumexp(dim=0)).exp())
    return torch.cat(classes), torch.cat(probabilities)
