"""COCO's instance annotations, and LVIS's: polygons and run-length codes of objects, in one JSON of all images.

The format: https://cocodataset.org/#format-data. Truth has to be whole, so what cannot be read is an error that names
the annotation.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.escaping.enumeration import first_of
from pipeline.evaluation.datasets.distribution import Distribution
from pipeline.evaluation.datasets.objects import TrueInstances
from pipeline.masks.masks import Masks
from pipeline.proposals.coco_segmentations import encode, read_segmentation
from pipeline.proposals.coco_values import flag, identifier, number, pixels


@dataclass(frozen=True)
class ListedImage:
    """An image of an annotation file."""

    size: tuple[int, int]
    """Height and width, pixels."""
    file_name: str
    """As the file writes it; of LVIS the last two parts of `coco_url`, such as val2017/000000397133.jpg."""
    negative: tuple[str, ...] | None
    """LVIS: categories that somebody looked for and did not find; None in COCO's files."""
    not_exhaustive: tuple[str, ...]
    """LVIS: categories of which not all objects are annotated."""


class InstanceAnnotations:
    """Objects by image, undecoded until they are read."""

    def __init__(self, files: Distribution, path: str) -> None:
        """Read and index the file.

        Raises:
            UserError: it is missing, no such file, names an id twice, or annotates an image or a category that it
                does not list.
        """
        self._uri = files.uri(path)
        data = files.content(path)
        self.sha256 = hashlib.sha256(data).hexdigest()
        """Digest of the file."""
        try:
            content = json.loads(data)
            del data
            self.categories: dict[str, dict] = _by_id("category", content["categories"])
            """Records of the categories by their ids, in the order of the file."""
            self.images = {image: _image(record) for image, record in _by_id("image", content["images"]).items()}
            objects = self._objects(content["annotations"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            what = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise UserError(f"{self._uri} is not a file of COCO instances: {what}") from error
        # As text: of LVIS's polygons alone, lists of numbers take ten times as much.
        self._objects_of = {image: json.dumps(records).encode() for image, records in objects.items()}

    def _objects(self, annotations: list[dict]) -> dict[str, list[dict]]:
        objects: dict[str, list[dict]] = defaultdict(list)
        _by_id("annotation", annotations)
        for record in annotations:
            image, category = _id(record["image_id"]), _id(record["category_id"])
            if image not in self.images:
                raise ValueError(f"annotation {record['id']} is of image {image}, which it does not list")
            if category not in self.categories:
                raise ValueError(f"annotation {record['id']} is of category {category}, which it does not list")
            kept = {name: record.get(name) for name in ("id", "segmentation", "area", "iscrowd")}
            objects[image].append(kept | {"category": category})
        return objects

    def check(self, image_ids: Iterable[str], index: Mapping[str, tuple[int, str]]) -> None:
        """Check that images are listed, and that all categories are among others, under the same names.

        Args:
            index: label and name by category id.

        Raises:
            UserError: one is not.
        """
        if absent := [image for image in image_ids if image not in self.images]:
            raise UserError(
                f"{self._uri} does not list these images of the panoptic annotations: {first_of(absent, 5)}; do the "
                "two files belong together?"
            )
        lacking = [
            f"{category} ({record.get('name')})"
            for category, record in self.categories.items()
            if category not in index or index[category][1] != str(record.get("name"))
        ]
        if lacking:
            raise UserError(
                f"{self._uri} has categories that the panoptic annotations do not have under this id and name: "
                f"{first_of(lacking, 5)}; do the two files belong together?"
            )

    def read(self, image_id: str, labels: Mapping[str, int], size: tuple[int, int]) -> TrueInstances:
        """The objects of an image.

        Args:
            labels: class by category id.
            size: height and width of the image, pixels.

        Raises:
            UserError: the image is not listed, has another size, or an object cannot be read.
        """
        image = self.images.get(image_id)
        if image is None:
            raise UserError(f"{self._uri} does not list image {image_id}")
        height, width = image.size
        if image.size != size:
            raise UserError(
                f"{self._uri} says that image {image_id} is {width}×{height}, it is {size[1]}×{size[0]}"
                + (" (was the image turned by its EXIF orientation?)" if image.size == size[::-1] else "")
            )
        records = json.loads(self._objects_of.get(image_id, b"[]"))
        masks = Masks([self._mask(record, height, width) for record in records], height, width)
        areas = [self._area(record, area) for record, area in zip(records, masks.areas.tolist(), strict=True)]
        found = np.array([labels[record["category"]] for record in records], np.int64)
        crowd = np.array([bool(flag(record["iscrowd"])) for record in records], bool)
        checked = None
        if image.negative is not None:
            checked = frozenset({*found.tolist(), *(labels[category] for category in image.negative)})
        not_exhaustive = frozenset(labels[category] for category in image.not_exhaustive)
        return TrueInstances(masks, found, np.array(areas, np.float64), crowd, checked, not_exhaustive)

    def _mask(self, record: dict, height: int, width: int) -> bytes:
        try:
            segmentation = read_segmentation(record["segmentation"], height, width)
        except ValueError as error:
            raise UserError(f"{self._uri}: annotation {record['id']} cannot be read: such objects {error}") from error
        return encode(segmentation if segmentation is not None else {"counts": [height * width]}, height, width)

    def _area(self, record: dict, area: int) -> float:
        if record["area"] is None:
            return float(area)
        try:
            return number(record["area"])
        except (TypeError, ValueError, OverflowError) as error:
            raise UserError(f"{self._uri}: the area of annotation {record['id']} is no number") from error


def _image(record: dict) -> ListedImage:
    height, width = pixels(record["height"]), pixels(record["width"])
    if height is None or width is None:
        raise ValueError(f"the size of image {record['id']} is not known")
    negative = record.get("neg_category_ids")
    name = record.get("file_name") or "/".join(str(record["coco_url"]).split("/")[-2:])
    return ListedImage(
        (height, width),
        str(name),
        None if negative is None else tuple(_id(category) for category in negative),
        tuple(_id(category) for category in record.get("not_exhaustive_category_ids") or ()),
    )


def _by_id(what: str, records: list[dict]) -> dict[str, dict]:
    """Records by their ids.

    Raises:
        ValueError: an id is there twice.
    """
    found: dict[str, dict] = {}
    for record in records:
        if (known := _id(record["id"])) in found:
            raise ValueError(f"{what} {known} is there twice")
        found[known] = record
    return found


def _id(value: Any) -> str:
    """An id as text.

    Raises:
        ValueError: it is none.
    """
    found = identifier(value)
    if found is None:
        raise ValueError(f"{value!r} is no id")
    return found
