"""The configuration of a mining job."""

from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple

from pipeline.captions.config import CaptionsConfig
from pipeline.clip.config import ClipConfig
from pipeline.configuration.limits import Limit
from pipeline.configuration.markers import AbsentMeans, LocalPath, Running
from pipeline.dataset.config import ShardsConfig
from pipeline.images.config import ImagesConfig
from pipeline.negatives.config import NegativesConfig
from pipeline.nouns.config import NounsConfig
from pipeline.proposals.config import ProposalsConfig
from pipeline.regions.config import RegionsConfig

MatchedText = Literal["noun", "phrase"]
"""What of a noun regions are compared with: see `MatchingConfig.text`."""


@dataclass
class MatchingConfig:
    """Which masks a noun chooses among, and what is kept of the matches. By default everything, as in the paper."""

    text: Annotated[MatchedText, AbsentMeans("noun")] = "noun"
    """What regions are compared with, and asked for where a backend takes names: the noun ("bus"), so that all phrases
    of it in an image get the same region, or the phrase ("red bus"), which takes `nouns.form: phrase`. Margins are to
    the image's other nouns, or phrases."""
    among: Annotated[Literal["all", "prompted"], AbsentMeans("all")] = "all"
    """A noun chooses among all masks of its image, or, of a backend that is asked by names, among those that it asked
    for (prompted)."""
    candidates: Annotated[int, Limit(ge=1)] = 5
    """Masks per noun that the candidates table keeps, best first."""
    min_score: Annotated[float, Limit(ge=-1, le=1)] | None = None
    """Pairs with a lower cosine similarity are dropped."""
    min_noun_margin: Annotated[float, Limit(ge=-2, le=2)] | None = None
    """Pairs with a lower margin to the runner-up noun are dropped; 0: the mask may fit no other noun better."""
    min_mask_margin: Annotated[float, Limit(ge=-2, le=2)] | None = None
    """Pairs with a lower margin to the runner-up mask are dropped."""
    min_area: Annotated[int, Limit(ge=0)] | None = None
    """Pairs with fewer mask pixels are dropped."""


@dataclass
class VerifierConfig(ClipConfig):
    """A further CLIP, any of open_clip's, which scores the candidates again: a second opinion."""

    name: str = field(kw_only=True)
    """Its columns are called after it, `NAME_score` and so on: small letters, digits and _, a letter first."""
    regions: RegionsConfig | None = None
    """How it is shown regions. Empty: as `regions` has it. `fill: none` shows them in their surroundings, which a CLIP
    that was never adapted knows better; then it may be the CLIP that matches, too."""


@dataclass
class ResourcesConfig:
    """What the workers may use. Nothing here changes what is written."""

    clip_gpus: Annotated[float, Limit(ge=0)] | None = None
    """GPUs of one CLIP worker, fractions allowed. Empty: what `proposal_gpus` leaves of one, 0 without GPUs."""
    proposal_gpus: Annotated[float, Limit(ge=0)] | None = None
    """GPUs of one proposal worker, fractions allowed. Empty: half a GPU if the backend is a learned one, else 0."""
    clip_workers: Annotated[int, Limit(ge=1)] | None = None
    """Most CLIP workers at a time. Empty: as many as the cluster has GPUs (or CPUs, without GPUs)."""
    proposal_workers: Annotated[int, Limit(ge=1)] | None = None
    """Most proposal workers at a time. Empty: as many as the cluster has CPUs (or GPUs, if they use them)."""
    clip_cpus: Annotated[float, Limit(gt=0)] | None = None
    """CPUs of one CLIP worker, which Ray keeps free for it; its threads decode and cut regions while the GPU computes.
    Empty: 2 on a GPU, if all GPU workers of a machine then hold half of its CPUs at most; else 1."""
    proposal_cpus: Annotated[float, Limit(gt=0)] | None = None
    """CPUs of one proposal worker, fractions allowed. Empty: 2 on a GPU, by the same rule; else 0.5."""
    straggler_factor: Annotated[float, Limit(ge=0)] = 20.0
    """A worker that stays at an image this many times longer than finished shards took for one, and longer than
    `straggler_seconds`, is ended, and its shard starts again. 0: never."""
    straggler_seconds: Annotated[float, Limit(ge=0)] = 600.0
    """Seconds that an image may always take; `straggler_factor` times as many until a shard is finished."""
    wait_minutes: Annotated[float, Limit(ge=0)] = 60.0
    """Minutes that the machines of the cluster may have no room for the workers, one of each kind: machines are gone,
    and no others came. Then the job ends with exit code 1."""


class PlannedResources(NamedTuple):
    """GPUs and CPUs of one worker, and the most workers, of each kind; see `ResourcesConfig`."""

    clip_gpus: float
    proposal_gpus: float
    clip_workers: int
    proposal_workers: int
    clip_cpus: float
    proposal_cpus: float


def planned(resources: ResourcesConfig) -> PlannedResources:
    """What the workers use.

    Args:
        resources: with nothing empty, as `pipeline.mining.plan.check_resources` returns them.

    Raises:
        ValueError: a key is empty.
    """
    found = {key: getattr(resources, key) for key in PlannedResources._fields}
    if None in found.values():
        raise ValueError(f"{resources} has empty keys")
    return PlannedResources(**found)


@dataclass
class MineConfig:
    """Everything that `python -m jobs.mine` can be told."""

    captions: CaptionsConfig
    output: Annotated[str, Running, LocalPath.OUTPUT]
    """Output directory, any fsspec URI: ./mined, s3://bucket/prefix."""
    captions_per_image: Literal[1, "all"] = 1
    """The first caption of every image, or all. The paper found one as good as five (Table 2)."""
    limit: Annotated[int, Limit(ge=1)] | None = None
    """Only this many images, the first ones of the sorted source."""
    max_reject_fraction: Annotated[float, Limit(ge=0, le=1), Running] = 0.2
    """The job fails if more than this share of the images is rejected."""
    images: ImagesConfig = field(default_factory=ImagesConfig)
    nouns: NounsConfig = field(default_factory=NounsConfig)
    proposals: ProposalsConfig = field(default_factory=ProposalsConfig)
    keep_proposals: Annotated[bool, AbsentMeans(False)] = False
    """Keep all proposals in the dataset, as `proposals/*.parquet`, so that `proposals.backend: mined` takes them from
    there: mining the same images again, with another CLIP, then needs no backend. About 60 kB an image of 90 masks."""
    regions: RegionsConfig = field(default_factory=RegionsConfig)
    clip: ClipConfig = field(default_factory=ClipConfig)
    cross_fit: list[Annotated[str, LocalPath.LOCAL_DIR, AbsentMeans([])]] = field(default_factory=list)
    """CLIPs, as of `clip.architecture`, that were adapted on parts of these images. Of as many folds, the images of
    fold f are matched by the f-th, which should not have seen them (`data.fold` of training): of two, first the one
    trained on fold 1, then the one trained on fold 0. They need the text tower of `clip`, which embeds the nouns. A
    worker holds all of them in memory."""
    matching: MatchingConfig = field(default_factory=MatchingConfig)
    verify: list[Annotated[VerifierConfig, Running]] = field(default_factory=list)
    """Further CLIPs that score the candidates again, each with a name and the keys of `clip`; their columns lie in
    `verified/`, and `data.where` of training can name them: so400m_score > 0.2 and so400m_mask_rank = 0. Beside the
    dataset: --verify-only adds them to one that is there. A CLIP worker holds all of them in memory."""
    negatives: NegativesConfig = field(default_factory=NegativesConfig)
    shards: ShardsConfig = field(default_factory=ShardsConfig)
    resources: Annotated[ResourcesConfig, Running] = field(default_factory=ResourcesConfig)
