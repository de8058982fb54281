"""Small models with random weights, for the learned backends."""

from pathlib import Path

import torch
from transformers import Mask2FormerImageProcessor

from tests.proposals.maskformer.checkpoints import random_maskformer, swin_config, to_detectron2, to_ovseg
from tests.proposals.tiny_mask2former import tiny_model
from tests.proposals.tiny_sam2 import save_tiny_model


def save_random_models(folder: Path) -> dict[str, dict]:
    """The options of each backend: its weights below `folder`, and what makes it quick or gives many masks."""
    torch.save({"model": to_ovseg(to_detectron2(random_maskformer(swin_config())))}, folder / "ovseg.pth")
    tiny_model().save_pretrained(folder / "mask2former")
    Mask2FormerImageProcessor(size={"shortest_edge": 64, "longest_edge": 160}).save_pretrained(folder / "mask2former")
    save_tiny_model(folder / "sam2")
    return {
        "maskformer": {"weights": str(folder / "ovseg.pth"), "short_side": 64, "max_side": 160},
        "mask2former": {"weights": str(folder / "mask2former")},
        "sam2": {
            "weights": str(folder / "sam2"), "points_per_side": 5, "points_per_batch": 7, "iou_threshold": 0,
            "stability_threshold": 0,
        },
    }  # fmt: skip
