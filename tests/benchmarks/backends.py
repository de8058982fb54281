"""Learned proposal backends against the library's own model.

python -m tests.benchmarks.backends [--backends maskformer mask2former sam2] [--scale tiny|base|large] [--images 8]
    [--batch 4] [--coco folder]

The models have random weights. "Bare" is a loop that calls the model of `transformers` on ready tensors in batches of
the same size; for SAM 2 it encodes the image and decodes all points. "Backend" is `propose`: from decoded images to
run-length codes. Both run in this process, in turn. The target is a ratio of 0.90 between their times. With
`--scale base` MaskFormer and Mask2Former have the Swin-B backbone at 640 pixels, and SAM 2 is the small one.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import (
    DetrConfig,
    Mask2FormerConfig,
    Mask2FormerForUniversalSegmentation,
    Mask2FormerImageProcessor,
    MaskFormerConfig,
    MaskFormerForInstanceSegmentation,
    MaskFormerImageProcessor,
    PreTrainedModel,
    Sam2Config,
    Sam2HieraDetConfig,
    Sam2ImageProcessor,
    Sam2Model,
    Sam2VisionConfig,
    SwinConfig,
)

from pipeline.images import decode_jpeg
from pipeline.proposals import ProposalsConfig, load_proposer
from pipeline.proposals.networks import autocast, device
from pipeline.proposals.sam2 import Sam2Options
from pipeline.proposals.sam2_points import point_grid
from tests.benchmarks.regions import make_images

SWIN = {
    "tiny": {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "window_size": 7},
    "base": {"embed_dim": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32], "window_size": 12},
}
SWIN["large"] = SWIN["base"] | {"embed_dim": 192, "num_heads": [6, 12, 24, 48]}
# SAM 2's tiny, small and large (its own "base plus" is left out).
HIERA = {
    "tiny": {"hidden_size": 96, "blocks_per_stage": [1, 2, 7, 2], "global_attention_blocks": [5, 7, 9]},
    "base": {"hidden_size": 96, "blocks_per_stage": [1, 2, 11, 2], "global_attention_blocks": [7, 10, 13]},
    "large": {
        "hidden_size": 144,
        "num_attention_heads": 2,
        "blocks_per_stage": [2, 6, 36, 4],
        "embed_dim_per_stage": [144, 288, 576, 1152],
        "num_attention_heads_per_stage": [2, 4, 8, 16],
        "window_positional_embedding_background_size": [7, 7],
        "window_size_per_stage": [8, 4, 16, 8],
        "global_attention_blocks": [23, 33, 43],
    },
}
SIZE = {"shortest_edge": 640, "longest_edge": 2560}
STAGES = ["stage1", "stage2", "stage3", "stage4"]


def maskformer(scale: str, folder: Path) -> PreTrainedModel:
    config = MaskFormerConfig(
        backbone_config=SwinConfig(**SWIN[scale], out_features=STAGES), decoder_config=DetrConfig(num_queries=100)
    )
    MaskFormerImageProcessor(size=SIZE, size_divisor=32).save_pretrained(folder)
    return MaskFormerForInstanceSegmentation(config)


def mask2former(scale: str, folder: Path) -> PreTrainedModel:
    config = Mask2FormerConfig(backbone_config=SwinConfig(**SWIN[scale], out_features=STAGES), num_queries=100)
    Mask2FormerImageProcessor(size=SIZE, size_divisor=32).save_pretrained(folder)
    return Mask2FormerForUniversalSegmentation(config)


def sam2(scale: str, folder: Path) -> PreTrainedModel:
    backbone = Sam2HieraDetConfig(**HIERA[scale])
    widths = list(reversed(backbone.embed_dim_per_stage))
    Sam2ImageProcessor().save_pretrained(folder)
    return Sam2Model(Sam2Config(vision_config=Sam2VisionConfig(backbone_config=backbone, backbone_channel_list=widths)))


MODELS = {"maskformer": maskformer, "mask2former": mask2former, "sam2": sam2}


def network_input(backend: str, images: list[np.ndarray]) -> torch.Tensor:
    """Tensors of the size that the backend feeds to the network."""
    if backend == "sam2":
        return torch.randn(len(images), 3, 1024, 1024)
    height, width = images[0].shape[:2]
    scale = SIZE["shortest_edge"] / min(height, width)
    sides = (-(-round(side * scale) // 32) * 32 for side in (height, width))
    return torch.randn(len(images), 3, *sides)


@torch.inference_mode()
def call(model: PreTrainedModel, pixels: torch.Tensor, config: ProposalsConfig) -> None:
    """The library's model on a batch, waiting for the result."""
    with autocast(config.precision, pixels.device):
        if not isinstance(model, Sam2Model):
            model(pixel_values=pixels).masks_queries_logits.float().sum().item()
            return
        levels = model.get_image_embeddings(pixels)
        points = point_grid(Sam2Options.points_per_side, 1024).to(pixels.device)
        for index in range(len(pixels)):
            embeddings = [level[index : index + 1] for level in levels]
            for some in points.split(Sam2Options.points_per_batch):
                model(image_embeddings=embeddings, input_points=some[None, :, None]).pred_masks.float().sum().item()


def measure(backend: str, scale: str, images: list[np.ndarray], batch: int) -> None:
    """Print images/s of both, in three rounds, and the median ratio."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.manual_seed(0)
        model = MODELS[backend](scale, folder).eval()
        model.save_pretrained(folder)
        config = ProposalsConfig(backend, {"weights": str(folder)}, batch_size=batch)
        proposer = load_proposer(config)
    model = model.to(device())
    batches = [images[start : start + batch] for start in range(0, len(images), batch)]
    ready = [network_input(backend, some).to(device()) for some in batches]

    def bare() -> None:
        for pixels in ready:
            call(model, pixels, config)

    def whole() -> None:
        for some in batches:
            proposer.propose(some, [""] * len(some))

    parameters = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    print(f"{backend} {scale}, {parameters:.0f} M parameters, batches of {batch}")
    bare()
    whole()
    ratios = []
    for _ in range(3):
        seconds = [timed(run) / len(images) for run in (bare, whole)]
        ratios.append(seconds[0] / seconds[1])
        print(f"bare {1 / seconds[0]:.3f} images/s, backend {1 / seconds[1]:.3f}, ratio {ratios[-1]:.3f}", flush=True)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        whole()
        print(f"peak memory {torch.cuda.max_memory_allocated() / 1e9:.2f} GB")
    print(f"median ratio {sorted(ratios)[1]:.3f} (target 0.90)\n")


def timed(run: Callable[[], None]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    """Measure every backend asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--scale", choices=SWIN, default="tiny")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--coco", type=Path, help="folder with images/*.jpg; without it, made-up images")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.coco:
        paths = sorted(options.coco.glob("images/*.jpg"))
        photos = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
        images = [photo for photo in photos if photo.shape == (480, 640, 3)][: options.images]
    else:
        images = [decode_jpeg(jpeg)[:480, :640] for jpeg, _ in make_images(options.images, proposals=0)]
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {options.threads} thread(s)"
    print(f"{where}, {len(images)} images of {images[0].shape[1]}×{images[0].shape[0]}")
    for backend in options.backends:
        measure(backend, options.scale, images, options.batch)


if __name__ == "__main__":
    main()
