"""What a second opinion costs: CPU time of verifying the candidates of a shard ÷ that of matching its regions.

python -m tests.benchmarks.verify [--images 24] [--architecture ViT-B-32]

Images of the micro world, `segments` proposals, random weights of one architecture for both CLIPs, one thread. A
verifier encodes the regions that are candidates of a noun, and those once each; matching encodes all.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from pipeline.clip import RegionEncoder, load_clip
from pipeline.dataset.vocabulary import Vocabulary, vocabulary_table
from pipeline.images import ImagesConfig, read_upright
from pipeline.microworld.world import write_world
from pipeline.mining.config import MatchingConfig
from pipeline.mining.second_opinion import asked_of
from pipeline.mining.steps.match_regions import MatchRegions
from pipeline.mining.steps.propose_masks import ProposeMasks
from pipeline.mining.steps.verify_candidates import Verifier, VerifyCandidates
from pipeline.mining.work import Image, Shard
from pipeline.proposals import ProposalsConfig, load_proposer
from pipeline.regions import RegionsConfig

_NOUNS = ["circle", "square", "triangle"]
_BATCH = 32


def main() -> None:
    """Print CPU seconds of both, regions of both, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--architecture", default="ViT-B-32")
    options = parser.parse_args()
    torch.set_num_threads(1)
    clip = load_clip(options.architecture, "random")
    # Which noun is embedded how costs nothing here, and random weights choose at random.
    width = int(clip.model.text_projection.shape[1])
    embeddings_ND = np.random.default_rng(0).normal(size=(len(_NOUNS), width)).astype(np.float32)
    embeddings_ND /= np.linalg.norm(embeddings_ND, axis=1, keepdims=True)
    vocabulary = Vocabulary(vocabulary_table(_NOUNS, [1] * len(_NOUNS), embeddings_ND))
    shard = _shard(options.images)
    encoder = RegionEncoder(clip, RegionsConfig(), _BATCH)
    match = MatchRegions([encoder], MatchingConfig().candidates, vocabulary)
    verify = VerifyCandidates([Verifier("second", encoder, vocabulary, 1)])
    matching = _cpu_seconds(lambda: match(shard, lambda _: None, ahead=False))
    verifying = _cpu_seconds(lambda: verify(shard, lambda _: None, ahead=False))
    regions = sum(len(image.proposals.masks) for image in shard.remaining() if image.proposals)
    candidates = sum(len(asked_of(image).masks) for image in shard.remaining())
    print(f"matching {regions} regions: {matching:.1f} CPU-seconds; verifying {candidates}: {verifying:.1f}")
    print(f"cost of verifying ÷ matching {verifying / matching:.2f}; regions {candidates / regions:.2f}")


def _shard(count: int) -> Shard:
    """Images with their proposals, as matching gets them, each with the same three nouns."""
    with tempfile.TemporaryDirectory() as name:
        write_world(Path(name), count)
        files = [path.read_bytes() for path in sorted((Path(name) / "images").iterdir())]
    nouns = [{"noun": noun} for noun in _NOUNS]
    images = [
        Image(index, {"image_id": str(index), "image_uri": ""}, nouns=nouns, jpeg=read_upright(data, ImagesConfig()))
        for index, data in enumerate(files)
    ]
    return ProposeMasks(load_proposer(ProposalsConfig()))(Shard(0, images), lambda *_: None)


def _cpu_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    main()
