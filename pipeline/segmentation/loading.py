"""What segmentation and evaluation jobs have in common: which models they use, and loading them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import torch

from pipeline.clip import ClipConfig, load_clip
from pipeline.errors import UserError
from pipeline.paths import absolute_model, absolute_output, absolute_proposals, refuse_secrets
from pipeline.proposals import ProposalsConfig, load_proposer
from pipeline.regions import RegionsConfig
from pipeline.segmentation.config import SegmentationConfig
from pipeline.segmentation.segmenter import Segmenter, background_classes

# They may differ between two runs into one directory: where and how fast the job runs, not what it writes.
RUNNING_KEYS = ("output", "workers", "gpus", "clip.batch_size", "clip.threads", "proposals.batch_size")


@dataclass(kw_only=True)
class SegmenterConfig:
    """The part of a job's configuration that says how images are segmented."""

    output: str
    """Output directory, any fsspec URI."""
    clip: ClipConfig = field(default_factory=ClipConfig)
    proposals: ProposalsConfig = field(default_factory=ProposalsConfig)
    regions: RegionsConfig = field(default_factory=RegionsConfig)
    segmentation: SegmentationConfig = field(default_factory=SegmentationConfig)
    workers: int | None = None
    """Most workers at a time. Empty: as many as the cluster has GPUs (or CPUs, without GPUs)."""
    gpus: float | None = None
    """GPUs of one worker, fractions allowed. Empty: 1 if the cluster has GPUs, else 0."""

    def resolved(self) -> Self:
        """The configuration with local paths made absolute: workers may run in another directory than this process.

        Raises:
            UserError: naming the key of a value that cannot mean anything.
        """
        refuse_secrets("output", self.output)
        for key, value in (
            ("clip.batch_size", self.clip.batch_size),
            ("clip.threads", self.clip.threads),
            ("workers", self.workers),
        ):
            if value is not None and value < 1:
                raise UserError(f"{key} is {value}; it must be at least 1")
        if self.clip.templates not in ("vild", self.segmentation.templates):
            raise UserError("clip.templates: class names are embedded with segmentation.templates; set that instead")
        architecture, weights = absolute_model(self.clip.architecture, self.clip.weights)
        return replace(
            self,
            output=absolute_output(self.output),
            clip=replace(self.clip, architecture=architecture, weights=weights),
            proposals=absolute_proposals(self.proposals),
        )


def load_segmenter(config: SegmenterConfig, classes: Sequence[tuple[str, ...]], *, gpu: bool) -> Segmenter:
    """Load both models into this process, which from then on uses `clip.threads` threads.

    Raises:
        UserError: a model cannot be loaded, or the configuration has no meaning.
    """
    clip = config.clip
    torch.set_num_threads(clip.threads)
    loaded = load_clip(clip.architecture, clip.weights, precision=clip.precision, device="cuda" if gpu else "cpu")
    proposer = load_proposer(config.proposals)
    return Segmenter(loaded, proposer, classes, config.segmentation, config.regions, clip.batch_size)


def check_models(config: SegmenterConfig, classes: Sequence[tuple[str, ...]]) -> dict:
    """Load both models once in this process, so that what is absent is said now; gives their identities.

    Raises:
        UserError: as `load_segmenter`.
    """
    proposer = load_proposer(config.proposals)
    background_classes(classes, config.segmentation, proposer)
    clip = load_clip(config.clip.architecture, config.clip.weights)
    return {"proposals": dict(proposer.identity), "clip": {"sha256": clip.weights_sha256()}}
