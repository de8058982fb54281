"""COCO panoptic segmentations, and the micro world, which has the same format.

A JSON lists the segments of each image with their categories; a PNG beside it has the segments' ids as colours,
R + 256·G + 256²·B, and 0 where nobody labelled anything. As semantic labels, crowds (`iscrowd`) count: all of their
pixels show their category, whoever they belong to; detectron2 and COCO's own converter to semantic labels agree.

Where every category says whether it is a thing (`isthing`), segments are evaluated too, and where COCO's instance
annotations lie beside the file, instances.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.captions.addresses import inner_name
from pipeline.errors import UserError
from pipeline.evaluation.datasets.config import DatasetConfig
from pipeline.evaluation.datasets.distribution import Distribution
from pipeline.evaluation.datasets.instance_annotations import InstanceAnnotations
from pipeline.evaluation.datasets.objects import ObjectClasses, TrueSegments
from pipeline.evaluation.datasets.protocol import IGNORE, LabelledImage, describe
from pipeline.evaluation.datasets.segment_ids import segment_indices
from pipeline.proposals.coco_values import flag, identifier, whole

_COCO = (
    "http://images.cocodataset.org/zips/{split}.zip and "
    "http://images.cocodataset.org/annotations/panoptic_annotations_trainval2017.zip, in which is another archive, "
    "annotations/panoptic_{split}.zip, to be unpacked too; AP needs annotations/instances_{split}.json of "
    "annotations_trainval2017.zip beside it (https://cocodataset.org/#download)"
)
_MICRO_WORLD = "a micro world, which python -m jobs.demo writes"


@dataclass(frozen=True)
class _Segment:
    id: int
    label: int
    crowd: bool
    area: int | None
    """As the file states it; None: it does not."""


@dataclass(frozen=True)
class _Entry:
    image: str
    segments_image: str
    segments: tuple[_Segment, ...]


class CocoPanoptic:
    """Images, a JSON file and the PNGs that belong to it."""

    background = None

    def __init__(
        self, name: str, files: Distribution, images: str, annotations: str, segments: str, instances: str | None = None
    ) -> None:
        """
        Args:
            images, annotations, segments: the directory of images, the JSON file and the directory of PNGs.
            instances: the JSON file of instance annotations, which need not be there; None: there is none.
        """
        self.name = name
        self.classes: list[tuple[str, ...]]
        self.objects: ObjectClasses | None = None
        self.files, self._images, self._segments = files, images, segments
        data = files.content(annotations)
        try:
            content = json.loads(data)
            names = _unique("image", content["images"], "file_name")
            categories = _unique("category", content["categories"], "name")
            self._labels = {category: number for number, category in enumerate(categories)}
            self.classes = [(name,) for name in categories.values()]
            things = [flag(record.get("isthing", "?")) for record in content["categories"]]
            self._entries: dict[str, _Entry] = {}
            for entry in content["annotations"]:
                image = _identifier(entry["image_id"])
                if image in self._entries:
                    raise ValueError(f"image {image} is annotated twice")
                listed = self._listed(entry["segments_info"], image)
                self._entries[image] = _Entry(inner_name(names[image]), inner_name(entry["file_name"]), listed)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(
                f"{files.uri(annotations)} is not a COCO panoptic annotation file: {type(error).__name__}: {error}"
            ) from error
        self.image_ids = sorted(self._entries)
        files.check(images, [entry.image for entry in self._entries.values()])
        files.check(segments, [entry.segments_image for entry in self._entries.values()])
        digests = {"annotations_sha256": hashlib.sha256(data).hexdigest()}
        self._instances: InstanceAnnotations | None = None
        if None not in things:  # which is what `flag` makes of a category that does not say
            of_label = {
                self._labels[_identifier(r["id"])]: bool(t) for r, t in zip(content["categories"], things, strict=True)
            }
            if instances is not None and files.exists(instances):
                self._instances = InstanceAnnotations(files, instances)
                index = {category: (label, self.classes[label][0]) for category, label in self._labels.items()}
                self._instances.check(self.image_ids, index)
                digests["instances_sha256"] = self._instances.sha256
            self.objects = ObjectClasses(
                frozenset(label for label, thing in of_label.items() if thing),
                panoptic=True,
                instances=self._instances is not None,
            )
            digests["objects"] = "panoptic and instances" if self._instances else "panoptic"
        self.identity = describe(name, self.classes, self.image_ids, **digests)

    def _listed(self, segments: list[dict], image: str) -> tuple[_Segment, ...]:
        found: dict[int, _Segment] = {}
        for segment in segments:
            known = int(segment["id"])
            if known in found:
                raise ValueError(f"segment {known} of image {image} is there twice")
            label = self._labels[_identifier(segment["category_id"])]
            found[known] = _Segment(known, label, bool(flag(segment.get("iscrowd"))), whole(segment.get("area")))
        return tuple(found.values())

    def paths_of(self, image_id: str) -> tuple[str, str]:
        """See `SegmentationDataset`."""
        entry = self._entries[image_id]
        return f"{self._images}/{entry.image}", f"{self._segments}/{entry.segments_image}"

    def read(self, image_id: str) -> LabelledImage:
        """See `SegmentationDataset`."""
        image_path, path = self.paths_of(image_id)
        segments = self._entries[image_id].segments
        ids_HW = self.files.colour_numbers(path)
        indices_HW = segment_indices(ids_HW, [segment.id for segment in segments], self.files.uri(path))
        sample = self.files.sample(image_path, indices_HW, path, as_stored=False)
        labels = np.array([IGNORE, *(segment.label for segment in segments)], np.uint16)
        found = replace(sample, labels=labels[sample.labels])
        if self.objects is None:
            return found
        areas = np.bincount(sample.labels.ravel(), minlength=len(segments) + 1)[1:]
        true_segments = TrueSegments(
            sample.labels,
            labels[1:].astype(np.int64),
            np.array([segment.crowd for segment in segments], bool),
            areas,
            np.array(
                [segment.area not in (None, area) for segment, area in zip(segments, areas.tolist(), strict=True)], bool
            ),
        )
        if self._instances is None:
            return replace(found, segments=true_segments)
        instances = self._instances.read(image_id, self._labels, found.labels.shape)
        return replace(found, segments=true_segments, instances=instances)


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
    """COCO 2017 with 133 categories: `val2017/`, `annotations/panoptic_val2017.json` and `…/panoptic_val2017/`; and
    `annotations/instances_val2017.json`, if it is there.
    """
    split = config.split or "val2017"
    files = Distribution(config.root, _COCO.format(split=split))
    annotations = f"annotations/panoptic_{split}"
    instances = f"annotations/instances_{split}.json"
    return CocoPanoptic(f"coco_panoptic/{split}", files, split, f"{annotations}.json", annotations, instances)


def open_micro_world(config: DatasetConfig) -> CocoPanoptic:
    """A micro world: `images/`, `panoptic.json`, `panoptic/` and `instances.json`."""
    files = Distribution(config.root, _MICRO_WORLD)
    return CocoPanoptic("micro_world", files, "images", "panoptic.json", "panoptic", "instances.json")


def _identifier(value: Any) -> str:
    """An id as text.

    Raises:
        ValueError: it is none.
    """
    found = identifier(value)
    if found is None:
        raise ValueError(f"{value!r} is no id")
    return found
