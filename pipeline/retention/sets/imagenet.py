"""ImageNet's validation set (ILSVRC 2012), with the class names and templates of OpenAI's CLIP, as open_clip has them.

Either a folder for each WordNet id, as most keep it, or the 50,000 files of `ILSVRC2012_img_val.tar` as they are, whose
classes are in the development kit. All 1,000 classes are candidates, whichever of them have images.
"""

import io
import re

import numpy as np
import scipy.io

from pipeline.clip.imagenet_names import imagenet_names
from pipeline.errors import UserError
from pipeline.escaping.enumeration import first_of
from pipeline.retention.config import ImageSetConfig
from pipeline.retention.sets.class_folders import from_folders
from pipeline.retention.sets.distribution import Distribution
from pipeline.retention.sets.image_set import ClassifiedImages, File, Files
from pipeline.storage.in_threads import in_threads

_SOURCE = (
    "ILSVRC2012_img_val.tar and, unpacked beside it, ILSVRC2012_devkit_t12.tar.gz (https://image-net.org/download.php)"
)
_WORDNET_ID = re.compile(r"n[0-9]{8}")
_VALIDATION_FILE = re.compile(r"ILSVRC2012_val_([0-9]{8})\.JPEG")
_KIT = "ILSVRC2012_devkit_t12/data"
_TEMPLATES = "imagenet"


def open_imagenet(config: ImageSetConfig, key: str) -> ClassifiedImages:
    """The images in `root`, or in the folder of it that is called as the split (`val`).

    Raises:
        UserError: there are none, a folder is no class, or the development kit is missing where it is needed.
    """
    split = config.split or "val"
    files = Distribution(config.root, _SOURCE, key)
    names = imagenet_names()
    for above in (split, f"ILSVRC/Data/CLS-LOC/{split}", ""):
        folders = [name for name in files.folders(above) if _WORDNET_ID.fullmatch(name)]
        if folders:
            if strange := sorted(set(folders) - names.keys()):
                raise UserError(
                    f"{key}.root: {files.uri(above) if above else files.root} has folders that are none of the 1,000 "
                    f"classes: {first_of(strange, 3)}; for other classes, use kind class_folders"
                )
            paths = [f"{above}/{folder}" if above else folder for folder in folders]
            images = dict(zip(folders, in_threads(files.images, paths), strict=True))
            return from_folders(f"imagenet/{split}", files, above, names, images, _TEMPLATES, may_repeat=True)
        found = [name for name in files.images(above) if _VALIDATION_FILE.fullmatch(name)]
        if found:
            return _flat(files, above, found, names, split)
    raise files.missing(f"folders such as n01440764, and no files such as ILSVRC2012_val_00000001.JPEG, in {split}")


def _flat(files: Distribution, above: str, found: list[str], names: dict[str, str], split: str) -> ClassifiedImages:
    """The files of the archive, named by their number; line n of the development kit's list is the class of file n."""
    truth_path = f"{_KIT}/ILSVRC2012_validation_ground_truth.txt"
    wordnet_ids = list(names)
    try:
        # ImageNet's own number of each class, which is not its place in the order of WordNet ids.
        label_of = {number: wordnet_ids.index(name) for number, name in _numbers(files).items() if number <= 1000}
        truth = [label_of[int(line)] for line in files.lines(truth_path)]
        numbers = [int(found_name[1]) for name in found if (found_name := _VALIDATION_FILE.fullmatch(name))]
        labels = np.array([truth[number - 1] for number in numbers], np.int64)
    except (KeyError, IndexError, ValueError) as error:
        raise files.malformed(_KIT, f"does not give each image a class ({type(error).__name__}: {error})") from error
    return ClassifiedImages(
        name=f"imagenet/{split}",
        image_ids=found,
        pictures=Files([File(files.uri(f"{above}/{name}" if above else name)) for name in found]),
        notes=(),
        labels=labels,
        classes=list(names.values()),
        templates=_TEMPLATES,
    )


def _numbers(files: Distribution) -> dict[int, str]:
    """The WordNet id of each of ImageNet's own numbers."""
    path = f"{_KIT}/meta.mat"
    content = files.content(path)
    try:
        rows = scipy.io.loadmat(io.BytesIO(content), squeeze_me=True)["synsets"]
        return {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in rows}
    except Exception as error:  # of a file that is no such matrix scipy raises many kinds
        raise files.malformed(path, f"is not the table of classes ({type(error).__name__}: {error})") from error
