"""What the promise that nothing is lost costs: requests to object storage that only it needs.

python -m tests.benchmarks.commit [--images 256]

One shard of the micro world goes through the mining job into Ceph's S3 gateway; its statistics say how long that took.
Then what only the protocol does is done again by itself: records of the attempts of four stages, checksums of the
tables read back, statistics. Pictures are small, models are cheaper than any of use, so real shards take longer. The
target is 2 %.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median

from jobs.ray_connection import connect
from pipeline import storage
from pipeline.captions import CaptionsConfig
from pipeline.clip import ClipConfig
from pipeline.dataset.layout import Layout
from pipeline.microworld.clip import write_untrained_clip
from pipeline.microworld.world import write_world
from pipeline.mining.config import MineConfig
from pipeline.mining.faults.attempts import Attempt
from pipeline.mining.run import mine
from pipeline.proposals import ProposalsConfig
from tests.s3 import new_bucket, s3_environment
from tests.servers import ceph

_ROUNDS = 20


def main() -> None:
    """Print the seconds of a shard, those of the protocol, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=256)
    options = parser.parse_args()
    # A short path: the name of a Unix socket may have 107 characters.
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        (folder / "ceph").mkdir()
        with ceph.running(folder / "ceph") as server, s3_environment(server.environment):
            layout = Layout(f"{new_bucket(server)}/mined")
            seconds = _mine(layout, folder, options.images)
            protocol = median(_protocol(layout) for _ in range(_ROUNDS))
    print(
        f"a shard of {options.images} images {sum(seconds.values()):.1f} s "
        f"({', '.join(f'{stage} {value:.1f}' for stage, value in seconds.items())}), "
        f"its protocol {protocol:.3f} s: {protocol / sum(seconds.values()):.2%} (target 2 %)"
    )


def _mine(layout: Layout, folder: Path, images: int) -> dict[str, float]:
    """Seconds of the only shard, by stage."""
    write_world(folder / "world", images)
    write_untrained_clip(folder / "clip")
    connect()
    mine(
        MineConfig(
            captions=CaptionsConfig(
                format="coco", path=str(folder / "world" / "captions.json"), images=str(folder / "world" / "images")
            ),
            output=layout.uri,
            clip=ClipConfig(architecture=f"local-dir:{folder / 'clip'}", weights=None, batch_size=64),
            proposals=ProposalsConfig(max_proposals=24),
        )
    )
    return json.loads(storage.read_bytes(layout.statistics(0)))["seconds"]


def _protocol(layout: Layout) -> float:
    statistics = storage.read_bytes(layout.statistics(0))
    started = time.perf_counter()
    for stage in ("images", "proposals", "matching", "writing"):
        with Attempt(layout, "benchmark", stage, 0):
            pass
    for kind in ("captions", "candidates", "rejects"):
        storage.sha256(layout.table(kind, 0))
    storage.write_bytes(layout.statistics(0), statistics)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
