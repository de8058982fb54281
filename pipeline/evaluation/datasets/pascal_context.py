"""Pascal Context with 59, 60 and 459 classes, on the images of PASCAL VOC 2010.

Each label file is a MATLAB matrix `LabelMap` of the numbers in `labels.txt`. The 59 classes are named in
`59_labels.txt`, three of them otherwise than in `labels.txt`. The images of the split are those of VOC 2010's main
task: 5,105 for validation. (Lists with 5,104 leave out one.) The 60 classes are the 59 and a background, which is
everything else, as in mmsegmentation's PascalContextDataset.
"""

import io
from dataclasses import replace

import numpy as np
import scipy.io

from pipeline.errors import UserError
from pipeline.evaluation.datasets.background import background_of
from pipeline.evaluation.datasets.config import DatasetConfig
from pipeline.evaluation.datasets.distribution import Distribution
from pipeline.evaluation.datasets.label_codes import LabelCodes
from pipeline.evaluation.datasets.labelled_images import LabelledImages, listed_paths

_SITE = "https://www.cs.stanford.edu/~roozbeh/pascal-context/"
_SOURCE = (
    "VOCtrainval_03-May-2010.tar (http://host.robots.ox.ac.uk/pascal/VOC/voc2010/), the directory VOCdevkit/VOC2010 "
    f"of it, and, unpacked into the same directory, {_SITE}trainval.tar.gz with trainval and labels.txt, and "
    f"{_SITE}59_labels.txt"
)

# Names in 59_labels.txt and what labels.txt calls the same class.
_OTHER_NAMES = {"diningtable": "table", "bedcloth": "bedclothes", "clothes": "cloth"}


def open_pascal_context_459(config: DatasetConfig) -> LabelledImages:
    """All classes of `labels.txt`, in its order.

    Raises:
        UserError: a part is missing.
    """
    files = Distribution(config.root, _SOURCE)
    names = files.numbered_names("labels.txt")
    return _open(files, config, "pascal_context_459", names, ignored=[0])


def open_pascal_context_59(config: DatasetConfig) -> LabelledImages:
    """The classes of `59_labels.txt`, in its order and with the names of `labels.txt`, as published evaluations have
    them; pixels of other classes do not count.

    Raises:
        UserError: a part is missing.
    """
    files = Distribution(config.root, _SOURCE)
    return _open(files, config, "pascal_context_59", _chosen(files, files.numbered_names("labels.txt")), ignored=None)


def open_pascal_context_60(config: DatasetConfig) -> LabelledImages:
    """The background, class 0, and the classes of `pascal_context_59`.

    Raises:
        UserError: a part is missing, or the names of the background have no meaning.
    """
    files = Distribution(config.root, _SOURCE)
    names = files.numbered_names("labels.txt")
    chosen = _chosen(files, names)
    labelled = _open(files, config, "pascal_context_60", chosen, ignored=None)
    # Behind its 59 classes are all of SCLIP's names for VOC: it asks for "background" (configs/cls_context60.txt).
    background, classes = background_of(config, ["background"], 0, labelled.classes)
    codes = dict.fromkeys([0, *names], 0) | {number: index for index, number in enumerate(chosen, start=1)}
    return replace(labelled, classes=classes, background=background, codes=LabelCodes(codes, ignored=[]))


def _chosen(files: Distribution, names: dict[int, str]) -> dict[int, str]:
    """Of the numbered names those of `59_labels.txt`, in its order.

    Raises:
        UserError: one is not among them.
    """
    # Some names are written with a space in one of the files only.
    numbers = {name.replace(" ", ""): number for number, name in names.items()}
    chosen = {}
    for name in files.numbered_names("59_labels.txt").values():
        joined = name.replace(" ", "")
        number = numbers.get(joined, numbers.get(_OTHER_NAMES.get(joined, "")))
        if number is None:
            raise UserError(f"{files.uri('59_labels.txt')} names {name}, which {files.uri('labels.txt')} does not")
        chosen[number] = names[number]
    return chosen


def _open(
    files: Distribution, config: DatasetConfig, name: str, classes: dict[int, str], ignored: list[int] | None
) -> LabelledImages:
    """`classes`: names by the number in the label files, in order."""
    split = config.split or "val"
    return LabelledImages(
        name=f"{name}/{split}",
        files=files,
        classes=[(class_name,) for class_name in classes.values()],
        paths=listed_paths(files, files.lines(f"ImageSets/Main/{split}.txt"), "JPEGImages", "trainval", ".mat"),
        codes=LabelCodes({number: index for index, number in enumerate(classes)}, ignored),
        values=_label_map,
    )


def _label_map(files: Distribution, path: str) -> np.ndarray:
    """Label values uint16 [H, W] of a MATLAB file."""
    data = files.content(path)
    try:
        values = scipy.io.loadmat(io.BytesIO(data))["LabelMap"]
    except Exception as error:  # in damaged files SciPy's parser fails in many ways
        raise UserError(
            f"{files.uri(path)} is not a MATLAB file with a LabelMap ({type(error).__name__}: {error}). It is part "
            f"of {files.source}"
        ) from error
    return values.astype(np.uint16)
