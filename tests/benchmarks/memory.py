"""Peak memory of one worker on photographs of 6000×4000 pixels with 300 proposals each.

python -m tests.benchmarks.memory [--images 4] [--batch-size 256]

Every step runs in a fresh process and prints by how much its peak exceeds the memory before the first image: for
`encode` that is after the model was loaded.
"""

import argparse
import io
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.images import ImagesConfig, UprightJpeg, decode_jpeg, read_upright
from pipeline.masks import rle
from pipeline.masks.masks import Masks
from pipeline.proposals import ProposalsConfig, load_proposer

PROPOSALS = 300


def photograph() -> bytes:
    """A 24-megapixel JPEG with detail everywhere."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (500, 750, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize((6000, 4000), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def box_masks(jpeg: UprightJpeg) -> Masks:
    """300 boxes of all sizes."""
    rng = np.random.default_rng(1)
    codes = []
    for _ in range(PROPOSALS):
        mask = np.zeros((1, jpeg.height, jpeg.width), np.uint8)
        h, w = rng.integers(20, jpeg.height), rng.integers(20, jpeg.width)
        y, x = rng.integers(0, jpeg.height - h + 1), rng.integers(0, jpeg.width - w + 1)
        mask[0, y : y + h, x : x + w] = 1
        codes += rle.encode(mask)
    return Masks(codes, jpeg.height, jpeg.width)


def rise_mb(work: Callable[[], None]) -> float:
    """By how much the resident memory of this process peaks above the start of `work`, in MB (10^6 bytes)."""
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM to what is resident now
    before = _status_mb("VmRSS")
    work()
    return _status_mb("VmHWM") - before


def _status_mb(field: str) -> float:
    [line] = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024 / 1e6


def read(data: bytes, images: int, batch_size: int) -> float:
    """Upright JPEGs of bounded size from photographs."""
    return rise_mb(lambda: [read_upright(data, ImagesConfig()) for _ in range(images)])


def propose(data: bytes, images: int, batch_size: int) -> float:
    """Class-agnostic proposals."""
    proposer = load_proposer(ProposalsConfig(max_proposals=PROPOSALS))
    return rise_mb(lambda: [proposer.propose([decode_jpeg(data)], ["photograph"]) for _ in range(images)])


def encode(data: tuple[bytes, Masks], images: int, batch_size: int) -> float:
    """Masked regions through CLIP."""
    import torch

    from pipeline.clip import RegionEncoder, load_clip
    from pipeline.regions import RegionsConfig

    torch.set_num_threads(1)
    jpeg, masks = data
    encoder = RegionEncoder(load_clip("ViT-S-32-alt", "random"), RegionsConfig(), batch_size)
    return rise_mb(lambda: list(encoder.encode((decode_jpeg(jpeg), masks, None) for _ in range(images))))


def measure(step: Callable, *arguments: Any) -> float:
    """Run a step in a fresh process and return its peak above the start, in MB."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(step, arguments)


def main() -> None:
    """Print the peaks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=256)
    options = parser.parse_args()
    image = photograph()
    upright = read_upright(image, ImagesConfig())
    inputs = {read: image, propose: upright.data, encode: (upright.data, box_masks(upright))}
    for step, data in inputs.items():
        print(f"{step.__name__}: {measure(step, data, options.images, options.batch_size):.0f} MB above the start")


if __name__ == "__main__":
    main()
