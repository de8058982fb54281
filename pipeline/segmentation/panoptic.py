"""COCO panoptic segmentations, of label maps and of segments.

Which names are those of countable things, only the user can say. Where nobody does (see `categories`), a segment is a
class: all pixels of an image that show it, connected or not, as COCO has it for stuff, since the masks of several
proposals melt into one label map. Category ids are the index in `classes.json` plus one, and so are the ids of such
segments; where things are known, segments are counted from 1. 0 is unlabelled.

The format: https://cocodataset.org/#format-data
"""

import io
from collections.abc import Collection, Sequence

import numpy as np
from PIL import Image
from scipy import ndimage

from pipeline.masks.masks import Masks
from pipeline.masks.runs import run_lengths
from pipeline.segmentation.drawing import class_colours
from pipeline.segmentation.fusion import UNLABELLED, class_scores
from pipeline.segmentation.objects import PanopticSegments
from pipeline.segmentation.prediction import Prediction


def panoptic_png(labels: np.ndarray) -> bytes:
    """A label map uint16 [H,W] as PNG whose colours are segment ids, R + 256·G + 65536·B."""
    return ids_png(_segment_ids(labels))


def ids_png(ids: np.ndarray) -> bytes:
    """Segment ids below 65536, int32 [H,W], as such a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(np.stack([ids % 256, ids // 256, np.zeros_like(ids)], axis=2).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def segments_info(labels: np.ndarray, prediction: Prediction, weight: float) -> list[dict]:
    """The segments of an image, for COCO's `segments_info`: id, category, area and box in pixels, and a score.

    The score says how sure the masks are of the class, 0 to 1: the mean of its score (see `class_scores`) over the
    pixels of the segment and the masks that cover them; 0 where none does.

    Args:
        labels: `prediction.label_map(weight)`, uint16 [H,W].
    """
    ids = _segment_ids(labels)
    boxes = ndimage.find_objects(ids)
    present = [index for index, box in enumerate(boxes) if box is not None]
    areas = np.bincount(ids.ravel(), minlength=len(boxes) + 1)[1:]
    scores_QC = class_scores(prediction.proposal_logits, prediction.region_logits, prediction.valid, weight).numpy()
    scores = _mean_scores(labels, prediction.masks, scores_QC, present)
    return [
        {
            "id": index + 1,
            "category_id": index + 1,
            "area": int(areas[index]),
            "bbox": _box(*boxes[index]),
            "iscrowd": 0,
            "score": round(score, 6),
        }
        for index, score in zip(present, scores, strict=True)
    ]


def info_of_segments(segments: PanopticSegments) -> list[dict]:
    """As `segments_info`, of segments by `panoptic_segments`; the score is the class probability of the mask."""
    boxes = ndimage.find_objects(segments.ids)
    areas = np.bincount(segments.ids.ravel(), minlength=len(boxes) + 1)[1:]
    return [
        {
            "id": index + 1,
            "category_id": int(segments.labels[index]) + 1,
            "area": int(areas[index]),
            "bbox": _box(*box),
            "iscrowd": 0,
            "score": round(float(segments.scores[index]), 6),
        }
        for index, box in enumerate(boxes)
    ]


def categories(
    classes: Sequence[tuple[str, ...]], things: Collection[str] | None, occurring: Collection[int]
) -> list[dict]:
    """COCO's `categories` for the classes, with the colours of label maps and overlays.

    Args:
        things: first names of the classes that are countable things. None: nobody has said. Then the first class that
            occurs is marked as one, and no other: panopticapi divides by the numbers of things and of stuff that it
            finds, so with none of either it fails.
        occurring: ids of the categories of all segments.
    """
    first = min(occurring, default=None)
    return [
        {
            "id": category,
            "name": names[0],
            "isthing": int(category == first if things is None else names[0] in things),
            "color": colour,
        }
        for category, (names, colour) in enumerate(zip(classes, class_colours(len(classes)).tolist(), strict=True), 1)
    ]


def _segment_ids(labels: np.ndarray) -> np.ndarray:
    """int32 [H,W]: the label plus one, 0 where there is none."""
    return np.where(labels == UNLABELLED, 0, labels.astype(np.int32) + 1)


def _box(rows: slice, columns: slice) -> list[int]:
    return [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start]


def _mean_scores(labels: np.ndarray, masks: Masks, scores_QC: np.ndarray, present: list[int]) -> list[float]:
    """Per class its score, averaged over the masks by how many pixels of the class each of them covers."""
    ends = [run_lengths(code).cumsum() for code in masks]
    none = np.zeros(0, np.int64)
    starts = np.concatenate([none, *(ends_q[:-1:2] for ends_q in ends)])
    stops = np.concatenate([none, *(ends_q[1::2] for ends_q in ends)])
    owners = np.repeat(np.arange(len(ends)), np.array([len(ends_q) // 2 for ends_q in ends], np.int64))
    column_major = labels.T.ravel()
    scores = []
    for label in present:
        # Pixels of the class before each pixel: what a run of a mask covers of it is one subtraction.
        before = np.concatenate([[0], np.cumsum(column_major == label, dtype=np.int32)])
        covered_Q = np.bincount(owners, before[stops] - before[starts], minlength=len(ends))
        total = covered_Q.sum()
        scores.append(float(covered_Q @ scores_QC[:, label] / total) if total else 0.0)
    return scores
