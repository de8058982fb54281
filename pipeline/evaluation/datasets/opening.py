"""From the configuration to the data set that it names."""

from collections.abc import Callable

from pipeline.configuration import limits
from pipeline.errors import UserError
from pipeline.evaluation.datasets.ade20k_150 import open_ade20k_150
from pipeline.evaluation.datasets.ade20k_150_panoptic import open_ade20k_150_panoptic
from pipeline.evaluation.datasets.ade20k_847 import open_ade20k_847
from pipeline.evaluation.datasets.cityscapes import open_cityscapes
from pipeline.evaluation.datasets.coco_panoptic import open_coco_panoptic, open_micro_world
from pipeline.evaluation.datasets.coco_stuff import open_coco_object, open_coco_stuff_171
from pipeline.evaluation.datasets.config import DatasetConfig
from pipeline.evaluation.datasets.folder import open_folder
from pipeline.evaluation.datasets.imagenet_s import open_imagenet_s_919
from pipeline.evaluation.datasets.instance_images import open_coco_instances, open_lvis_v1
from pipeline.evaluation.datasets.mess import MESS_SETS, open_mess
from pipeline.evaluation.datasets.pascal_context import (
    open_pascal_context_59,
    open_pascal_context_60,
    open_pascal_context_459,
)
from pipeline.evaluation.datasets.protocol import SegmentationDataset
from pipeline.evaluation.datasets.voc import open_voc_20, open_voc_21

_KINDS: dict[str, Callable[[DatasetConfig], SegmentationDataset]] = {
    "ade20k_150": open_ade20k_150,
    "ade20k_150_panoptic": open_ade20k_150_panoptic,
    "ade20k_847": open_ade20k_847,
    "pascal_context_59": open_pascal_context_59,
    "pascal_context_60": open_pascal_context_60,
    "pascal_context_459": open_pascal_context_459,
    "voc_20": open_voc_20,
    "voc_21": open_voc_21,
    "coco_stuff_171": open_coco_stuff_171,
    "coco_object": open_coco_object,
    "coco_panoptic": open_coco_panoptic,
    "cityscapes": open_cityscapes,
    "coco_instances": open_coco_instances,
    "lvis_v1": open_lvis_v1,
    "imagenet_s_919": open_imagenet_s_919,
    "micro_world": open_micro_world,
    "folder": open_folder,
    **{f"mess_{name}": open_mess for name in MESS_SETS},
}


def open_dataset(config: DatasetConfig) -> SegmentationDataset:
    """The data set that the configuration names.

    Raises:
        UserError: the kind is not known, a number is outside its limits, a part of the distribution is missing, or
            a background is described that the data set does not have.
    """
    limits.check(config, "dataset")
    if config.kind not in _KINDS:
        raise UserError(f"dataset.kind: {config.kind} is none of {', '.join(_KINDS)}")
    dataset = _KINDS[config.kind](config)
    if dataset.background is None and (config.background is not None or config.background_threshold):
        key = "background" if config.background is not None else "background_threshold"
        raise UserError(
            f"dataset.{key}: {config.kind} has no class for the background; names that compete with its classes are "
            "segmentation.background"
        )
    return dataset
