"""The steps as stages of a Ray Data pipeline: one row is one shard.

Read and write are tasks, nouns, proposals and CLIP are actor pools that load their model once, so CPU and GPU work
scale apart. Ray Data starts dead workers again, repeats their shard, and bounds what is in flight between the stages.

Every stage imports its own step and no other: a worker then starts in the time of its own libraries (spaCy and
torch take seconds each) and holds their memory alone.
"""

import json
import pickle
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ray

from pipeline import storage
from pipeline.images import ImagesConfig
from pipeline.layout import Layout
from pipeline.matching import MatchingConfig
from pipeline.mining.attempts import Attempt
from pipeline.mining.work import Shard
from pipeline.proposals import ProposalsConfig, load_proposer

if TYPE_CHECKING:
    from pipeline.clip import Clip, ClipConfig
    from pipeline.nouns import NounsConfig
    from pipeline.regions import RegionsConfig
    from pipeline.shards import ShardsConfig

# Shares of a logical CPU. Readers and writers wait for storage most of the time, and a pool of actors must never
# hold so many CPUs that the tasks before and after it find none (two cores have to be enough).
READ_CPUS = 0.25
WRITE_CPUS = 0.25
PROPOSAL_CPUS = 0.5
CLIP_CPUS = 1.0


@dataclass(frozen=True)
class Run:
    """One run of the job: where it writes, and a name to tell the deaths of its workers from its own."""

    layout: Layout
    name: str


def pack(shard: Shard) -> dict:
    """A shard as a row of the dataset."""
    return {"shard": shard.number, "work": pickle.dumps(shard, protocol=5)}


def _advance(run: Run, stage: str, shard: Shard, step: Callable[[Callable[[int], None]], Shard]) -> dict:
    """Run one step on a shard and pack it; an exception becomes the shard's error instead of the end of the job."""
    started = time.perf_counter()
    try:
        with Attempt(run.layout, run.name, stage, shard.number) as attempt:
            shard = step(attempt.touch)
    except Exception:
        shard.error = f"{stage}: {traceback.format_exc()}"
    shard.seconds[stage] = time.perf_counter() - started
    return pack(shard)


class FindNounsStage:
    """Row {shard} → {nouns, images, error}."""

    def __init__(self, layout: Layout, captions_per_image: int | None, config: "NounsConfig"):
        from pipeline.mining.steps.find_nouns import FindNouns

        self._step = FindNouns(layout, captions_per_image, config)

    def __call__(self, row: dict) -> dict:
        counts, error = {}, ""
        try:
            counts = self._step(int(row["shard"]))
        except Exception:
            error = f"nouns: {traceback.format_exc()}"
        return {"shard": row["shard"], "nouns": list(counts), "images": list(counts.values()), "error": error}


class EmbedTextStage:
    """Row {chunk, nouns} → {chunk, embeddings}: a part of the vocabulary."""

    def __init__(self, config: "ClipConfig", gpus: float):
        from pipeline.clip import TextEmbedder

        self._embed = TextEmbedder(_load_clip(config, gpus), config.templates)

    def __call__(self, row: dict) -> dict:
        return {"chunk": row["chunk"], "embeddings": self._embed(list(row["nouns"])).numpy().ravel()}


def read_stage(row: dict, run: Run, config: ImagesConfig, vocabulary: list[ray.ObjectRef]) -> dict:
    """Row {shard} → packed shard with its images. (The reference is in a list so that Ray leaves it a reference.)"""
    from pipeline.mining.steps.read_images import ReadImages

    step = ReadImages(run.layout, config, ray.get(vocabulary[0]))
    number = int(row["shard"])
    return _advance(run, "images", Shard(number), lambda touch: step(number, touch))


class ProposeStage:
    """Packed shard → packed shard with proposals."""

    def __init__(self, run: Run, config: ProposalsConfig):
        from pipeline.mining.steps.propose_masks import ProposeMasks

        self._run = run
        self._step = ProposeMasks(load_proposer(config))

    def __call__(self, row: dict) -> dict:
        shard = pickle.loads(row["work"])
        if shard.error:
            return row
        return _advance(self._run, "proposals", shard, lambda touch: self._step(shard, touch))


class MatchStage:
    """Packed shard → packed shard with candidates."""

    def __init__(
        self,
        run: Run,
        config: "ClipConfig",
        gpus: float,
        regions: "RegionsConfig",
        candidates: int,
        vocabulary: list[ray.ObjectRef],
    ):
        from pipeline.clip import RegionEncoder
        from pipeline.mining.steps.match_regions import MatchRegions

        self._run = run
        encoder = RegionEncoder(_load_clip(config, gpus), regions, config.batch_size)
        self._step = MatchRegions(encoder, candidates, ray.get(vocabulary[0]))

    def __call__(self, row: dict) -> dict:
        shard = pickle.loads(row["work"])
        if shard.error:
            return row
        return _advance(self._run, "matching", shard, lambda touch: self._step(shard, touch))


def write_stage(row: dict, run: Run, matching: MatchingConfig, shards: "ShardsConfig") -> dict:
    """Packed shard → {shard, statistics, error}; the shard is committed."""
    from pipeline.mining.steps.write_shard import WriteShard

    shard: Shard = pickle.loads(row["work"])
    regions = sum(len(image.proposals.masks) for image in shard.remaining() if image.proposals)
    statistics = b""
    if not shard.error:
        started = time.perf_counter()
        try:
            step = WriteShard(run.layout, matching, shards)
            with Attempt(run.layout, run.name, "writing", shard.number) as attempt:
                pairs = len(step(shard, attempt.touch))
            shard.seconds["writing"] = time.perf_counter() - started
            counts = {"images": len(shard.images), "regions": regions, "pairs": pairs}
            details = {**counts, "rejected": shard.reasons(), "seconds": shard.seconds}
            statistics = json.dumps(details, sort_keys=True).encode()
            storage.write_bytes(run.layout.statistics(shard.number), statistics)
        except Exception:
            shard.error = f"writing: {traceback.format_exc()}"
    return {"shard": shard.number, "statistics": statistics, "error": shard.error or ""}


def _load_clip(config: "ClipConfig", gpus: float) -> "Clip":
    import torch

    from pipeline.clip import load_clip

    torch.set_num_threads(config.threads)
    return load_clip(config.architecture, config.weights, precision=config.precision, device="cuda" if gpus else "cpu")
