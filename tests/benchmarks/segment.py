"""End-to-end segmentation against the bare models.

python -m tests.benchmarks.segment [--coco folder] [--architecture ViT-B-32] [--images 8] [--classes 150] [--threads 1]

Both run in this process, in turn, on the same images. "Bare" is the proposal backend on decoded images and the CLIP
tower on ready tensors, as many as there are proposals, in the same batches. "Segmentation" is from JPEG bytes to label
maps. The target is a ratio of 0.90 between their times. Class names are embedded before: they cost once a job.
"""

import argparse
import time
from pathlib import Path

import torch

from pipeline.clip import load_clip
from pipeline.images import decode_jpeg
from pipeline.proposals import ProposalsConfig, load_proposer
from pipeline.regions import RegionsConfig
from pipeline.segmentation import SegmentationConfig, Segmenter
from tests.benchmarks.regions import BATCH, make_images


def main() -> None:
    """Print seconds per image of both, in three rounds, and the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--coco", type=Path, help="folder with images/*.jpg; without it, made-up images of COCO's size")
    parser.add_argument("--architecture", default="ViT-B-32")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--classes", type=int, default=150)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.coco:
        jpegs = [path.read_bytes() for path in sorted(options.coco.glob("images/*.jpg"))[: options.images]]
    else:
        jpegs = [jpeg for jpeg, _ in make_images(options.images, proposals=0)]
    clip = load_clip(
        options.architecture, "random", precision="auto", device="cuda" if torch.cuda.is_available() else "cpu"
    )
    proposer = load_proposer(ProposalsConfig())
    classes = [(f"class {number}",) for number in range(options.classes)]
    segmenter = Segmenter(clip, proposer, classes, SegmentationConfig(templates="none"), RegionsConfig(), BATCH)
    images = [decode_jpeg(jpeg) for jpeg in jpegs]
    ids = [str(number) for number in range(len(images))]
    regions = sum(len(proposer.propose([image], [name])[0].masks) for image, name in zip(images, ids, strict=True))
    ready = torch.randn(regions, 3, clip.input.size, clip.input.size, device=clip.device)

    def bare() -> None:
        for image, name in zip(images, ids, strict=True):
            proposer.propose([image], [name])
        with torch.inference_mode(), clip.autocast():
            for batch in ready.split(BATCH):
                clip.vision(batch).float().cpu()

    def segmentation() -> None:
        for _, prediction in segmenter.predict(zip(map(decode_jpeg, jpegs), ids, ids, strict=True)):
            prediction.label_map(weight=0.7)

    device = torch.cuda.get_device_name() if clip.device.type == "cuda" else f"CPU, {options.threads} thread(s)"
    print(f"{options.architecture}, {device}, {len(images)} images, {regions} regions, {options.classes} classes")
    ratios = []
    for _ in range(3):
        seconds = []
        for run in (bare, segmentation):
            started = time.perf_counter()
            run()
            seconds.append((time.perf_counter() - started) / len(images))
        ratios.append(seconds[0] / seconds[1])
        print(
            f"bare {seconds[0]:.2f} s/image, segmentation {seconds[1]:.2f} s/image, ratio {ratios[-1]:.3f}", flush=True
        )
    print(f"median ratio {sorted(ratios)[1]:.3f} (target 0.90)")


if __name__ == "__main__":
    main()
