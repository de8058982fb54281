"""A small Mask2Former with random weights."""

import torch
from transformers import Mask2FormerConfig as ModelConfig
from transformers import Mask2FormerForUniversalSegmentation, SwinConfig

QUERIES = 12


def tiny_model(seed: int = 0, width: int = 8) -> Mask2FormerForUniversalSegmentation:
    torch.manual_seed(seed)
    backbone = SwinConfig(
        embed_dim=width, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = ModelConfig(
        backbone_config=backbone, feature_size=32, mask_feature_size=32, hidden_dim=32, encoder_feedforward_dim=32,
        encoder_layers=1, decoder_layers=3, num_attention_heads=2, dim_feedforward=32, num_labels=5,
        num_queries=QUERIES,
    )  # fmt: skip
    return Mask2FormerForUniversalSegmentation(config).eval()
