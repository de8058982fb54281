"""The whole of mining on this machine: no network, no GPU, no data needed.

python -m jobs.demo [--output ./demo-output] [--images 120]

Generates a small world of coloured shapes in COCO format, trains a small CLIP on another sample of it, mines
region–noun pairs with class-agnostic proposals, and measures how many of them name what they show.
"""

import argparse
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import torch

from jobs.command import guarded
from pipeline.captions import CaptionsConfig
from pipeline.clip import ClipConfig
from pipeline.evaluation import measure_pairs
from pipeline.inspection import print_status
from pipeline.microworld import all_annotated, build_small_clip, write_world
from pipeline.mining.config import MineConfig
from pipeline.mining.run import mine
from pipeline.shards import ShardsConfig


def main(arguments: list[str] | None = None) -> int:
    """Entry point; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m jobs.demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder for everything")
    parser.add_argument("--images", type=int, default=120, help="images to mine")
    options = parser.parse_args(arguments)
    return guarded(lambda: _demo(options.output, options.images))


def _demo(folder: Path, images: int) -> None:
    world, clip, mined = folder / "world", folder / "small-clip", folder / "mined"
    print(f"{images} scenes in COCO format → {world}")
    write_world(world, images, seed=1)
    if not (clip / "open_clip_config.json").exists():
        started = time.monotonic()
        print(f"training a small CLIP on other scenes → {clip}")
        training = folder / "training-world"
        write_world(training, 120, seed=2)
        torch.set_num_threads(1)  # its tensors are so small that more threads only wait for each other
        build_small_clip(training / "instances.json", training / "images", clip)
        print(f"trained in {time.monotonic() - started:.0f} s")
    config = MineConfig(
        captions=CaptionsConfig(format="coco", path=str(world / "captions.json"), images=str(world / "images")),
        output=str(mined),
        clip=ClipConfig(architecture=f"local-dir:{clip.resolve()}", weights=None),
        shards=ShardsConfig(images_per_shard=24),
    )
    mine(config, overwrite=True)
    print_status(str(mined))

    result = measure_pairs(pq.read_table(mined / "manifests").to_pylist(), all_annotated(world / "instances.json"))
    print(
        f"{result.correct} of {result.judged} regions show what their noun names "
        f"({result.precision:.0%}; a random object of the image: {result.chance:.0%})"
    )
    print(f"look at it: {mined}/manifests/*.parquet with DuckDB or pandas, {mined}/shards/*.tar with webdataset")


if __name__ == "__main__":
    sys.exit(main())
