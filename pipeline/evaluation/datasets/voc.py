"""PASCAL VOC 2012 with its 20 object classes, without the background ("PAS-20") or with it ("VOC-21").

The label images have a palette; their indices are 0 for background, 1 to 20 for the classes in the order of the
alphabet, and 255 for the borders of objects and for what is hard to tell.
"""

from dataclasses import replace

from pipeline.errors import UserError
from pipeline.evaluation.datasets.background import BEHIND_OBJECTS, background_of
from pipeline.evaluation.datasets.config import DatasetConfig
from pipeline.evaluation.datasets.distribution import Distribution
from pipeline.evaluation.datasets.label_codes import LabelCodes
from pipeline.evaluation.datasets.labelled_images import LabelledImages, listed_paths

_SOURCE = "VOCtrainval_11-May-2012.tar, the directory VOCdevkit/VOC2012 of it (http://host.robots.ox.ac.uk/pascal/VOC/voc2012/)"


def open_voc_20(config: DatasetConfig) -> LabelledImages:
    """`JPEGImages`, `SegmentationClass` and `ImageSets`; pixels of the background do not count.

    Raises:
        UserError: a part is missing.
    """
    codes = LabelCodes({index + 1: index for index in range(20)}, ignored=[0, 255])
    return _open(config, "voc_20", codes)


def open_voc_21(config: DatasetConfig) -> LabelledImages:
    """The same files; the background is class 0.

    Raises:
        UserError: a part is missing, or the names of the background have no meaning.
    """
    labelled = _open(config, "voc_21", LabelCodes({index: index for index in range(21)}, ignored=[255]))
    background, classes = background_of(config, BEHIND_OBJECTS, 0, labelled.classes)
    return replace(labelled, classes=classes, background=background)


def _open(config: DatasetConfig, name: str, codes: LabelCodes) -> LabelledImages:
    split = config.split or "val"
    files = Distribution(config.root, _SOURCE)
    image_ids = files.lines(f"ImageSets/Segmentation/{split}.txt")
    # The class names stand in no file of their own; the main task has lists of images for each class.
    lists = "ImageSets/Main"
    names = [file.removesuffix("_val.txt") for file in files.names(lists, "_val.txt")]
    if len(names) != 20:
        raise UserError(
            f"{files.uri(lists)} must hold the file CLASS_val.txt of 20 classes, it has {len(names)}. "
            f"It is part of {_SOURCE}"
        )
    return LabelledImages(
        name=f"{name}/{split}",
        files=files,
        classes=[(class_name,) for class_name in names],
        paths=listed_paths(files, image_ids, "JPEGImages", "SegmentationClass"),
        codes=codes,
    )
