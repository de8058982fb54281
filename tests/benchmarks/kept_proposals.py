"""What kept proposals save: CPU-seconds an image of the proposal step with `segments`, and with `mined`.

python -m tests.benchmarks.kept_proposals --images ../shared/coco-sample/images [--limit 40]

The step as mining runs it, decoding included, in this process and in one thread; the first image of each warms up.
"""

import argparse
import tempfile
import time
from pathlib import Path

import cv2

from pipeline.images import ImagesConfig, read_upright
from pipeline.mining.steps.propose_masks import ProposeMasks
from pipeline.mining.work import Image, Shard
from pipeline.proposals import ProposalsConfig, load_proposer
from tests.proposals.kept_dataset import write_kept_dataset


def shard(files: list[Path]) -> Shard:
    rows = [{"image_id": file.stem, "image_uri": ""} for file in files]
    jpegs = [read_upright(file.read_bytes(), ImagesConfig()) for file in files]
    return Shard(0, [Image(index, row, jpeg=jpeg) for index, (row, jpeg) in enumerate(zip(rows, jpegs, strict=True))])


def measured(config: ProposalsConfig, files: list[Path]) -> tuple[float, Shard]:
    """CPU-seconds an image, and the shard with its proposals."""
    step = ProposeMasks(load_proposer(config))
    step(shard(files[:1]), lambda *_: None, ahead=False)
    due = shard(files)
    started = time.process_time()
    done = step(due, lambda *_: None, ahead=False)
    return (time.process_time() - started) / len(files), done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=40)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    files = sorted(arguments.images.glob("*.jpg"))[: arguments.limit]
    made, done = measured(ProposalsConfig(), files)
    with tempfile.TemporaryDirectory() as folder:
        proposals = {image.row["image_id"]: image.proposals.masks.decode() != 0 for image in done.remaining()}
        layout = write_kept_dataset(Path(folder), [file.stem for file in files], proposals, len(files))
        size = Path(layout.table("proposals", 0)).stat().st_size
        taken, again = measured(ProposalsConfig("mined", {"dataset": folder}), files)
    for before, after in zip(done.images, again.images, strict=True):
        assert before.proposals.masks == after.proposals.masks
    print("| images | proposals an image | kept, kB an image | CPU-ms an image, segments | mined | ratio |")
    print("|---|---|---|---|---|---|")
    count = sum(len(image.proposals.masks) for image in done.remaining()) / len(files)
    print(
        f"| {len(files)} | {count:.1f} | {size / len(files) / 1000:.1f} | {1000 * made:.0f} | {1000 * taken:.1f} | "
        f"{made / taken:.0f} |"
    )


if __name__ == "__main__":
    main()
