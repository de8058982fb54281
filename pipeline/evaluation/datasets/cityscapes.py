"""Cityscapes with its 19 classes, eight of them things.

`…_gtFine_labelIds.png` has the number of a class for each pixel, `…_gtFine_instanceIds.png` 1000 times that number plus
the object's where an object is told from others, and the number alone where it is not: stuff, and groups of things,
which are crowds. Numbers that are no class of the evaluation do not count, nor does that of licence plates, −1, which
files have as 255 and 65535. (`trainId`s are the indices of the classes here; no file of them is needed.)
"""

from dataclasses import replace

import numpy as np

from pipeline.evaluation.datasets.config import DatasetConfig
from pipeline.evaluation.datasets.distribution import Distribution
from pipeline.evaluation.datasets.label_codes import LabelCodes
from pipeline.evaluation.datasets.labelled_images import LabelledImages
from pipeline.evaluation.datasets.labelled_objects import LabelledObjects
from pipeline.evaluation.datasets.objects import ObjectClasses, TrueSegments
from pipeline.evaluation.datasets.protocol import IGNORE, LabelledImage
from pipeline.evaluation.datasets.segment_ids import segment_indices

_SOURCE = "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, unpacked (https://www.cityscapes-dataset.com)"

CLASSES = {
    7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic light",
    20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car", 27: "truck",
    28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle",
}  # fmt: skip
"""The evaluated classes by their numbers: helpers/labels.py of github.com/mcordts/cityscapesScripts."""
_THINGS = (24, 25, 26, 27, 28, 31, 32, 33)
_OTHERS = (0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30, 255, 65535)


_CODES = LabelCodes({number: index for index, number in enumerate(CLASSES)}, ignored=_OTHERS)
_OBJECTS = ObjectClasses(
    frozenset(index for index, number in enumerate(CLASSES) if number in _THINGS), panoptic=True, instances=False
)


def _numbers(files: Distribution, path: str) -> np.ndarray:
    return files.label_image(path).astype(np.int32)


def _with_objects(sample: LabelledImage, numbers_HW: np.ndarray, uri: str) -> LabelledImage:
    numbers = np.unique(numbers_HW)
    told = (numbers >= 1000) & (numbers != 65535)
    labels = _CODES.classes(np.where(told, numbers // 1000, numbers), uri).astype(np.int64)
    counted = labels != IGNORE
    listed, labels, told, void = numbers[counted], labels[counted], told[counted], numbers[~counted]
    ids_HW = segment_indices(np.where(np.isin(numbers_HW, void), 0, numbers_HW), listed.tolist(), uri)
    crowd = ~told & np.isin(labels, list(_OBJECTS.things))
    areas = np.bincount(ids_HW.ravel(), minlength=len(listed) + 1)[1:]
    return replace(sample, segments=TrueSegments(ids_HW, labels, crowd, areas, np.zeros(len(listed), bool)))


def open_cityscapes(config: DatasetConfig) -> LabelledObjects:
    """`leftImg8bit/val/CITY/…_leftImg8bit.png` and `gtFine/val/CITY/…`.

    Raises:
        UserError: a part is missing.
    """
    split = config.split or "val"
    files = Distribution(config.root, _SOURCE)
    paths: dict[str, tuple[str, str]] = {}
    truth = files.folder(f"gtFine/{split}")
    for city in (name for name in files.names(truth, "") if "." not in name):
        names = files.names(f"{truth}/{city}", "_gtfine_labelids.png")
        stems = [name[: -len("_gtFine_labelIds.png")] for name in names]
        files.check(f"leftImg8bit/{split}/{city}", [f"{stem}_leftImg8bit.png" for stem in stems])
        files.check(f"{truth}/{city}", [f"{stem}_gtFine_instanceIds.png" for stem in stems])
        paths |= {
            stem: (f"leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png", f"{truth}/{city}/{name}")
            for stem, name in zip(stems, names, strict=True)
        }
    labelled = LabelledImages(
        name=f"cityscapes/{split}",
        files=files,
        classes=[(name,) for name in CLASSES.values()],
        paths=paths,
        codes=_CODES,
    )
    return LabelledObjects(labelled, _OBJECTS, ("_labelIds.png", "_instanceIds.png"), _numbers, _with_objects)
