"""What `dataset.…` in a job's configuration can say."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pipeline.configuration.limits import Limit
from pipeline.configuration.markers import LocalPath, Running

Kind = Literal[
    "ade20k_150", "ade20k_847", "pascal_context_59", "pascal_context_459", "voc_20", "coco_stuff_171", "coco_panoptic",
    "micro_world", "folder",
]  # fmt: skip


@dataclass
class DatasetConfig:
    """Images with a class for every pixel."""

    kind: Kind
    """Which distribution `root` holds; `folder`: your own images and label images."""
    root: Annotated[str, Running, LocalPath.ANY]
    """Directory of the unpacked distribution, any fsspec URI: ADEChallengeData2016, ADE20K_2021_17_01,
    VOCdevkit/VOC2010, VOCdevkit/VOC2012, the directory that holds COCO's val2017 and annotations, or a micro world."""
    split: str | None = None
    """The part to evaluate, as the distribution calls it (`validation` or `training` in ADE20K, `val` or `train` in
    PASCAL, `val2017` or `train2017` in COCO). Empty: the validation part. `micro_world` and `folder` have none."""
    images: str = "images"
    """`folder`: directory of the images, below `root` or an address of its own."""
    labels: str = "labels"
    """`folder`: directory of the label images (PNG or TIFF, one channel of 1 to 16 bits), named like the images.
    Images without one are left out."""
    classes: str = "classes.txt"
    """`folder`: text file with one class a line, in the order of their label values; synonyms are separated by
    commas."""
    ignore: Annotated[int, Limit(ge=0, le=65_535)] | None = None
    """`folder`: label value of pixels that do not count. Empty: 255 in label images of at most 8 bits, else
    65535."""
    first_label: Annotated[int, Limit(ge=0, le=65_535)] = 0
    """`folder`: label value of the first class."""
