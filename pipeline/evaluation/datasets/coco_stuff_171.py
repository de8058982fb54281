"""COCO-Stuff on COCO 2017 with 171 classes, 80 things and 91 stuff.

The label images hold the number of a category less one, 0 to 181, and 255 where nothing is labelled. `labels.txt`
names the categories 1 to 182; eleven things of them have no segmentations and are no classes.
"""

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


def open_coco_stuff_171(config: DatasetConfig) -> LabelledImages:
    """`val2017`, `stuffthingmaps/val2017` and `labels.txt`; or `images/val2017` and `annotations/val2017`, as
    COCO-Stuff's own instructions unpack them.

    Raises:
        UserError: a part is missing.
    """
    split = config.split or "val2017"
    files = Distribution(config.root, _SOURCE.format(split=split))
    images = files.folder(split, f"images/{split}")
    labels = files.folder(f"stuffthingmaps/{split}", f"stuffthingmaps_trainval2017/{split}", f"annotations/{split}")
    names = files.numbered_names("labels.txt")
    numbers = [number for number in names if number not in _WITHOUT_SEGMENTATIONS]
    image_ids = [name.removesuffix(".jpg") for name in files.names(images, ".jpg")]
    return LabelledImages(
        name=f"coco_stuff_171/{split}",
        files=files,
        classes=[(names[number],) for number in numbers],
        paths=listed_paths(files, image_ids, images, labels),
        codes=LabelCodes(
            {number - 1: index for index, number in enumerate(numbers)},
            ignored=[255, *(number - 1 for number in _WITHOUT_SEGMENTATIONS)],
        ),
    )
