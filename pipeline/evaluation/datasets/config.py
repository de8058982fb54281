"""What `dataset.…` in a job's configuration can say."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pipeline.configuration.limits import Limit
from pipeline.configuration.markers import AbsentMeans, LocalPath, Running

Kind = Literal[
    "ade20k_150", "ade20k_150_panoptic", "ade20k_847", "pascal_context_59", "pascal_context_60", "pascal_context_459",
    "voc_20", "voc_21", "coco_stuff_171", "coco_object", "coco_panoptic", "coco_instances", "cityscapes", "lvis_v1",
    "imagenet_s_919", "micro_world", "folder",
    "mess_bdd100k", "mess_dark_zurich", "mess_mhp_v1", "mess_foodseg103", "mess_atlantis", "mess_dram", "mess_isaid",
    "mess_isprs_potsdam", "mess_worldfloods", "mess_floodnet", "mess_uavid", "mess_kvasir_instrument",
    "mess_chase_db1", "mess_cryonuseg", "mess_paxray_lungs", "mess_paxray_bones", "mess_paxray_mediastinum",
    "mess_paxray_diaphragm", "mess_corrosion_cs", "mess_deepcrack", "mess_pst900", "mess_zerowaste", "mess_suim",
    "mess_cub_200", "mess_cwfid",
]  # fmt: skip


@dataclass
class DatasetConfig:
    """Images with a class for every pixel."""

    kind: Kind
    """Which distribution `root` holds; `folder`: your own images and label images. Measured are mIoU; with
    `cityscapes` also PQ; with `ade20k_150_panoptic` and `coco_panoptic` PQ and AP; with `coco_instances` and `lvis_v1`
    AP alone; with `mess_…` mIoU by the older formula. With all of them, how often CLIP names true regions rightly."""
    root: Annotated[str, Running, LocalPath.ANY]
    """Directory of the unpacked distribution, any fsspec URI: ADEChallengeData2016, ADE20K_2021_17_01,
    VOCdevkit/VOC2010, VOCdevkit/VOC2012, the directory that holds COCO's val2017 and annotations, that with Cityscapes'
    leftImg8bit and gtFine, that with lvis_v1_val.json and COCO's images, ImageNetS919 with its validation images, the
    directory that MESS's preparation fills with one directory for each of its sets, or a micro world."""
    split: str | None = None
    """The part to evaluate, as the distribution calls it (`validation` or `training` in ADE20K, `val` or `train` in
    PASCAL, `val2017` or `train2017` in COCO; of MESS `test_rgb` where the benchmark takes other bands). Empty: the
    validation part, in MESS the evaluated one. `micro_world` and `folder` have none."""
    background: Annotated[list[str] | None, AbsentMeans(None)] = None
    """Data sets whose background is a class (`voc_21`, `pascal_context_60`, `coco_object`, `imagenet_s_919`, most of
    MESS): the names that CLIP is asked for it by. Empty: those that are usual for the data set."""
    background_threshold: Annotated[float, Limit(ge=0, lt=1), AbsentMeans(0.0)] = 0.0
    """The same data sets: regions of which no class has this probability are background. SCLIP and its successors use
    0.1 to 0.5, for pixels."""
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
