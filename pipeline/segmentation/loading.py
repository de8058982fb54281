"""What segmentation and evaluation jobs have in common: which models they use, and loading them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import torch

from pipeline.clip import Clip, ClipConfig, load_clip
from pipeline.configuration.paths import absolute_model, absolute_output, refuse_secrets
from pipeline.errors import UserError
from pipeline.proposals import ProposalsConfig, Proposer, load_proposer, resolve_proposals
from pipeline.regions import RegionsConfig
from pipeline.segmentation.config import SegmentationConfig
from pipeline.segmentation.segmenter import Segmenter, background_classes

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


def load_models(config: ModelsConfig, *, gpu: bool) -> tuple[Clip, Proposer]:
    """Load both models into this process; this thread uses `clip.threads` threads from then on.

    Raises:
        UserError: a model cannot be loaded.
    """
    clip = config.clip
    torch.set_num_threads(clip.threads)
    loaded = load_clip(clip.architecture, clip.weights, precision=clip.precision, device="cuda" if gpu else "cpu")
    return loaded, load_proposer(config.proposals)


def load_segmenter(config: ModelsConfig, classes: Sequence[tuple[str, ...]], *, gpu: bool) -> Segmenter:
    """Load both models into this process, which from then on uses `clip.threads` threads.

    Raises:
        UserError: a model cannot be loaded, or the configuration has no meaning.
    """
    clip, proposer = load_models(config, gpu=gpu)
    return Segmenter(clip, proposer, classes, config.segmentation, config.regions, config.clip.batch_size)


def check_models(config: ModelsConfig, classes: Sequence[tuple[str, ...]]) -> dict:
    """Load both models once in this process, so that what is absent is said now; gives their identities.

    Raises:
        UserError: as `load_segmenter`.
    """
    proposer = load_proposer(config.proposals)
    background_classes(classes, config.segmentation, proposer)
    clip = load_clip(config.clip.architecture, config.clip.weights)
    return {"proposals": dict(proposer.identity), "clip": {"sha256": clip.weights_sha256()}}
