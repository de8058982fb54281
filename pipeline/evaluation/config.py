"""The configuration of an evaluation job."""

from dataclasses import dataclass
from typing import Annotated

from pipeline.configuration.limits import Limit
from pipeline.configuration.markers import AbsentMeans
from pipeline.evaluation.datasets.config import DatasetConfig
from pipeline.segmentation.job_config import ModelJobConfig


@dataclass(kw_only=True)
class EvaluateConfig(ModelJobConfig):
    """Everything that `python -m jobs.evaluate` can be told."""

    dataset: DatasetConfig
    limit: Annotated[int, Limit(ge=1)] | None = None
    """Only this many images, the first ones by id."""
    images_per_chunk: Annotated[int, Limit(ge=1)] = 16
    """Images evaluated together: the unit of work and of resumption."""
    true_boxes: Annotated[bool, AbsentMeans(False)] = False
    """Data sets of instances, such as `lvis_v1` and `coco_instances`: CLIP also names every true object in its box,
    with all that the box shows, besides masked. As many regions more as there are objects."""
