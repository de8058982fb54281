"""The configuration of a segmentation job, and what those of other jobs that segment images have in common."""

from dataclasses import dataclass, field, replace
from typing import Self

from pipeline.clip.config import ClipConfig
from pipeline.configuration.paths import absolute_model, absolute_output, refuse_secrets
from pipeline.errors import UserError
from pipeline.proposals.backends import resolve_proposals
from pipeline.proposals.config import ProposalsConfig
from pipeline.regions.config import RegionsConfig
from pipeline.segmentation.config import SegmentationConfig

# They may differ between two runs into one directory: where and how fast the job runs, not what it writes.
RUNNING_KEYS = ("output", "workers", "wait_minutes", "gpus", "clip.batch_size", "clip.threads", "proposals.batch_size")


@dataclass(kw_only=True)
class ModelsConfig:
    """The part of a configuration that says which models segment images, and how."""

    clip: ClipConfig = field(default_factory=ClipConfig)
    proposals: ProposalsConfig = field(default_factory=ProposalsConfig)
    regions: RegionsConfig = field(default_factory=RegionsConfig)
    segmentation: SegmentationConfig = field(default_factory=SegmentationConfig)
    gpus: float | None = None
    """GPUs of one worker, fractions allowed. Empty: 1 if the cluster has GPUs, else 0."""

    def resolved(self) -> Self:
        """The configuration with local paths made absolute: workers may run in another directory than this process.

        Raises:
            UserError: naming the key of a value that cannot mean anything.
        """
        for key, value in (("clip.batch_size", self.clip.batch_size), ("clip.threads", self.clip.threads)):
            if value < 1:
                raise UserError(f"{key} is {value}; it must be at least 1")
        if self.clip.templates not in ("vild", self.segmentation.templates):
            raise UserError("clip.templates: class names are embedded with segmentation.templates; set that instead")
        architecture, weights = absolute_model(self.clip.architecture, self.clip.weights)
        return replace(
            self,
            clip=replace(self.clip, architecture=architecture, weights=weights),
            proposals=resolve_proposals(self.proposals),
        )


@dataclass(kw_only=True)
class ModelJobConfig(ModelsConfig):
    """The same of a job that works on many images."""

    output: str
    """Output directory, any fsspec URI."""
    workers: int | None = None
    """Most workers at a time. Empty: as many as the cluster has GPUs (or CPUs, without GPUs)."""
    wait_minutes: float = 60.0
    """How long the cluster may have no room for a worker before the job ends; the same command carries on."""

    def resolved(self) -> Self:
        """See `ModelsConfig.resolved`."""
        refuse_secrets("output", self.output)
        if self.workers is not None and self.workers < 1:
            raise UserError(f"workers is {self.workers}; it must be at least 1")
        if not self.wait_minutes >= 0:
            raise UserError(f"wait_minutes is {self.wait_minutes}; it must be at least 0")
        return replace(super().resolved(), output=absolute_output(self.output))


@dataclass(kw_only=True)
class SegmentJobConfig(ModelJobConfig):
    """Everything that `python -m jobs.segment` can be told."""

    images: list[str] | str = field(default_factory=list)
    """Images, folders of images and patterns such as photos/**/*.jpg, one or several; any fsspec URIs."""
    classes: list[str] | str = field(default_factory=list)
    """What to look for. A text has commas between classes and slashes between synonyms ("dog, sofa/couch"); a list
    has one string per class, with commas between synonyms ([dog, "sofa, couch"])."""
    classes_file: str | None = None
    """The same from a text file, one class per line, synonyms separated by commas, any URI; or a JSON list of such
    texts."""
    things: list[str] | None = None
    """The classes, by their first names, that are countable things and no stuff; `panoptic.json` says so. Empty:
    unknown. Then one class is marked, since panopticapi fails where there are only things or only stuff."""
