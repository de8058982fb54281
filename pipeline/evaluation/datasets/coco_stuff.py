"""COCO-Stuff on COCO 2017 with 171 classes, 80 things and 91 stuff; and with the things and a background (COCO-Object).

The label images hold the number of a category less one, 0 to 181, and 255 where nothing is labelled. `labels.txt`
names the categories 1 to 182; eleven things of them have no segmentations and are no classes.
"""

from dataclasses import replace

from pipeline.evaluation.datasets.background import BEHIND_OBJECTS, background_of
from pipeline.evaluation.datasets.config import DatasetConfig
from pipeline.evaluation.datasets.distribution import Distribution
from pipeline.evaluation.datasets.label_codes import LabelCodes
from pipeline.evaluation.datasets.labelled_images import LabelledImages, listed_paths

_SOURCE = (
    "http://images.cocodataset.org/zips/{split}.zip, "
    "http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset/stuffthingmaps_trainval2017.zip, unpacked "
    "into the directory stuffthingmaps, and labels.txt of https://github.com/nightrome/cocostuff"
)

_WITHOUT_SEGMENTATIONS = (
    12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91,
)  # fmt: skip
"""Street sign, hat, shoe, eye glasses, plate, mirror, window, desk, door, blender, hair brush: README of COCO-Stuff."""
_LAST_THING = 91


def open_coco_stuff_171(config: DatasetConfig) -> LabelledImages:
    """`val2017`, `stuffthingmaps/val2017` and `labels.txt`; or `images/val2017` and `annotations/val2017`, as
    COCO-Stuff's own instructions unpack them.

    Raises:
        UserError: a part is missing.
    """
    return _open(config, "coco_stuff_171", with_stuff=True)


def open_coco_object(config: DatasetConfig) -> LabelledImages:
    """The same files; class 0 is the background: stuff, and what is not labelled.

    GroupViT's rule (arXiv 2202.11094; convert_dataset/convert_coco_object.py of github.com/NVlabs/GroupViT), which TCL
    and SCLIP have taken over. Where objects overlap, COCO-Stuff has decided.

    Raises:
        UserError: a part is missing, or the names of the background have no meaning.
    """
    labelled = _open(config, "coco_object", with_stuff=False)
    background, classes = background_of(config, BEHIND_OBJECTS, 0, labelled.classes)
    return replace(labelled, classes=classes, background=background)


def _open(config: DatasetConfig, name: str, *, with_stuff: bool) -> LabelledImages:
    """With stuff all categories are classes; without it, things are, from class 1 on, and class 0 is all else."""
    split = config.split or "val2017"
    files = Distribution(config.root, _SOURCE.format(split=split))
    images = files.folder(split, f"images/{split}")
    labels = files.folder(f"stuffthingmaps/{split}", f"stuffthingmaps_trainval2017/{split}", f"annotations/{split}")
    names = files.numbered_names("labels.txt")
    numbers = [number for number in names if number not in _WITHOUT_SEGMENTATIONS]
    ignored = [number - 1 for number in _WITHOUT_SEGMENTATIONS]
    codes: dict[int, int] = {}
    if with_stuff:
        ignored.append(255)
    else:
        codes = dict.fromkeys([*(number - 1 for number in numbers), 255], 0)
        numbers = [number for number in numbers if number <= _LAST_THING]
    codes |= {number - 1: index for index, number in enumerate(numbers, start=0 if with_stuff else 1)}
    image_ids = [file.removesuffix(".jpg") for file in files.names(images, ".jpg")]
    return LabelledImages(
        name=f"{name}/{split}",
        files=files,
        classes=[(names[number],) for number in numbers],
        paths=listed_paths(files, image_ids, images, labels),
        codes=LabelCodes(codes, ignored),
    )
