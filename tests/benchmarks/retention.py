"""Zero-shot classification of whole images: the loop of `clip_benchmark` against ours, on the same files.

    python -m tests.benchmarks.retention [--architecture ViT-B-32] [--images 192] [--rounds 3]

Photographs of 480×640 in class folders, a CLIP with random weights. Both get as many readers, the embeddings of the
classes, and the CLIP, loaded; from the first file to the rank of every image's class, wall-clock, in turn. Targets: the
time of theirs ÷ ours at least 1.0, and the same images right.
"""

import argparse
import contextlib
import io
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from clip_benchmark.metrics.zeroshot_classification import run_classification
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from pipeline.clip import Clip, load_clip
from pipeline.retention.classification import classify, embed_classes
from pipeline.retention.config import ImageSetConfig
from pipeline.retention.encoding import encode_images
from pipeline.retention.sets import open_image_set

CLASSES, BATCH, READERS = 8, 32, 4


class Stock(torch.nn.Module):
    """The same tower as `clip_benchmark` asks an open_clip model for it."""

    def __init__(self, clip: Clip):
        super().__init__()
        self.vision = clip.vision

    def encode_image(self, pixels_B3SS: torch.Tensor) -> torch.Tensor:
        return self.vision(pixels_B3SS)


def draw(folder: Path, images: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(images):
        path = folder / f"class {number % CLASSES}" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (48, 64, 3), np.uint8))
        coarse.resize((640, 480), Image.Resampling.BICUBIC).save(path, quality=90)


def main() -> None:
    """Print the time of both in every round, and the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="ViT-B-32")
    parser.add_argument("--images", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(1)
    clip = load_clip(options.architecture, "random", device=device)
    clip.vision.eval()
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder, options.images)
        images = open_image_set(ImageSetConfig("class_folders", name))
        classes_CD = embed_classes(clip, images)
        loader = DataLoader(ImageFolder(name, clip.preprocess), batch_size=BATCH, num_workers=READERS)
        for _ in range(options.rounds):
            began = time.perf_counter()
            with contextlib.redirect_stderr(io.StringIO()):
                logits, target = run_classification(Stock(clip), classes_CD.T.to(device), loader, device, amp=False)
            theirs = time.perf_counter() - began
            began = time.perf_counter()
            encoded = encode_images(clip, images, range(len(images.image_ids)), batch_size=BATCH, readers=READERS)
            ranks = classify(encoded.features, classes_CD, images.labels)
            own = time.perf_counter() - began
            ratios.append(theirs / own)
            same = (logits.argmax(1) == target).sum().item() == (ranks.rank == 0).sum()
            print(
                f"clip_benchmark {options.images / theirs:.1f} images/s, ours {options.images / own:.1f}: "
                f"ratio {ratios[-1]:.2f}; the same accuracy: {same}"
            )
    print(f"median ratio {sorted(ratios)[len(ratios) // 2]:.2f} (target 1.0)")


if __name__ == "__main__":
    main()
