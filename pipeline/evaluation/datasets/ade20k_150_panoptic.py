"""ADE20K with 150 classes, of which 100 are things whose objects are told apart: scene parsing of 2016 and instance
segmentation of 2017.

In `annotations_instance`, R is the number of a thing's class among the 100 and G that of the object in its image; 0 is
no object. Panoptic segments are made as Mask2Former's preparation makes them, which published figures go through: stuff
by the label images, and over it the objects. A segment of stuff keeps the area that it had before, and one that objects
cover wholly stays a segment, which nobody can find.
"""

from dataclasses import replace

import numpy as np

from pipeline.errors import UserError
from pipeline.escaping.enumeration import first_of
from pipeline.evaluation.datasets.ade20k_150 import open_ade20k_150
from pipeline.evaluation.datasets.config import DatasetConfig
from pipeline.evaluation.datasets.distribution import Distribution
from pipeline.evaluation.datasets.labelled_objects import LabelledObjects
from pipeline.evaluation.datasets.objects import ObjectClasses, TrueInstances, TrueSegments
from pipeline.evaluation.datasets.protocol import IGNORE, LabelledImage
from pipeline.evaluation.datasets.segment_ids import segment_indices
from pipeline.masks.masks import Masks

_INSTANCES = "http://sceneparsing.csail.mit.edu/data/ChallengeData2017/annotations_instance.tar"

THINGS = (
    8, 9, 11, 13, 15, 16, 19, 20, 21, 23, 24, 25, 28, 31, 32, 33, 34, 36, 37, 38, 39, 40, 42, 43, 44, 45, 46, 48, 50,
    51, 54, 56, 57, 58, 59, 63, 65, 66, 67, 68, 70, 71, 72, 73, 74, 75, 76, 77, 79, 81, 82, 83, 84, 86, 87, 88, 89,
    90, 91, 93, 94, 96, 98, 99, 103, 104, 105, 108, 109, 111, 112, 113, 116, 117, 119, 120, 121, 122, 124, 125, 126,
    127, 128, 130, 131, 133, 134, 135, 136, 137, 138, 139, 140, 143, 144, 145, 147, 148, 149, 150,
)  # fmt: skip
"""Of the 100 things in their order, the numbers among the 150 classes: categoryMapping.txt of
github.com/CSAILVision/placeschallenge."""


_OBJECTS = ObjectClasses(frozenset(number - 1 for number in THINGS), panoptic=True, instances=True)


def _numbers(files: Distribution, path: str) -> np.ndarray:
    """G · 256 + R, and 0 where there is no object."""
    channels_HW3 = files.colour_codes(path)
    return np.where(channels_HW3[..., 1] == 0, 0, channels_HW3[..., 1] * 256 + channels_HW3[..., 0])


def _with_objects(sample: LabelledImage, numbers_HW: np.ndarray, uri: str) -> LabelledImage:
    numbers = [number for number in np.unique(numbers_HW).tolist() if number]
    _check(numbers, uri)
    things = np.array([THINGS[number % 256 - 1] - 1 for number in numbers], np.int64)
    indices_HW = segment_indices(numbers_HW, numbers, uri)
    masks = Masks.encode(indices_HW == np.arange(1, len(numbers) + 1)[:, None, None])
    if not numbers:
        masks = Masks([], *indices_HW.shape)
    instances = TrueInstances(masks, things, masks.areas.astype(np.float64), np.zeros(len(numbers), bool))
    return replace(sample, segments=_segments(sample.labels, indices_HW, things), instances=instances)


def _segments(labels_HW: np.ndarray, objects_HW: np.ndarray, things: np.ndarray) -> TrueSegments:
    areas = np.bincount(labels_HW.ravel(), minlength=IGNORE + 1)[:IGNORE]
    stuff = np.array([label for label in np.flatnonzero(areas) if label not in _OBJECTS.things], np.int64)
    index = np.zeros(IGNORE + 1, np.int32)
    index[stuff] = np.arange(1, len(stuff) + 1)
    ids_HW = np.where(objects_HW > 0, objects_HW + len(stuff), index[labels_HW]).astype(np.int32)
    of_things = np.bincount(objects_HW.ravel(), minlength=len(things) + 1)[1:]
    no_S = np.zeros(len(stuff) + len(things), bool)
    return TrueSegments(ids_HW, np.append(stuff, things), no_S, np.append(areas[stuff], of_things), no_S)


def _check(numbers: list[int], uri: str) -> None:
    """Check numbers G·256 + R of objects.

    Raises:
        UserError: a class is none of the 100, or two objects of an image have the same number.
    """
    if unknown := sorted({number % 256 for number in numbers if not 1 <= number % 256 <= len(THINGS)}):
        raise UserError(f"{uri} holds objects of classes outside 1 to {len(THINGS)}: {first_of(unknown, 5)}")
    objects = [number // 256 for number in numbers]
    if twice := sorted({number for number in objects if objects.count(number) > 1}):
        raise UserError(f"{uri} holds objects that are of two classes: {first_of(twice, 5)}")


def open_ade20k_150_panoptic(config: DatasetConfig) -> LabelledObjects:
    """What `ade20k_150` has, and `annotations_instance/validation`.

    Raises:
        UserError: a part is missing or malformed.
    """
    labelled = open_ade20k_150(config)
    split = config.split or "validation"
    files = Distribution(config.root, f"{_INSTANCES}, unpacked into the directory ADEChallengeData2016")
    files.check(f"annotations_instance/{split}", [f"{image_id}.png" for image_id in labelled.image_ids])
    return LabelledObjects(
        replace(labelled, name=f"ade20k_150_panoptic/{split}"),
        _OBJECTS,
        ("annotations/", "annotations_instance/"),
        _numbers,
        _with_objects,
    )
