"""COCO panoptic segmentations as semantic labels, and the micro world, which has the same format.

A JSON lists the segments of each image with their categories; a PNG beside it has the segments' ids as colours,
R + 256·G + 256²·B, and 0 where nobody labelled anything. Crowds (`iscrowd`) count: all of their pixels show their
category, whoever they belong to; detectron2 and COCO's own converter to semantic labels agree.
"""

import hashlib
import json
from typing import Any

import numpy as np

from pipeline.captions.addresses import inner_name
from pipeline.errors import UserError
from pipeline.evaluation.datasets.config import DatasetConfig
from pipeline.evaluation.datasets.distribution import Distribution
from pipeline.evaluation.datasets.protocol import IGNORE, LabelledImage, describe
from pipeline.proposals.coco_values import identifier

_COCO = (
    "http://images.cocodataset.org/zips/{split}.zip and "
    "http://images.cocodataset.org/annotations/panoptic_annotations_trainval2017.zip, in which is another archive, "
    "annotations/panoptic_{split}.zip, to be unpacked too (https://cocodataset.org/#download)"
)
_MICRO_WORLD = "a micro world, which python -m jobs.demo writes"


class CocoPanoptic:
    """Images, a JSON file and the PNGs that belong to it."""

    def __init__(self, name: str, files: Distribution, images: str, annotations: str, segments: str) -> None:
        """
        Args:
            images, annotations, segments: the directory of images, the JSON file and the directory of PNGs.
        """
        self.name = name
        self.classes: list[tuple[str, ...]]
        self.files, self._images, self._segments = files, images, segments
        data = files.content(annotations)
        try:
            content = json.loads(data)
            names = _unique("image", content["images"], "file_name")
            categories = _unique("category", content["categories"], "name")
            index = {category: number for number, category in enumerate(categories)}
            self.classes = [(name,) for name in categories.values()]
            # By image id: the names of the image and of the PNG, and the class of each segment.
            self._entries: dict[str, tuple[str, str, dict[int, int]]] = {
                _identifier(entry["image_id"]): (
                    inner_name(names[_identifier(entry["image_id"])]),
                    inner_name(entry["file_name"]),
                    {
                        int(segment["id"]): index[_identifier(segment["category_id"])]
                        for segment in entry["segments_info"]
                    },
                )
                for entry in content["annotations"]
            }
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(
                f"{files.uri(annotations)} is not a COCO panoptic annotation file: {type(error).__name__}: {error}"
            ) from error
        self.image_ids = sorted(self._entries)
        files.check(images, [entry[0] for entry in self._entries.values()])
        files.check(segments, [entry[1] for entry in self._entries.values()])
        self.identity = describe(
            name, self.classes, self.image_ids, annotations_sha256=hashlib.sha256(data).hexdigest()
        )

    def paths_of(self, image_id: str) -> tuple[str, str]:
        """See `SegmentationDataset`."""
        image_name, segments_name, _ = self._entries[image_id]
        return f"{self._images}/{image_name}", f"{self._segments}/{segments_name}"

    def read(self, image_id: str) -> LabelledImage:
        """See `SegmentationDataset`."""
        image_name, segments_name, classes = self._entries[image_id]
        path = f"{self._segments}/{segments_name}"
        ids_HW = self.files.colour_codes(path) @ np.array([1, 256, 65536], np.int32)
        labels_HW = np.full(ids_HW.shape, IGNORE, np.uint16)
        for value in np.unique(ids_HW).tolist():
            if value in classes:
                labels_HW[ids_HW == value] = classes[value]
            elif value:
                raise UserError(f"{self.files.uri(path)} holds segment {value}, which the JSON does not list")
        return self.files.sample(f"{self._images}/{image_name}", labels_HW, path, as_stored=False)


def _unique(what: str, records: list[dict], key: str) -> dict[str, str]:
    """A text of each record by its id.

    Raises:
        ValueError: an id has two texts.
    """
    found: dict[str, str] = {}
    for record in records:
        text = str(record[key])
        other = found.setdefault(_identifier(record["id"]), text)
        if other != text:
            raise ValueError(f"{what} {record['id']} is both {other!r} and {text!r}")
    return found


def open_coco_panoptic(config: DatasetConfig) -> CocoPanoptic:
    """COCO 2017 with 133 categories: `val2017/`, `annotations/panoptic_val2017.json` and `…/panoptic_val2017/`."""
    split = config.split or "val2017"
    files = Distribution(config.root, _COCO.format(split=split))
    annotations = f"annotations/panoptic_{split}"
    return CocoPanoptic(f"coco_panoptic/{split}", files, split, f"{annotations}.json", annotations)


def open_micro_world(config: DatasetConfig) -> CocoPanoptic:
    """A micro world: `images/`, `panoptic.json` and `panoptic/`."""
    return CocoPanoptic("micro_world", Distribution(config.root, _MICRO_WORLD), "images", "panoptic.json", "panoptic")


def _identifier(value: Any) -> str:
    """An id as text.

    Raises:
        ValueError: it is none.
    """
    found = identifier(value)
    if found is None:
        raise ValueError(f"{value!r} is no id")
    return found
