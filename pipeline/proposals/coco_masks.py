"""The masks in COCO annotations, decoded image by image."""

import json
import math
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from pycocotools import mask as coco_mask

from pipeline import masks, storage
from pipeline.captions.addresses import inner_name
from pipeline.images import ImageProblem, open_image
from pipeline.masks import Rle
from pipeline.proposals.coco_annotations import CocoFile, is_whole


class AnnotatedMasks(Protocol):
    """The objects of an image."""

    def __call__(self, image_id: str) -> Iterator[tuple[int, Rle]]:
        """Category id and mask of each object, in the order of the file and its frame.

        Nothing for an image without annotations. Raises ImageProblem if they are damaged.
        """
        ...


class InstanceMasks:
    """Masks of COCO instances: polygons, uncompressed and compressed run-length codes."""

    def __init__(self, file: CocoFile, crowd: bool) -> None:
        self._file = file
        self._crowd = crowd

    def __call__(self, image_id: str) -> Iterator[tuple[int, Rle]]:
        for item in self._file.instances.get(image_id, ()):
            annotation, category, crowd, segmentation = json.loads(item)
            if crowd and not self._crowd:
                continue
            try:
                yield category, _rle(segmentation, *self._file.sizes[image_id])
            except (ValueError, TypeError, KeyError) as error:
                raise ImageProblem(
                    "damaged_annotation", f"annotation {annotation} of {self._file.uri}: {error}"
                ) from error


class PanopticMasks:
    """Masks of COCO panoptic: a PNG per image whose colours are segment ids, R + 256·G + 256²·B."""

    def __init__(self, file: CocoFile, folder: str, crowd: bool) -> None:
        self._file = file
        self._folder = folder
        self._crowd = crowd

    def __call__(self, image_id: str) -> Iterator[tuple[int, Rle]]:
        if image_id not in self._file.panoptic:
            return
        name, segments = json.loads(self._file.panoptic[image_id])
        try:
            uri = storage.join(self._folder, inner_name(name))
        except ValueError as error:
            raise ImageProblem("missing_annotation", str(error)) from error
        ids_HW = self._segment_ids(uri, self._file.sizes[image_id])
        for segment, category, crowd in segments:
            if self._crowd or not crowd:
                yield category, masks.encode((ids_HW == segment)[None])[0]

    def _segment_ids(self, uri: str, size: tuple[int, int]) -> np.ndarray:
        try:
            data = storage.read_bytes(uri)
        except FileNotFoundError as error:
            raise ImageProblem("missing_annotation", f"{uri} is not there") from error
        try:
            # Of a small file that stands for any number of pixels not more than the image has.
            colours = np.asarray(open_image(data, ("PNG",), max_pixels=size[0] * size[1]).convert("RGB"), np.int32)
        except ImageProblem as error:
            raise ImageProblem("damaged_annotation", f"{uri}: {error}") from error
        if colours.shape[:2] != size:
            raise ImageProblem(
                "damaged_annotation",
                f"{uri} is {colours.shape[1]}×{colours.shape[0]}, the annotation file says {size[1]}×{size[0]}",
            )
        return colours @ np.array([1, 256, 65536], np.int32)


def open_masks(file: CocoFile, panoptic_images: str | None, crowd: bool) -> AnnotatedMasks:
    """The masks of a file, instances or panoptic by its content. Raises UserError as `CocoFile`."""
    if not file.panoptic:
        return InstanceMasks(file, crowd)
    folder = panoptic_images or file.uri.removesuffix(".json")
    if not folder.startswith(("http://", "https://")):  # these need not answer for a directory
        storage.check_readable(folder, "proposals.ground_truth.panoptic_images")
    return PanopticMasks(file, folder, crowd)


def _rle(segmentation: Any, height: int, width: int) -> Rle:
    """One mask from any of COCO's three notations. Raises ValueError, TypeError, KeyError."""
    if isinstance(segmentation, list):
        for polygon in segmentation:
            _check_polygon(polygon, height, width)
        if not segmentation:
            return masks.encode(np.zeros((1, height, width), np.uint8))[0]
        parts = coco_mask.frPyObjects(segmentation, height, width)
        return coco_mask.merge(parts)["counts"]
    if segmentation["size"] != [height, width]:
        raise ValueError(
            f"its run-length code is for height and width {segmentation['size']}, the image has {[height, width]}"
        )
    counts = segmentation["counts"]
    if isinstance(counts, list):
        if not all(is_whole(run, 0) for run in counts) or sum(counts) != height * width:
            raise ValueError(f"its runs do not fill the frame of {height * width} pixels")
        return coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)["counts"]
    rle = counts.encode("ascii")
    masks.areas([rle], height, width)  # checks the code
    return rle


def _check_polygon(polygon: Any, height: int, width: int) -> None:
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
        raise ValueError("a polygon is not a list of x and y of at least three points")
    # pycocotools walks along each edge pixel by pixel: a point far away would take all memory.
    reach = 2 * max(height, width)
    if not all(math.isfinite(value) and abs(value) <= reach for value in polygon):
        raise ValueError(f"a polygon leaves its image of {width}×{height} pixels by far")
