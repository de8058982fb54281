"""Perceptual hashes: what they cost where images are read, and how long grouping 100,000 images takes.

    python -m tests.benchmarks.duplicates [--coco FOLDER] [--count 100000]

With --coco, a folder with images/*.jpg: CPU time of reading them as mining does, with hashes ÷ without (target
1.03), by the best time of each in several rounds. Then seconds (target 60) for grouping random hashes of which a fifth
has a near-duplicate and another is one hash; and whether a part is grouped as by comparing each with each.
"""

import argparse
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

# Before numpy is loaded: one process is to stand for one core, as a worker does.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

from pipeline.duplicates.groups import DISTANCE
from pipeline.duplicates.near_hashes import group_near
from pipeline.images import ImagesConfig, read_upright

ROUNDS = 5
CHECKED = 3000


def reading(folder: Path) -> None:
    """Print what hashes add to reading."""
    files = sorted(folder.glob("images/*.jpg"))
    config = ImagesConfig()

    def read(path: Path, hashed: bool) -> None:
        # As `pipeline.mining.steps.read_images` does, without its threads and its bookkeeping.
        data = path.read_bytes()
        hashlib.sha256(data).hexdigest()
        read_upright(data, config, hashed=hashed)

    best = {hashed: np.full(len(files), np.inf) for hashed in (False, True)}
    for _ in range(ROUNDS):
        for index, path in enumerate(files):
            for hashed, times in best.items():
                times[index] = min(times[index], seconds(lambda path=path, hashed=hashed: read(path, hashed)))
    without, with_hash = (1000 * best[hashed].mean() for hashed in (False, True))
    ratio = with_hash / without
    print(f"reading {len(files)} images: {without:.3f} → {with_hash:.3f} CPU-ms an image, ratio {ratio:.3f}")


def grouping(count: int) -> None:
    """Print how long hashes take to group."""
    rng = np.random.default_rng(0)
    hashes_N = rng.integers(0, 2**64, count, np.uint64)
    fifth = count // 5
    flips = np.uint64(1) << rng.integers(0, 64, (fifth, 4), np.uint64)
    hashes_N[:fifth] = hashes_N[fifth : 2 * fifth] ^ np.bitwise_xor.reduce(flips, axis=1)
    hashes_N[-fifth:] = hashes_N[-1]  # many images with one hash
    spent = seconds(lambda: group_near(hashes_N, DISTANCE))
    groups = group_near(hashes_N, DISTANCE)
    found = len(np.unique(groups.first))
    print(f"grouping {count} images: {spent:.1f} CPU-s, {found} groups, {groups.crowded} crowded")
    part = np.concatenate([hashes_N[:CHECKED], hashes_N[fifth : fifth + CHECKED]])
    near = np.bitwise_count(part[:, None] ^ part) <= DISTANCE
    first = np.arange(len(part))
    while (joined := np.where(near, first, len(part)).min(axis=1)).tolist() != first.tolist():
        first = joined
    print(f"as by comparing each with each: {np.array_equal(group_near(part, DISTANCE).first, first)}")


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.duplicates", description=__doc__)
    parser.add_argument("--coco", type=Path)
    parser.add_argument("--count", type=int, default=100_000)
    options = parser.parse_args()
    if options.coco:
        reading(options.coco)
    grouping(options.count)


if __name__ == "__main__":
    main()
