"""Region encoding inside the pipeline against the same CLIP in a bare loop over ready tensors.

python -m tests.benchmarks.regions [--architecture ViT-B-32] [--images 12] [--proposals 50] [--threads 1]

Both run in this process, in turn, on the same regions in the same batches. "Inside the pipeline" is the matching step:
decoding JPEGs and masks, cutting, encoding, matching. The target is a ratio of 0.90.
"""

import argparse
import io
import time

import numpy as np
import torch
from PIL import Image

from pipeline.clip import RegionEncoder, load_clip
from pipeline.images import decode_jpeg
from pipeline.masks.masks import Masks
from pipeline.mining.matching import match
from pipeline.regions import RegionsConfig

HEIGHT, WIDTH = 480, 640
BATCH = 64


def make_images(images: int, proposals: int) -> list[tuple[bytes, Masks]]:
    """JPEG bytes of COCO's size and box-shaped masks of very different sizes."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(images):
        coarse = rng.integers(0, 256, (HEIGHT // 16, WIDTH // 16, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        masks = np.zeros((proposals, HEIGHT, WIDTH), np.uint8)
        for mask in masks:
            h, w = rng.integers(16, HEIGHT), rng.integers(16, WIDTH)
            y, x = rng.integers(0, HEIGHT - h + 1), rng.integers(0, WIDTH - w + 1)
            mask[y : y + h, x : x + w] = 1
        made.append((buffer.getvalue(), Masks.encode(masks)))
    return made


def main() -> None:
    """Print regions/s of both, in three rounds, and the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", default="ViT-B-32")
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--proposals", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clip = load_clip(
        options.architecture, "random", precision="auto", device="cuda" if torch.cuda.is_available() else "cpu"
    )
    images = make_images(options.images, options.proposals)
    regions = options.images * options.proposals
    nouns_ND = np.random.default_rng(1).standard_normal((4, clip.vision.visual.output_dim)).astype(np.float32)
    encoder = RegionEncoder(clip, RegionsConfig(), BATCH)
    ready = torch.randn(regions, 3, clip.input.size, clip.input.size, device=clip.device)

    def bare_loop() -> None:
        with torch.inference_mode(), clip.autocast():
            for batch in ready.split(BATCH):
                clip.vision(batch).float().cpu()

    def in_the_pipeline() -> None:
        decoded = ((decode_jpeg(jpeg), masks, None) for jpeg, masks in images)
        for _, features_VD, _ in encoder.encode(decoded):
            match(features_VD, nouns_ND, candidates=5)

    device = torch.cuda.get_device_name() if clip.device.type == "cuda" else f"CPU, {options.threads} thread(s)"
    print(f"{options.architecture}, {device}, {regions} regions in batches of {BATCH}")
    ratios = []
    for _ in range(3):
        seconds = []
        for run in (bare_loop, in_the_pipeline):
            started = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - started)
        ratios.append(seconds[0] / seconds[1])
        bare, whole = (regions / elapsed for elapsed in seconds)
        print(f"bare loop {bare:.1f} regions/s, pipeline {whole:.1f}, ratio {ratios[-1]:.3f}")
    print(f"median ratio {sorted(ratios)[1]:.3f} (target 0.90)")


if __name__ == "__main__":
    main()
