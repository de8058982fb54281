"""The original MaskFormer with random weights, against what the package makes of its checkpoint."""

import numpy as np
import pytest
import torch

pytest.importorskip("detectron2", reason="detectron2 is not on PyPI; see pipeline/proposals/README.md")
pytest.importorskip(
    "mask_former", reason="needs a checkout of facebookresearch/MaskFormer, which is no package, on PYTHONPATH"
)

from detectron2.config import get_cfg
from detectron2.data.transforms import ResizeShortestEdge
from detectron2.modeling import build_model
from detectron2.projects.deeplab import add_deeplab_config
from detectron2.structures import ImageList
from mask_former import add_mask_former_config

from pipeline.proposals.maskformer import load_ovseg_checkpoint
from pipeline.proposals.maskformer.preprocessing import prepare

BACKBONES = {
    "swin": ["MODEL.BACKBONE.NAME", "D2SwinTransformer", "MODEL.SWIN.EMBED_DIM", 16, "MODEL.SWIN.DEPTHS", [2, 1, 3, 1],
             "MODEL.SWIN.NUM_HEADS", [1, 2, 4, 8], "MODEL.SWIN.WINDOW_SIZE", 5],
    "R50": ["MODEL.BACKBONE.NAME", "build_resnet_backbone"],
    "R50c": ["MODEL.BACKBONE.NAME", "build_resnet_deeplab_backbone", "MODEL.RESNETS.STEM_TYPE", "deeplab"],
}  # fmt: skip
SIZES = [
    "MODEL.META_ARCHITECTURE", "MaskFormer", "MODEL.DEVICE", "cpu",
    "MODEL.PIXEL_MEAN", [123.675, 116.28, 103.53], "MODEL.PIXEL_STD", [58.395, 57.12, 57.375],
    "MODEL.RESNETS.DEPTH", 50, "MODEL.RESNETS.STEM_OUT_CHANNELS", 64, "MODEL.RESNETS.STRIDE_IN_1X1", False,
    "MODEL.RESNETS.WIDTH_PER_GROUP", 8, "MODEL.RESNETS.RES2_OUT_CHANNELS", 32,
    "MODEL.RESNETS.OUT_FEATURES", ["res2", "res3", "res4", "res5"],
    "MODEL.SEM_SEG_HEAD.NAME", "MaskFormerHead", "MODEL.SEM_SEG_HEAD.NUM_CLASSES", 7,
    "MODEL.SEM_SEG_HEAD.IN_FEATURES", ["res2", "res3", "res4", "res5"], "MODEL.SEM_SEG_HEAD.NORM", "GN",
    "MODEL.SEM_SEG_HEAD.CONVS_DIM", 32, "MODEL.SEM_SEG_HEAD.MASK_DIM", 64,
    "MODEL.MASK_FORMER.HIDDEN_DIM", 32, "MODEL.MASK_FORMER.NUM_OBJECT_QUERIES", 10,
    "MODEL.MASK_FORMER.DIM_FEEDFORWARD", 40, "MODEL.MASK_FORMER.DEC_LAYERS", 3,
    "DATASETS.TRAIN", ["random_maskformer"],
]  # fmt: skip


def original(backbone):
    cfg = get_cfg()
    add_deeplab_config(cfg)
    add_mask_former_config(cfg)
    cfg.merge_from_list([*SIZES, *BACKBONES[backbone]])
    torch.manual_seed(0)
    model = build_model(cfg).eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif tensor.is_floating_point():
                tensor += 0.1 * torch.randn_like(tensor)
    return model


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_same_masks_and_classes_from_the_same_image(tmp_path, backbone):
    model = original(backbone)
    torch.save({"model": model.state_dict()}, tmp_path / "original.pth")
    checkpoint = load_ovseg_checkpoint(tmp_path / "original.pth")
    assert checkpoint.unused == ["criterion.empty_weight"]

    image = np.random.default_rng(0).integers(0, 256, (50, 85, 3), dtype=np.uint8)
    scaled = ResizeShortestEdge(100, 400).get_transform(image).apply_image(image)
    tensor = torch.from_numpy(scaled.transpose(2, 0, 1).copy())
    pixels = ImageList.from_tensors([(tensor - model.pixel_mean) / model.pixel_std], model.size_divisibility).tensor
    ours, size = prepare([image], 100, 400, torch.device("cpu"))
    assert size == (100, 170)
    torch.testing.assert_close(ours, pixels)
    with torch.inference_mode():
        expected = model.sem_seg_head(model.backbone(pixels))
        masks, classes = checkpoint.proposal_model(ours)
    torch.testing.assert_close(masks, expected["pred_masks"], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(classes, expected["pred_logits"], atol=1e-4, rtol=1e-4)
