"""Mining with two workers on two cores against one worker on one core.

python -m tests.benchmarks.mine [--images 480] [--rounds 2]

Images of the micro world, `segments` proposals, a small untrained CLIP (its answers do not matter here). Every process
of the job is pinned: to one core, then to two. The target is 1.8.
"""

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import ray

from jobs.ray_connection import connect
from pipeline.captions import CaptionsConfig
from pipeline.clip import ClipConfig
from pipeline.dataset.shards import ShardsConfig
from pipeline.microworld.clip import write_untrained_clip
from pipeline.microworld.world import write_world
from pipeline.mining.config import MineConfig, ResourcesConfig
from pipeline.mining.run import mine
from pipeline.proposals import ProposalsConfig
from tests.benchmarks.steady import per_second

_IMAGES_PER_SHARD = 8


def main() -> None:
    """Print images/s of both in every round, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=480)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:2]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_world(folder / "world", options.images)
        write_untrained_clip(folder / "clip")
        config = MineConfig(
            captions=CaptionsConfig(
                format="coco", path=str(folder / "world" / "captions.json"), images=str(folder / "world" / "images")
            ),
            output="",
            clip=ClipConfig(architecture=f"local-dir:{folder / 'clip'}", weights=None, batch_size=64),
            proposals=ProposalsConfig(max_proposals=24),
            shards=ShardsConfig(images_per_shard=_IMAGES_PER_SHARD),
        )
        for round_ in range(options.rounds):
            one, two = (
                _images_per_second(replace(config, output=str(folder / f"{round_}-{workers}")), cores[:workers])
                for workers in (1, 2)
            )
            print(f"one worker {one:.1f} images/s, two {two:.1f}, ratio {two / one:.2f} (target 1.8)")


def _images_per_second(config: MineConfig, cores: list[int]) -> float:
    os.sched_setaffinity(0, cores)  # the processes of Ray inherit it
    connect()
    try:
        mine(replace(config, resources=ResourcesConfig(clip_workers=1, proposal_workers=len(cores))))
    finally:
        ray.shutdown()
    return per_second([path.stat().st_mtime for path in Path(config.output, "manifests").iterdir()], _IMAGES_PER_SHARD)


if __name__ == "__main__":
    main()
