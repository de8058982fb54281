"""The configuration of a segmentation job, and what those of other jobs that segment images have in common."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Self

from pipeline.clip.config import ClipConfig
from pipeline.configuration import limits
from pipeline.configuration.limits import Limit
from pipeline.configuration.markers import LocalPath, Running
from pipeline.configuration.paths import with_absolute_paths
from pipeline.errors import UserError
from pipeline.proposals.backends import resolve_proposals
from pipeline.proposals.config import ProposalsConfig
from pipeline.regions.config import RegionsConfig
from pipeline.segmentation.config import SegmentationConfig


@dataclass(kw_only=True)
class ModelsConfig:
    """The part of a configuration that says which models segment images, and how."""

    clip: ClipConfig = field(default_factory=ClipConfig)
    proposals: ProposalsConfig = field(default_factory=ProposalsConfig)
    regions: RegionsConfig = field(default_factory=RegionsConfig)
    segmentation: SegmentationConfig = field(default_factory=SegmentationConfig)
    gpus: Annotated[Annotated[float, Limit(ge=0)] | None, Running] = None
    """GPUs of one worker, fractions allowed. Empty: 1 if the cluster has GPUs, else 0."""

    def resolved(self) -> Self:
        """The configuration that workers get: every rule kept, its local paths absolute.

        Raises:
            UserError: naming the key of a value that cannot mean anything.
        """
        limits.check(self)
        resolved = with_absolute_paths(self)
        if resolved.clip.templates not in ("vild", resolved.segmentation.templates):
            raise UserError("clip.templates: class names are embedded with segmentation.templates; set that instead")
        return replace(resolved, proposals=resolve_proposals(self.proposals))


@dataclass(kw_only=True)
class ModelJobConfig(ModelsConfig):
    """What the configurations of jobs have in common that segment many images."""

    output: Annotated[str, Running, LocalPath.OUTPUT]
    """Output directory, any fsspec URI."""
    workers: Annotated[Annotated[int, Limit(ge=1)] | None, Running] = None
    """Most workers at a time. Empty: as many as the cluster has GPUs (or CPUs, without GPUs)."""
    wait_minutes: Annotated[float, Limit(ge=0), Running] = 60.0
    """Minutes that the cluster may have no room for a worker before the job ends; the same command carries on."""


@dataclass(kw_only=True)
class SegmentJobConfig(ModelJobConfig):
    """Everything that `python -m jobs.segment` can be told."""

    # They may come and go. What their names are relative to may not: it is in config.yaml as `source`.
    images: list[Annotated[str, Running]] | str = field(default_factory=list)
    """Images, folders of images and patterns such as photos/**/*.jpg, one or several; any fsspec URIs."""
    classes: list[str] | str = field(default_factory=list)
    """What to look for. A text has commas between classes and slashes between synonyms ("dog, sofa/couch"); a list
    has one string per class, with commas between synonyms ([dog, "sofa, couch"])."""
    classes_file: str | None = None
    """A text file with the classes, instead of `classes`: one class per line, synonyms separated by commas; or a JSON
    list of such texts. Any URI."""
    things: list[Annotated[str, Running]] | str | None = None
    """The classes, by their first names, that are countable things and no stuff, as a list or a text with commas. Then
    each object of them is a panoptic segment of its own, by `segmentation.object_threshold` and
    `segmentation.overlap_threshold`. Empty: unknown. Then a segment is a class, and `panoptic.json` marks one class as
    things, since panopticapi fails where there are only things or only stuff."""
