"""One object's mask in any of COCO's notations, and in what people's programs make of them."""

import ast
import math
from typing import Any

from pycocotools import mask as coco_mask

from pipeline.masks import rle
from pipeline.masks.rle import Rle
from pipeline.proposals.coco_values import number, pixels, whole

Segmentation = list[list[float]] | dict
"""Polygons in pixels, or a run-length code {"counts": …} of the whole frame, uncompressed or compressed."""


def read_segmentation(value: Any, height: int, width: int) -> Segmentation | None:
    """The `segmentation` of an object in a frame of this size, checked and in one form; None if it holds no mask.

    A flat list of numbers is one polygon; numbers may be text.

    Raises:
        ValueError: it is damaged; the message says in which way, the same for all objects with this damage.
    """
    if value is None or value in ("", [], [[]], {}):
        return None
    if isinstance(value, list):
        if not isinstance(value[0], list):
            value = [value]
        polygons = [_polygon(part, 2 * max(height, width)) for part in value]
        if height > 2 < width and max(map(max, polygons)) <= 1:
            raise ValueError("are smaller than a pixel at the upper left corner (normalised coordinates?)")
        return polygons
    if isinstance(value, dict):
        return _run_lengths(value, height, width)
    raise ValueError("have a segmentation that is neither polygons nor a run-length code")


def frame(value: Any) -> tuple[int, int] | None:
    """Height and width that a run-length code says; None if it does not, or the segmentation is none."""
    size = value.get("size") if isinstance(value, dict) else None
    if not isinstance(size, list) or len(size) != 2:
        return None
    height, width = map(pixels, size)
    return (height, width) if height and width else None


def encode(segmentation: Segmentation, height: int, width: int) -> Rle:
    """The mask of what `read_segmentation` returned for a frame of this size."""
    if isinstance(segmentation, list):
        return coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))["counts"]
    counts = segmentation["counts"]
    if isinstance(counts, str):
        return counts.encode("ascii")
    return coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)["counts"]


def _polygon(part: Any, reach: int) -> list[float]:
    if not isinstance(part, list):
        raise ValueError("have a polygon that is no list of x and y")
    try:
        if not {*map(type, part)} <= {float, int}:
            part = [number(value) for value in part]
        total = math.fsum(part)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("have coordinates that are no numbers") from None
    if not math.isfinite(total):
        raise ValueError("have coordinates that are no numbers")
    if len(part) % 2:
        raise ValueError("have an odd number of coordinates, not pairs of x and y")
    # Of two points pycocotools would make a box, of none an error.
    if len(part) < 6:
        raise ValueError("have a polygon of fewer than three points")
    # pycocotools walks along each edge pixel by pixel: a point far away would take all memory.
    if max(part) > reach or min(part) < -reach:
        raise ValueError("have polygons that leave their image by far")
    return part


def _run_lengths(code: dict, height: int, width: int) -> dict:
    if frame(code) != (height, width):
        raise ValueError("have a run-length code for another size than that of their image")
    counts = code.get("counts")
    if isinstance(counts, list):
        runs = [run for run in map(whole, counts) if run is not None]
        if len(runs) < len(counts) or min(runs, default=-1) < 0 or sum(runs) != height * width:
            raise ValueError("have a run-length code whose runs do not fill their image")
        return {"counts": runs}
    if not isinstance(counts, str):
        raise ValueError("have a run-length code without counts")
    try:
        if counts.startswith(("b'", 'b"')):  # what Python makes of bytes; a code holds no quotation marks
            counts = ast.literal_eval(counts).decode("ascii")
        rle.areas([counts.encode("ascii")], height, width)
    except (ValueError, SyntaxError, AttributeError):
        raise ValueError("have a damaged run-length code") from None
    return {"counts": counts}
