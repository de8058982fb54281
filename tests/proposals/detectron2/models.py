"""Small detectron2 models with random weights, and a proposer of them."""

from pathlib import Path

import numpy as np
import torch
import yaml
from scipy import ndimage

from pipeline.proposals import ProposalsConfig, Proposer, load_proposer

EVERYTHING = {"min_area": 0, "max_area": 1, "max_iou": 1, "max_proposals": 1000}  # nothing is dropped

MODEL = {
    "MASK_ON": True,
    "BACKBONE": {"NAME": "build_resnet_fpn_backbone", "FREEZE_AT": 0},
    "RESNETS": {
        "STEM_OUT_CHANNELS": 8,
        "RES2_OUT_CHANNELS": 16,
        "WIDTH_PER_GROUP": 4,
        "OUT_FEATURES": ["res2", "res3", "res4", "res5"],
    },
    "FPN": {"IN_FEATURES": ["res2", "res3", "res4", "res5"], "OUT_CHANNELS": 16},
    "ANCHOR_GENERATOR": {"SIZES": [[8], [16], [32], [48], [64]], "ASPECT_RATIOS": [[0.5, 1.0, 2.0]]},
    "RPN": {"IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"], "PRE_NMS_TOPK_TEST": 100, "POST_NMS_TOPK_TEST": 50},
    "ROI_HEADS": {
        "NAME": "StandardROIHeads",
        "IN_FEATURES": ["p2", "p3", "p4", "p5"],
        "NUM_CLASSES": 3,
        "SCORE_THRESH_TEST": 0.1,
    },
    "ROI_BOX_HEAD": {"NAME": "FastRCNNConvFCHead", "NUM_FC": 2, "FC_DIM": 16, "POOLER_RESOLUTION": 7},
    "ROI_MASK_HEAD": {"NAME": "MaskRCNNConvUpsampleHead", "NUM_CONV": 1, "CONV_DIM": 8, "POOLER_RESOLUTION": 14},
    "SEM_SEG_HEAD": {"NUM_CLASSES": 4, "CONVS_DIM": 32},
    "PANOPTIC_FPN": {"COMBINE": {"STUFF_AREA_LIMIT": 16, "INSTANCES_CONFIDENCE_THRESH": 0.2}},
}
INPUT = {"MIN_SIZE_TEST": 64, "MAX_SIZE_TEST": 128}


def photograph(height: int = 60, width: int = 80, seed: int = 0) -> np.ndarray:
    """Blurred noise, uint8 [H,W,3]."""
    noise = np.random.default_rng(seed).random((height, width, 3))
    smooth = ndimage.gaussian_filter(noise, (6, 6, 0))
    return np.uint8(255 * (smooth - smooth.min()) / np.ptp(smooth))


def write_config(folder: Path, architecture: str, **more: dict) -> Path:
    config = {"MODEL": {"META_ARCHITECTURE": architecture, **MODEL, **more}, "INPUT": INPUT, "VERSION": 2}
    path = folder / f"{architecture}.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def read_config(path: Path):
    from detectron2.config import get_cfg

    cfg = get_cfg()
    cfg.merge_from_file(str(path))
    cfg.MODEL.DEVICE = "cpu"
    return cfg


def save_random_weights(path: Path, target: Path) -> None:
    """Weights as a training run saves them, drawn so that masks are more than noise around their threshold."""
    from detectron2.modeling import build_model

    torch.manual_seed(0)
    model = build_model(read_config(path))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name in ("roi_heads.mask_head.predictor.weight", "proposal_generator.rpn_head.objectness_logits.weight"):
                weight *= 50
    torch.save({"model": model.state_dict(), "optimizer": {"state": {}}, "iteration": 7}, target)


def proposer(config: Path | str, weights: Path | str, changes: list[str] | None = None, **more) -> Proposer:
    options = {"config": str(config), "weights": str(weights), "changes": changes or []}
    return load_proposer(ProposalsConfig("detectron2", options, **more))


LAZY = """
import torch
from omegaconf import OmegaConf

from detectron2.config import LazyCall as L
from detectron2.data import DatasetMapper
from detectron2.data import transforms as T
from detectron2.layers import ShapeSpec
from detectron2.modeling import FPN, ResNet, SemanticSegmentor
from detectron2.modeling.backbone.resnet import BasicBlock, BasicStem
from detectron2.modeling.meta_arch.semantic_seg import SemSegFPNHead

model = L(SemanticSegmentor)(
    backbone=L(ResNet)(
        stem=L(BasicStem)(in_channels=3, out_channels=8),
        stages=[
            L(ResNet.make_stage)(
                block_class=BasicBlock, num_blocks=1, stride_per_block=[1], in_channels=8, out_channels=16, norm="BN"
            )
        ],
        out_features=["res2"],
    ),
    sem_seg_head=L(SemSegFPNHead)(
        input_shape={"res2": L(ShapeSpec)(channels=16, stride=4)},
        num_classes=4,
        conv_dims=8,
        common_stride=4,
        norm=lambda channels: torch.nn.GroupNorm(2, channels),
    ),
    pixel_mean=[123.675, 116.28, 103.53],
    pixel_std=[58.395, 57.12, 57.375],
)
dataloader = OmegaConf.create()
dataloader.test = dict(
    mapper=L(DatasetMapper)(
        is_train=False,
        augmentations=[L(T.ResizeShortestEdge)(short_edge_length=48, max_size=96)],
        image_format="RGB",
    )
)
"""
