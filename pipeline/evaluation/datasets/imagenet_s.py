"""ImageNet-S with 919 classes: ImageNet's validation images with the pixels of their object (arXiv 2106.03149).

A label image is an RGB PNG; R + 256 · G is the number of a class from 1 on, in the order of WordNet ids, 0 what is
nothing of them, and 1000 what does not count. The official evaluator (github.com/LUSSeg/ImageNet-S, evaluation/) takes
0 as a class, the mean is over 920; so it is here, as background.
"""

import posixpath

import numpy as np

from pipeline import storage
from pipeline.clip.imagenet_names import imagenet_names
from pipeline.errors import UserError
from pipeline.escaping.enumeration import first_of
from pipeline.evaluation.datasets.background import BEHIND_OBJECTS, background_of
from pipeline.evaluation.datasets.config import DatasetConfig
from pipeline.evaluation.datasets.distribution import Distribution
from pipeline.evaluation.datasets.label_codes import LabelCodes
from pipeline.evaluation.datasets.labelled_images import LabelledImages

_SOURCE = (
    "ImageNet-S (https://github.com/LUSSeg/ImageNet-S), the directory ImageNetS919: its datapreparation_val.py takes "
    "the images from ImageNet's validation set, its datapreparation_anno.sh fetches the labels"
)

_WITHOUT = """
    n02699494 n02776631 n02777292 n02788148 n02791270 n02807133 n02825657 n02837789 n02871525 n02877765 n02894605
    n02927161 n02966193 n02974003 n02977058 n02988304 n03000247 n03032252 n03042490 n03065424 n03085013 n03089624
    n03160309 n03180011 n03208938 n03216828 n03218198 n03220513 n03290653 n03388043 n03457902 n03459775 n03461385
    n03529860 n03637318 n03642806 n03661043 n03697007 n03710637 n03710721 n03733281 n03871628 n03887697 n03899768
    n03967562 n04008634 n04081281 n04111531 n04152593 n04200800 n04239074 n04251144 n04264628 n04296562 n04356056
    n04357314 n04372370 n04392985 n04443257 n04462240 n04493381 n04501370 n04523525 n04592741 n04599235 n06359193
    n06785654 n07248320 n07590611 n07836838 n07892512 n07920052 n09193705 n09288635 n09332890 n09399592 n09421951
    n09428293 n09468604 n09472597 n10148035
"""
"""ImageNet's classes that are none here, left out or merged into others: those that
data/categories/ImageNetS_categories_im919.txt of ImageNet-S does not list."""


def open_imagenet_s_919(config: DatasetConfig) -> LabelledImages:
    """`validation/n01440764/….JPEG` and `validation-segmentation/n01440764/….png`.

    Raises:
        UserError: images or labels are missing, or are of folders that are no class.
    """
    split = config.split or "validation"
    files = Distribution(config.root, _SOURCE)
    names = {wordnet_id: name for wordnet_id, name in imagenet_names().items() if wordnet_id not in _WITHOUT}
    images, labels = _by_id(files, split, ".jpeg"), _by_id(files, f"{split}-segmentation", ".png")
    if strange := sorted({posixpath.dirname(image_id) for image_id in labels} - names.keys()):
        raise UserError(
            f"dataset.root: {files.uri(f'{split}-segmentation')} has folders that are none of the {len(names)} "
            f"classes: {first_of(strange, 3)}; is it of {files.source}?"
        )
    for folder, there, wanted in ((split, images, labels), (f"{split}-segmentation", labels, images)):
        if absent := sorted(wanted.keys() - there.keys()):
            more = f" with {len(absent) - 1} others" if len(absent) > 1 else ""
            raise files.missing(f"{folder}/{absent[0]}{'.JPEG' if wanted is labels else '.png'}", more)
    background, classes = background_of(config, BEHIND_OBJECTS, 0, [(name,) for name in names.values()])
    return LabelledImages(
        name=f"imagenet_s_919/{split}",
        files=files,
        classes=classes,
        paths={image_id: (path, labels[image_id]) for image_id, path in images.items()},
        codes=LabelCodes({number: number for number in range(len(classes))}, ignored=[1000]),
        values=_numbers,
        background=background,
    )


def _by_id(files: Distribution, folder: str, suffix: str) -> dict[str, str]:
    """The paths of files like `n01440764/ILSVRC2012_val_00000293` and a suffix, by these beginnings."""
    found = {
        name[: -len(suffix)]: posixpath.join(folder, name)
        for name in storage.list_tree(files.uri(folder))
        if name.lower().endswith(suffix) and not posixpath.basename(name).startswith(".")
    }
    if not found:
        raise files.missing(f"{folder}/n…/*{suffix}")
    return found


def _numbers(files: Distribution, path: str) -> np.ndarray:
    channels_HW3 = files.colour_codes(path)
    return channels_HW3[..., 0] + 256 * channels_HW3[..., 1]
