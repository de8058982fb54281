"""The steps as stages of a Ray Data pipeline: a block of one row is one shard.

Read and write are tasks, nouns, proposals and CLIP are actor pools that load their model once, so CPU and GPU work
scale apart. Ray Data starts dead workers again, repeats their shard, and bounds what is in flight between the stages.

Every stage imports its own step and no other: a worker then starts in the time of its own libraries (spaCy and
torch take seconds each) and holds their memory alone.
"""

import contextlib
import json
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import ray

from pipeline import storage
from pipeline.clip.config import ClipConfig
from pipeline.dataset.config import ShardsConfig
from pipeline.dataset.layout import Layout, stem
from pipeline.execution import metrics
from pipeline.execution.worker_log import worker_log
from pipeline.images.config import ImagesConfig
from pipeline.mining.config import MatchedText, MatchingConfig, MineConfig, VerifierConfig
from pipeline.mining.faults.attempts import Attempt
from pipeline.mining.faults.watchdog import StragglerLimit, Watchdog
from pipeline.mining.packing import pack, unpack
from pipeline.mining.waiting import Turns
from pipeline.mining.work import Shard
from pipeline.negatives.config import NegativesConfig
from pipeline.nouns.config import NounsConfig
from pipeline.proposals import ProposalsConfig, load_proposer
from pipeline.regions.config import RegionsConfig

if TYPE_CHECKING:
    from pipeline.clip.model import Clip
    from pipeline.mining.steps.verify_candidates import VerifyCandidates

ToVerify = tuple[VerifierConfig, list[ray.ObjectRef]]
"""A verifier, and the dataset's nouns as it embeds them."""

# Shares of a logical CPU. Readers and writers wait for storage most of the time, and a pool of actors must never
# hold so many CPUs that the tasks before and after it find none (two cores have to be enough). Of workers it is what
# they get where `resources` does not say it: see `pipeline.mining.resources`.
READ_CPUS = 0.25
WRITE_CPUS = 0.25
PROPOSAL_CPUS = 0.5
CLIP_CPUS = 1.0
CPUS_ON_GPU = 2.0


@dataclass(frozen=True)
class Run:
    """One run of the job: where it writes, and a name to tell the deaths of its workers from its own."""

    layout: Layout
    name: str
    straggler_factor: float
    straggler_seconds: float


@dataclass(frozen=True)
class Announcer:
    """What to call with the images of a shard before work on them."""

    attempt: Attempt
    watchdog: Watchdog

    def __call__(self, *images: int) -> None:
        """Announce work on an image, or on several together; see `Attempt.announce`."""
        self.attempt.announce(*images)
        self.watchdog.announce()

    @property
    def ahead(self) -> bool:
        """Whether work on an image may begin before that on those announced earlier has ended."""
        return not self.attempt.last_one_died


def _advance(
    run: Run, stage: str, block: pa.Table, step: Callable[[Shard, Announcer], Shard], turns: Turns
) -> pa.Table:
    """Run one step on a packed shard; an exception becomes the shard's error instead of the end of the job, and a shard
    that failed already passes as it is."""
    shard = unpack(block)
    if shard.error:
        return block
    if waits := turns.begin(shard.ready):
        shard.waits[stage] = waits
    return pack(_timed(run, stage, shard, step, turns), block)


def _reading_ahead(step: Callable[..., Shard]) -> Callable[[Shard, Announcer], Shard]:
    """A step that reads ahead, unless the image that a worker died of is looked for."""
    return lambda shard, announce: step(shard, announce, ahead=announce.ahead)


def _timed(run: Run, stage: str, shard: Shard, step: Callable[[Shard, Announcer], Shard], turns: Turns) -> Shard:
    started = time.perf_counter()
    try:
        with _attempt(run, stage, shard.number) as announce:
            shard = step(shard, announce)
    except Exception:
        shard.error = _failure(run.layout, stage, shard.number)
    shard.seconds[stage] = time.perf_counter() - started
    shard.ready = turns.end()
    metrics.stage_done(run.layout.uri, stage, shard.seconds[stage])
    metrics.waited(run.layout.uri, stage, shard.waits.get(stage, {}))
    return shard


@contextlib.contextmanager
def _attempt(run: Run, stage: str, shard: int) -> Iterator[Announcer]:
    """What to call with the images of the shard before work on them: deaths are counted, and hanging ends in one."""
    limit = StragglerLimit(run.layout, run.straggler_factor, run.straggler_seconds)
    with Attempt(run.layout, run.name, stage, shard) as attempt, Watchdog(lambda: limit.seconds(stage)) as watchdog:
        yield Announcer(attempt, watchdog)


def _failure(layout: Layout, stage: str, shard: int) -> str:
    """Tell of the exception that is being handled; returns the shard's error."""
    metrics.failed(layout.uri, stage)
    worker_log(__name__).exception("shard %s of %s failed in %s", stem(shard), layout.uri, stage)
    return f"{stage}: {traceback.format_exc()}"


class FindNounsStage:
    """Row {shard} → {nouns, phrases, images, error}; of a noun itself, the phrase is empty."""

    def __init__(self, layout: Layout, captions_per_image: int | None, config: NounsConfig):
        from pipeline.mining.steps.find_nouns import FindNouns

        self._layout = layout
        self._step = FindNouns(layout, captions_per_image, config)

    def __call__(self, row: dict) -> dict:
        """Find the nouns of a shard's captions, and how many images each has; a failure is the row's `error`."""
        shard, error = int(row["shard"]), ""
        counts: dict[tuple[str, str | None], int] = {}
        started = time.perf_counter()
        try:
            counts = self._step(shard)
        except Exception:
            error = _failure(self._layout, "nouns", shard)
        metrics.stage_done(self._layout.uri, "nouns", time.perf_counter() - started)
        nouns, phrases = [noun for noun, _ in counts], [phrase or "" for _, phrase in counts]
        images = list(counts.values())
        return {"shard": row["shard"], "nouns": nouns, "phrases": phrases, "images": images, "error": error}


class EmbedTextStage:
    """Row {chunk, nouns} → {chunk, embeddings}: a part of the vocabulary."""

    def __init__(self, config: ClipConfig, gpus: float):
        from pipeline.clip import EmbeddingCache, TextEmbedder

        clip = _load_clip(config, gpus)
        self._embed = TextEmbedder(clip, config.templates, EmbeddingCache.of(clip))

    def __call__(self, row: dict) -> dict:
        """Embed the nouns of a chunk: float32, flat, one embedding after the other."""
        return {"chunk": row["chunk"], "embeddings": self._embed(list(row["nouns"])).numpy().ravel()}


def read_stage(block: pa.Table, run: Run, config: ImagesConfig, vocabulary: list[ray.ObjectRef]) -> pa.Table:
    """Block {shard} → packed shard with its images. (The reference is in a list so that Ray leaves it a reference.)"""
    from pipeline.mining.steps.read_images import ReadImages

    step = ReadImages(run.layout, config, ray.get(vocabulary[0]))
    shard = Shard(block["shard"][0].as_py())
    return pack(_timed(run, "images", shard, lambda shard, announce: step(shard.number, announce), Turns()))


class ProposeStage:
    """Packed shard → packed shard with proposals."""

    def __init__(self, run: Run, config: ProposalsConfig, matching: MatchingConfig):
        from pipeline.mining.steps.propose_masks import ProposeMasks

        self._run = run
        self._turns = Turns()
        self._step = ProposeMasks(load_proposer(config), matching.text)

    def __call__(self, block: pa.Table) -> pa.Table:
        """Propose masks for every image; a shard that failed already passes as it is."""
        return _advance(self._run, "proposals", block, _reading_ahead(self._step), self._turns)


class MatchStage:
    """Packed shard → packed shard with candidates. `clips`: see `matching_clips`."""

    def __init__(
        self,
        run: Run,
        clips: Sequence[ClipConfig],
        gpus: float,
        regions: RegionsConfig,
        matching: MatchingConfig,
        vocabulary: list[ray.ObjectRef],
        verifiers: Sequence[ToVerify] = (),
    ):
        from pipeline.clip import RegionEncoder
        from pipeline.mining.steps.match_regions import MatchRegions

        self._run = run
        self._turns = Turns()
        encoders = [RegionEncoder(_load_clip(config, gpus), regions, config.batch_size) for config in clips]
        self._step = MatchRegions(encoders, matching, ray.get(vocabulary[0]))
        self._verify = _verification(verifiers, gpus, regions, matching.text) if verifiers else None
        self._threads = clips[0].threads

    def __call__(self, block: pa.Table) -> pa.Table:
        """Match the masks of every image with nouns, and have the candidates verified; a shard that failed already
        passes as it is."""
        if self._verify is None:
            return _advance(self._run, "matching", block, _reading_ahead(self._step), self._turns)
        _use_threads(self._threads)
        block = _advance(self._run, "matching", block, _reading_ahead(self._step), self._turns)
        return _advance(self._run, "verification", block, _reading_ahead(self._verify), self._turns)


def read_candidates_stage(block: pa.Table, run: Run, config: ImagesConfig) -> pa.Table:
    """Block {shard} → packed shard that was committed, with its images and candidates."""
    from pipeline.mining.steps.read_candidates import ReadCandidates

    step = ReadCandidates(run.layout, config)
    shard = Shard(block["shard"][0].as_py())
    return pack(_timed(run, "images", shard, lambda shard, announce: step(shard.number, announce), Turns()))


class VerifyStage:
    """Packed shard that was committed → block {shard, candidates, problems, error}; its second opinions are written.
    `about`: by name which CLIPs the verifiers are."""

    def __init__(
        self,
        run: Run,
        verifiers: Sequence[ToVerify],
        gpus: float,
        regions: RegionsConfig,
        matching: MatchingConfig,
        about: Mapping[str, dict],
    ):
        self._run = run
        self._turns = Turns()
        self._step = _verification(verifiers, gpus, regions, matching.text)
        self._about = about

    def __call__(self, block: pa.Table) -> pa.Table:
        """Have the candidates of the shard verified by those who have not done so."""
        from pipeline.mining.steps.write_opinions import write_opinions
        from pipeline.mining.verifiers import unverified

        shard, candidates = unpack(block), 0
        if not shard.error:
            shard = _timed(self._run, "verification", shard, self._verified, self._turns)
        if not shard.error:
            try:
                names = unverified(self._run.layout, shard.number, self._about)
                about = {name: self._about[name] for name in names}
                candidates = write_opinions(self._run.layout, shard, about)
            except Exception:
                shard.error = _failure(self._run.layout, "verification", shard.number)
        problems = Counter(image.problem for image in shard.images if image.problem)
        return pa.table(
            {
                "shard": [shard.number],
                "candidates": [candidates],
                "problems": [json.dumps(problems, sort_keys=True)],
                "error": [shard.error or ""],
            }
        )

    def _verified(self, shard: Shard, announce: Announcer) -> Shard:
        from pipeline.mining.verifiers import unverified

        names = unverified(self._run.layout, shard.number, self._about)
        return self._step(shard, announce, ahead=announce.ahead, names=names)


def _verification(
    verifiers: Sequence[ToVerify], gpus: float, regions: RegionsConfig, text: MatchedText
) -> "VerifyCandidates":
    from pipeline.clip import RegionEncoder
    from pipeline.mining.steps.verify_candidates import Verifier, VerifyCandidates

    return VerifyCandidates(
        [
            Verifier(
                config.name,
                RegionEncoder(_load_clip(config, gpus), config.regions or regions, config.batch_size),
                ray.get(vocabulary[0]),
                config.threads,
            )
            for config, vocabulary in verifiers
        ],
        text,
    )


def write_stage(
    block: pa.Table,
    run: Run,
    matching: MatchingConfig,
    shards: ShardsConfig,
    keep_proposals: bool,
    negatives: NegativesConfig,
    vocabulary: list[ray.ObjectRef],
    verifiers: Mapping[str, dict] | None = None,
) -> pa.Table:
    """Packed shard → block {shard, statistics, error}; the shard is committed.

    Args:
        verifiers: by name which CLIPs verified the candidates: what they say is written beside it.
    """
    from pipeline.mining.steps.write_opinions import write_opinions
    from pipeline.mining.steps.write_shard import WriteShard
    from pipeline.negatives import Negatives

    shard = unpack(block)
    regions = sum(len(image.proposals.masks) for image in shard.remaining() if image.proposals)
    statistics = b""
    if not shard.error:
        started = time.perf_counter()
        try:
            find = Negatives(negatives, ray.get(vocabulary[0])) if negatives.count else None
            step = WriteShard(run.layout, matching, shards, keep_proposals=keep_proposals, negatives=find)
            with _attempt(run, "writing", shard.number) as announce:
                pairs = len(step(shard, announce))
            shard.seconds["writing"] = time.perf_counter() - started
            counts = {"images": len(shard.images), "regions": regions, "pairs": pairs}
            details = {**counts, "rejected": shard.reasons(), "seconds": shard.seconds, "waits": shard.waits}
            statistics = json.dumps(details, sort_keys=True).encode()
            storage.write_bytes(run.layout.statistics(shard.number), statistics)
            _tell_committed(run.layout, shard, counts)
            if verifiers:  # after the commit: the table says which manifest it is of
                write_opinions(run.layout, shard, verifiers)
        except Exception:
            shard.error = _failure(run.layout, "writing", shard.number)
    return pa.table({"shard": [shard.number], "statistics": [statistics], "error": [shard.error or ""]})


def _tell_committed(layout: Layout, shard: Shard, counts: dict[str, int]) -> None:
    rejected = shard.reasons()
    metrics.stage_done(layout.uri, "writing", shard.seconds["writing"])
    metrics.shard_committed(layout.uri, **counts, rejected=rejected)
    worker_log(__name__).info(
        "shard %s of %s: %d images, %d rejected, %d regions, %d pairs; seconds: %s",
        stem(shard.number), layout.uri, counts["images"], rejected.total(), counts["regions"], counts["pairs"],
        ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in shard.seconds.items()),
    )  # fmt: skip


def matching_clips(config: MineConfig) -> list[ClipConfig]:
    """The CLIPs that match regions: `clip`, or one for each fold of `cross_fit`."""
    adapted = [replace(config.clip, architecture=name, weights=None) for name in config.cross_fit]
    return adapted or [config.clip]


def _load_clip(config: ClipConfig, gpus: float) -> "Clip":
    from pipeline.clip import load_clip

    _use_threads(config.threads)
    return load_clip(
        config.architecture,
        config.weights,
        precision=config.precision,
        device="cuda" if gpus else "cpu",
        compiled_batch=config.compiled_batch,
    )


def _use_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
