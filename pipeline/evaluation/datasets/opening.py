"""From the configuration to the data set that it names."""

from collections.abc import Callable

from pipeline.configuration import limits
from pipeline.errors import UserError
from pipeline.evaluation.datasets.ade20k_150 import open_ade20k_150
from pipeline.evaluation.datasets.ade20k_847 import open_ade20k_847
from pipeline.evaluation.datasets.coco_panoptic import open_coco_panoptic, open_micro_world
from pipeline.evaluation.datasets.coco_stuff_171 import open_coco_stuff_171
from pipeline.evaluation.datasets.config import DatasetConfig
from pipeline.evaluation.datasets.folder import open_folder
from pipeline.evaluation.datasets.pascal_context import open_pascal_context_59, open_pascal_context_459
from pipeline.evaluation.datasets.protocol import SegmentationDataset
from pipeline.evaluation.datasets.voc_20 import open_voc_20

_KINDS: dict[str, Callable[[DatasetConfig], SegmentationDataset]] = {
    "ade20k_150": open_ade20k_150,
    "ade20k_847": open_ade20k_847,
    "pascal_context_59": open_pascal_context_59,
    "pascal_context_459": open_pascal_context_459,
    "voc_20": open_voc_20,
    "coco_stuff_171": open_coco_stuff_171,
    "coco_panoptic": open_coco_panoptic,
    "micro_world": open_micro_world,
    "folder": open_folder,
}


def open_dataset(config: DatasetConfig) -> SegmentationDataset:
    """The data set that the configuration names.

    Raises:
        UserError: the kind is not known, a number is outside its limits, or a part of the distribution is missing.
    """
    limits.check(config, "dataset")
    if config.kind not in _KINDS:
        raise UserError(f"dataset.kind: {config.kind} is none of {', '.join(_KINDS)}")
    return _KINDS[config.kind](config)
