"""The masks in COCO annotations, decoded image by image."""

import json
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from pipeline import storage
from pipeline.images import ImageProblem, ImagesConfig, open_image
from pipeline.masks import rle
from pipeline.masks.rle import Rle
from pipeline.proposals.coco_annotations import CocoFile
from pipeline.proposals.coco_segmentations import encode


class AnnotatedMasks(Protocol):
    """The objects of an image."""

    def __call__(self, image_id: str) -> Iterator[tuple[str, Rle]]:
        """Category id and mask of each object, in the order of the file and its frame.

        Nothing for an image without annotations.

        Raises:
            ImageProblem: they are damaged, or the PNG of a panoptic segmentation is missing.
        """
        ...


class InstanceMasks:
    """Masks of COCO instances: polygons, uncompressed and compressed run-length codes."""

    def __init__(self, file: CocoFile, crowd: bool) -> None:
        self._file = file
        self._crowd = crowd

    def __call__(self, image_id: str) -> Iterator[tuple[str, Rle]]:
        """Yield category id and mask of each object; raises as `AnnotatedMasks`."""
        for item in self._file.instances.get(image_id, ()):
            category, crowd, segmentation = json.loads(item)
            if self._crowd or not crowd:
                size = self._file.sizes[image_id]
                assert size is not None  # without it, the objects of an image are not among `instances`
                yield category, encode(segmentation, *size)


class PanopticMasks:
    """Masks of COCO panoptic: a PNG per image whose colours are segment ids, R + 256·G + 256²·B."""

    def __init__(self, file: CocoFile, folder: str, crowd: bool) -> None:
        self._file = file
        self._folder = folder
        self._crowd = crowd

    def __call__(self, image_id: str) -> Iterator[tuple[str, Rle]]:
        """Yield category id and mask of each segment of the image's PNG; raises as `AnnotatedMasks`."""
        if image_id not in self._file.panoptic:
            return
        name, segments = json.loads(self._file.panoptic[image_id])
        ids_HW = self._segment_ids(storage.join(self._folder, name), image_id)
        for segment, category, crowd in segments:
            if self._crowd or not crowd:
                yield category, rle.encode((ids_HW == segment)[None])[0]

    def _segment_ids(self, uri: str, image_id: str) -> np.ndarray:
        try:
            data = storage.read_at_most(uri, ImagesConfig.max_bytes)
        except storage.TooManyBytes as error:
            raise ImageProblem("damaged_annotation", f"{uri}: {error}") from error
        except FileNotFoundError as error:
            raise ImageProblem("missing_annotation", f"{uri} is not there") from error
        size = self._file.sizes[image_id]
        try:
            # Of a small file that stands for any number of pixels not more than the image has.
            png = open_image(data, ("PNG",), max_pixels=size[0] * size[1] if size else ImagesConfig.max_pixels)
        except ImageProblem as error:
            raise ImageProblem("damaged_annotation", f"{uri}: {error}") from error
        if png.mode not in ("RGB", "RGBA", "P"):
            raise ImageProblem("damaged_annotation", f"{uri} has no colours, which tell the segments: {png.mode}")
        colours = np.asarray(png.convert("RGB"), np.int32)
        if size is None:
            self._file.sizes[image_id] = size = colours.shape[:2]
        if colours.shape[:2] != size:
            raise ImageProblem(
                "damaged_annotation",
                f"{uri} is {colours.shape[1]}×{colours.shape[0]}, the annotation file says {size[1]}×{size[0]}",
            )
        return colours @ np.array([1, 256, 65536], np.int32)


def open_masks(file: CocoFile, panoptic_images: str | None, crowd: bool) -> AnnotatedMasks:
    """The masks of a file, instances or panoptic by its content.

    Raises:
        UserError: the directory of the PNGs of a panoptic segmentation is not there.
    """
    if not file.panoptic:
        return InstanceMasks(file, crowd)
    folder = panoptic_images or file.uri.removesuffix(".gz").removesuffix(".json")
    if not folder.startswith(("http://", "https://")):  # these need not answer for a directory
        storage.check_readable(folder, "proposals.options.panoptic_images")
    return PanopticMasks(file, folder, crowd)
