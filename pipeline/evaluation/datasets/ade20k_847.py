"""ADE20K with 847 classes: the full version of 2021.

The label image beside each image, `NAME_seg.png`, codes the object in two channels: ⌊R / 10⌋ · 256 + G is its number in
the index's `objectnames`, counted from 1; 0: not annotated. Objects that are not among the 847 do not count.

Images and labels are evaluated at their own size. MaskFormer's preparation, which published figures go through, scales
both to a short side of 512 pixels where it is longer (labels by nearest neighbour), so that scores differ slightly.
"""

import numpy as np

from pipeline import storage
from pipeline.captions.addresses import inner_name
from pipeline.errors import UserError
from pipeline.evaluation.datasets.ade20k_847_objects import OBJECTS
from pipeline.evaluation.datasets.config import DatasetConfig
from pipeline.evaluation.datasets.distribution import Distribution
from pipeline.evaluation.datasets.label_codes import LabelCodes
from pipeline.evaluation.datasets.labelled_images import LabelledImages
from pipeline.evaluation.datasets.protocol import synonyms
from pipeline.weights.pickles import load_pickle

_SOURCE = (
    "ADE20K_2021_17_01.zip, the directory ADE20K_2021_17_01 of it; the download is given on request at "
    "https://ade20k.csail.mit.edu/request_data/"
)
_INDEX = "index_ade20k.pkl"

_SPLITS = {"validation": "val", "training": "train"}
"""What the names of the images say, by split."""

# What a pickle of lists, text and NumPy arrays calls. Everything else is refused: a pickle can call any function.


def open_ade20k_847(config: DatasetConfig) -> LabelledImages:
    """`index_ade20k.pkl` and the images below `images/ADE/validation`.

    The index is a file of 780 MB that is read whole; pass the opened data set to workers rather than its
    configuration.

    Raises:
        UserError: a part is missing, or the index is not the distribution's.
    """
    split = config.split or "validation"
    if split not in _SPLITS:
        raise UserError(f"dataset.split: ade20k_847 has {' and '.join(_SPLITS)}, not {split}")
    files = Distribution(config.root, _SOURCE)
    index = _read_index(files)
    uri = files.uri(_INDEX)
    try:
        names = [str(name) for name in index["objectnames"]]
        classes = [synonyms(names[number - 1]) for number in OBJECTS]
        paths = {}
        for folder, name in zip(index["folder"], index["filename"], strict=True):
            if str(name).split("_")[1] == _SPLITS[split]:
                # The folder begins with the name of the root.
                stem = inner_name(f"{str(folder).partition('/')[2].rstrip('/')}/{str(name).removesuffix('.jpg')}")
                paths[str(name).removesuffix(".jpg")] = (f"{stem}.jpg", f"{stem}_seg.png")
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UserError(
            f"{uri} is not the index of ADE20K_2021_17_01 ({type(error).__name__}: {error}). It is part of {_SOURCE}"
        ) from error
    if not paths:
        raise UserError(f"{uri} lists no image named ADE_{_SPLITS[split]}_…. It is part of {_SOURCE}")
    files.folder(f"images/ADE/{split}")
    codes = LabelCodes({number: index for index, number in enumerate(OBJECTS)}, ignored=None)
    return LabelledImages(f"ade20k_847/{split}", files, classes, paths, codes, _object_numbers)


def _object_numbers(files: Distribution, path: str) -> np.ndarray:
    channels_HW3 = files.colour_codes(path)
    return channels_HW3[..., 0] // 10 * 256 + channels_HW3[..., 1]


def _read_index(files: Distribution) -> dict:
    uri = files.uri(_INDEX)
    try:
        with storage.open_input(uri, read_ahead=True) as file:
            index = load_pickle(file)
    except FileNotFoundError as error:
        raise files.missing(_INDEX) from error
    except OSError:
        raise
    except Exception as error:  # in a file that is no pickle the unpickler fails in many ways
        raise UserError(
            f"{uri} is not a pickle of lists, text and arrays ({error}). It is part of {_SOURCE}"
        ) from error
    if not isinstance(index, dict):
        raise UserError(f"{uri} holds a {type(index).__name__}, not the index of ADE20K. It is part of {_SOURCE}")
    return index
