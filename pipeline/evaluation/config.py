"""The configuration of an evaluation job."""

from dataclasses import dataclass, replace
from typing import Self

from pipeline import storage
from pipeline.configuration.paths import refuse_secrets
from pipeline.errors import UserError
from pipeline.evaluation.datasets.config import DatasetConfig
from pipeline.segmentation.job_config import RUNNING_KEYS as SEGMENTER_RUNNING_KEYS
from pipeline.segmentation.job_config import ModelJobConfig

RUNNING_KEYS = (*SEGMENTER_RUNNING_KEYS, "dataset.root")


@dataclass(kw_only=True)
class EvaluateConfig(ModelJobConfig):
    """Everything that `python -m jobs.evaluate` can be told."""

    dataset: DatasetConfig
    limit: int | None = None
    """Only the first images, by id."""
    images_per_chunk: int = 16
    """Images evaluated together: the unit of work and of resumption."""

    def resolved(self) -> Self:
        """See `ModelJobConfig.resolved`."""
        refuse_secrets("dataset.root", self.dataset.root)
        for key, value in (("limit", self.limit), ("images_per_chunk", self.images_per_chunk)):
            if value is not None and value < 1:
                raise UserError(f"{key} is {value}; it must be at least 1")
        root = storage.absolute(self.dataset.root)
        return replace(super().resolved(), dataset=replace(self.dataset, root=root))
