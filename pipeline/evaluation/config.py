"""The configuration of an evaluation job."""

from dataclasses import dataclass
from typing import Annotated

from pipeline.configuration.limits import Limit
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
