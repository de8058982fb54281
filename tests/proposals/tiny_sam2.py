"""A small SAM 2 with random weights, and the configuration that gives all its masks."""

from pathlib import Path

import numpy as np
import torch
from transformers import Sam2Config as ModelConfig
from transformers import (
    Sam2HieraDetConfig,
    Sam2ImageProcessor,
    Sam2MaskDecoderConfig,
    Sam2Model,
    Sam2PromptEncoderConfig,
    Sam2VisionConfig,
)

from pipeline.proposals import ProposalsConfig

SIDE, MASK_SIDE = 128, 32
POINTS = 5


def tiny_model(width: int = 8) -> Sam2Model:
    """Hiera, and a decoder whose masks and scores differ from point to point, which takes large weights."""
    torch.manual_seed(2)
    widths = [width, 2 * width, 4 * width, 8 * width]
    backbone = Sam2HieraDetConfig(
        hidden_size=width, image_size=[SIDE, SIDE], blocks_per_stage=[1, 1, 2, 1], embed_dim_per_stage=widths,
        num_attention_heads_per_stage=[1, 1, 2, 2], window_size_per_stage=[8, 4, 4, 2], global_attention_blocks=[3],
    )  # fmt: skip
    config = ModelConfig(
        vision_config=Sam2VisionConfig(
            backbone_config=backbone, backbone_channel_list=widths[::-1], fpn_hidden_size=32,
            backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]],
        ),
        prompt_encoder_config=Sam2PromptEncoderConfig(hidden_size=32, image_size=SIDE),
        mask_decoder_config=Sam2MaskDecoderConfig(
            hidden_size=32, mlp_dim=64, num_attention_heads=2, iou_head_hidden_dim=32
        ),
    )  # fmt: skip
    model = Sam2Model(config).eval()
    with torch.no_grad():
        for parameter in model.vision_encoder.parameters():
            if parameter.ndim > 1:
                parameter.mul_(2)
        for parameter in model.mask_decoder.parameters():
            parameter.normal_(std=0.7 if parameter.ndim > 1 else 0.1)
    return model


def save_tiny_model(folder: Path) -> Path:
    """Write it as `transformers` saves it."""
    tiny_model().save_pretrained(folder)
    size = {"height": SIDE, "width": SIDE}
    Sam2ImageProcessor(size=size, mask_size={"height": MASK_SIDE, "width": MASK_SIDE}).save_pretrained(folder)
    return folder


def everything(folder, *, batch_size: int = 8, precision: str = "auto", **options) -> ProposalsConfig:
    """Whatever mask is not empty, and passes the thresholds if there are any."""
    thresholds = {"iou_threshold": 0, "stability_threshold": 0, "points_per_side": POINTS, "points_per_batch": 7}
    return ProposalsConfig(
        backend="sam2", min_area=0, max_area=1, max_iou=1, max_proposals=1000, batch_size=batch_size,
        precision=precision, options={"weights": str(folder), **thresholds | options},
    )  # fmt: skip


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
