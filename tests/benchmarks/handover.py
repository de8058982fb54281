"""What a shard costs on its way from one stage of mining to the next: packed, through Ray's object store, unpacked.

python -m tests.benchmarks.handover --coco ../shared/coco-sample [--images 256] [--masks 100] [--shards 6]

A shard of real JPEGs with so many `segments` proposals each (those of a few images, repeated) goes through two pools
of the pipeline that mining has, whose workers do nothing but take it and hand it on, beside a shard of nothing. What a
worker spends on it, all its threads together, are CPU seconds: its own packing and unpacking, and what Ray does around
them, which is little more than to copy a shard into the object store. The wait is by the clock: from when the stage
before is done with a shard until an idle worker has it, so it needs two free cores.

A GPU takes some 10 ms an image for each stage; the target is 1 % of that.
"""

import argparse
import itertools
import json
import logging
import pickle
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import ray
from ray.data import DataContext

from pipeline.images import ImagesConfig, decode_jpeg, read_upright
from pipeline.masks.masks import Masks
from pipeline.mining.graph import Pool, Tasks, mining_graph
from pipeline.mining.packing import pack, unpack
from pipeline.mining.stages import READ_CPUS, WRITE_CPUS
from pipeline.mining.work import Image, Shard
from pipeline.proposals import Proposals, ProposalsConfig, load_proposer

_SEGMENTED = 12
"""Images whose proposals are found; they take a second each."""
_IMAGE_SECONDS = 0.01
"""Of an image in a stage on a GPU."""


def main() -> None:
    """Print bytes and seconds of a hop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coco", type=Path, required=True, help="folder with images/")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--masks", type=int, default=100)
    parser.add_argument("--shards", type=int, default=6)
    options = parser.parse_args()
    shard = _shard(sorted((options.coco / "images").iterdir()), options.images, options.masks)
    jpegs = sum(len(image.jpeg.data) for image in shard.images if image.jpeg)
    codes = sum(len(code) for image in shard.images if image.proposals for code in image.proposals.masks)
    print(f"{options.images} images: {jpegs / 1e6:.1f} MB of JPEG, {codes / 1e6:.1f} MB of run-length codes; ", end="")
    print(f"packed {pack(shard).nbytes / 1e6:.1f} MB")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    DataContext.get_current().enable_progress_bars = False
    with tempfile.TemporaryDirectory() as folder:
        full, empty = (_hops(Path(folder), content, options.shards) for content in (shard, Shard(0)))
    cost = {part: full[part] - empty[part] for part in full}
    for part, seconds in cost.items():
        print(f"{part}: {seconds:.3f} s a shard and hop ({full[part]:.3f} s; {empty[part]:.3f} s of an empty one)")
    total = sum(seconds for part, seconds in cost.items() if part != "wait")
    stage = options.images * _IMAGE_SECONDS
    print(f"CPU seconds: {total:.3f}, {total / stage:.1%} of a stage of {stage:.2f} s on a GPU (target 1 %)")


def _shard(paths: list[Path], images: int, masks: int) -> Shard:
    """As CLIP's workers get it. No two of its images share bytes: in a pickle they would be one."""
    proposer = load_proposer(ProposalsConfig(max_proposals=masks))
    kept = []
    for path in paths[:_SEGMENTED]:
        jpeg = read_upright(path.read_bytes(), ImagesConfig())
        [proposals] = proposer.propose([decode_jpeg(jpeg.data)], [path.stem])
        kept.append((path, jpeg.height, jpeg.width, proposals))
    shard = Shard(0)
    for index, (path, proposed) in enumerate(zip(itertools.cycle(paths), itertools.cycle(kept), strict=False)):
        if index == images:
            return shard
        _, height, width, proposals = proposed
        chosen = np.arange(masks) % len(proposals.masks)
        codes = [bytes(bytearray(proposals.masks[number])) for number in chosen]
        image = Image(index, {"image_id": path.stem, "image_uri": str(path), "captions": [path.stem]})
        image.jpeg = read_upright(bytes(bytearray(path.read_bytes())), ImagesConfig())
        image.proposals = Proposals(Masks(codes, height, width), proposals.scores[chosen])
        shard.images.append(image)
    raise AssertionError("cycles do not end")


def _hops(folder: Path, shard: Shard, shards: int) -> dict[str, float]:
    """Seconds of a hop, by part: the median over shards, without the first, for which workers start."""
    file = folder / f"{len(shard.images)}.pickle"
    file.write_bytes(pickle.dumps(shard, protocol=5))
    rows = mining_graph(
        range(shards),
        read=Tasks(_read, (str(file),), READ_CPUS),
        propose=Pool(_Hop, (), 0.5, 0, 1),
        match=Pool(_Hop, (), 1, 0, 1),
        write=Tasks(_seen, (), WRITE_CPUS),
    ).iter_rows()
    # Of the second pool: its shards come from a worker, as those of CLIP do.
    seen = [json.loads(row["seconds"]) for row in rows][1:]
    return {part: median(hop[part] for hop in seen) for part in seen[0]}


def _read(block: pa.Table, file: str) -> pa.Table:
    shard = pickle.loads(Path(file).read_bytes())
    shard.number = block["shard"][0].as_py()
    return _noted(pack(shard), {})


class _Hop:
    """A worker that takes a shard and hands it on."""

    def __init__(self) -> None:
        self._cpu = time.process_time()

    def __call__(self, block: pa.Table) -> pa.Table:
        """Note what passed since the last shard: CPU seconds of this process, and of them those of packing."""
        waited = time.time() - block["ended"][0].as_py()
        of_ray = time.process_time() - self._cpu
        started = time.thread_time()
        shard = unpack(block)
        unpacked = time.thread_time()
        packed = pack(shard, block)
        ended = time.thread_time()
        self._cpu = time.process_time()
        return _noted(packed, {"unpack": unpacked - started, "pack": ended - unpacked, "Ray": of_ray, "wait": waited})


def _noted(packed: pa.Table, seconds: dict[str, float]) -> pa.Table:
    return packed.append_column("seconds", [[json.dumps(seconds)]]).append_column("ended", [[time.time()]])


def _seen(block: pa.Table) -> pa.Table:
    return block.select(["shard", "seconds"])


if __name__ == "__main__":
    main()
