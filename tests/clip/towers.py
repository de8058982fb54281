"""Small vision towers of every kind, by their open_clip configuration."""

import timm
import torch
from open_clip.model import _build_vision_tower
from timm.models import register_model
from torch import nn

SIZE, PATCH, WIDTH, LAYERS, EMBED_DIM = 32, 8, 32, 3, 16
PATCHES = (SIZE // PATCH) ** 2
_SMALL = {"img_size": SIZE, "patch_size": PATCH, "embed_dim": WIDTH, "depth": LAYERS, "num_heads": 2}


@register_model
def ovseg_test_siglip(pretrained=False, **kwargs):
    """Attention pooling, no class token, a bias in the patch embedding."""
    return timm.create_model("vit_base_patch16_siglip_224", **_SMALL, **kwargs)


@register_model
def ovseg_test_any_size(pretrained=False, **kwargs):
    """SigLIP that takes images of any size, so its patch embedding keeps rows and columns."""
    return timm.create_model("vit_base_patch16_siglip_224", **_SMALL, dynamic_img_size=True, **kwargs)


@register_model
def ovseg_test_eva02(pretrained=False, **kwargs):
    """Rotary position embeddings."""
    return timm.create_model("eva02_base_patch16_clip_224", **_SMALL, **kwargs)


@register_model
def ovseg_test_mixed_rope(pretrained=False, **kwargs):
    """Rotary position embeddings of their own in each block."""
    return timm.create_model("eva02_base_patch16_clip_224", **_SMALL, rope_type="mixed", **kwargs)


@register_model
def ovseg_test_pe_core(pretrained=False, **kwargs):
    """Perception Encoder: Eva with attention pooling."""
    return timm.create_model("vit_pe_core_base_patch16_224", **_SMALL, **kwargs)


@register_model
def ovseg_test_registers(pretrained=False, **kwargs):
    """Four register tokens beside the class token."""
    return timm.create_model("vit_base_patch16_reg4_gap_256", **_SMALL, class_token=True, **kwargs)


_OPEN_CLIP = {
    "image_size": SIZE, "layers": LAYERS, "width": WIDTH, "head_width": 16, "patch_size": PATCH, "mlp_ratio": 2.0,
}  # fmt: skip


def _timm(name: str, pool: str, proj: str) -> dict:
    return {"timm_model_name": f"ovseg_test_{name}", "timm_pool": pool, "timm_proj": proj, "image_size": SIZE}


VISION_CFGS = {
    "class token": _OPEN_CLIP,
    "average": _OPEN_CLIP | {"pool_type": "avg"},
    "CLIPA": _OPEN_CLIP | {"pool_type": "avg", "no_ln_pre": True, "final_ln_after_pool": True},
    "CoCa": _OPEN_CLIP | {
        "attentional_pool": True, "attn_pooler_heads": 2, "attn_pooler_queries": 4, "output_tokens": True,
    },
    "layer scale": _OPEN_CLIP | {"ls_init_value": 0.1},
    "custom blocks": _OPEN_CLIP | {"qk_norm": True, "scale_fc": True},
    "fixed positions": _OPEN_CLIP | {"pos_embed_type": "sin_cos_2d"},
    "oblong": _OPEN_CLIP | {"image_size": (SIZE, 2 * SIZE)},
    "patches overhang": _OPEN_CLIP | {"image_size": SIZE + 5},
    "SigLIP": _timm("siglip", "map", "none"),
    "SigLIP, any size": _timm("any_size", "map", "none"),
    "EVA02": _timm("eva02", "token", "linear"),
    "EVA, mixed rope": _timm("mixed_rope", "token", "linear"),
    "PE-Core": _timm("pe_core", "map", "linear"),
    "registers": _timm("registers", "avg", "linear"),
}  # fmt: skip


def tower(kind: str, seed: int = 0) -> nn.Module:
    """A tower with random weights in evaluation mode."""
    torch.manual_seed(seed)
    return _build_vision_tower(EMBED_DIM, dict(VISION_CFGS[kind])).eval()


def image_size(kind: str) -> tuple[int, int]:
    size = VISION_CFGS[kind]["image_size"]
    return size if isinstance(size, tuple) else (size, size)
