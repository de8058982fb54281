"""Adapted weights: what they compute, which numbers an optimiser moves, and what is left when they are merged."""

import copy
import re

import open_clip
import pytest
import timm
import torch
from open_clip.timm_model import TimmModel
from timm.models import register_model
from torch import nn
from transformers import BertConfig, BertModel, T5Config, T5EncoderModel

from pipeline.clip.adapters import has_adapters, merge_adapters, plain_name, train_low_rank, train_parts
from pipeline.clip.mask_prompts import MaskPromptedVision
from pipeline.clip.projections import projections, transformer_blocks
from tests.clip.towers import LAYERS, SIZE, VISION_CFGS, WIDTH, image_size, tower

RANK, ALPHA = 3, 7.0


@register_model
def ovseg_test_eva01(pretrained=False, **kwargs):
    """One matrix of query, key and value, whose biases are parameters of their own, and key has none."""
    small = {"img_size": SIZE, "patch_size": 8, "embed_dim": WIDTH, "depth": LAYERS, "num_heads": 2}
    return timm.create_model("eva_giant_patch14_clip_224", **small, **kwargs)


def eva01() -> nn.Module:
    torch.manual_seed(0)
    return TimmModel("ovseg_test_eva01", 16, image_size=SIZE, pool="token", proj="linear", pretrained=False).eval()


def vision(kind: str) -> tuple[nn.Module, torch.Tensor]:
    size = (SIZE, SIZE) if kind == "EVA01" else image_size(kind)
    torch.manual_seed(1)
    return eva01() if kind == "EVA01" else tower(kind), torch.randn(2, 3, *size)


KINDS = [*VISION_CFGS, "EVA01"]

# Of each kind of attention, by the names that its library gives: rows of parameters, in thirds of a fused one.
QKV = {"q": 0, "k": 1, "v": 2}
FUSED = re.compile(r"\.(?:in_proj_(?:weight|bias)|qkv\.(?:weight|bias))$")
ALONE = re.compile(r"\.(?:([qkv])_proj\.(?:weight|bias)|([qkv])_bias)$")


def attention_rows(name: str, tensor: torch.Tensor) -> dict[str, slice]:
    """Which rows of a parameter of a block are of query, key and value."""
    if not re.search(r"\.(?:resblocks|blocks)\.\d+\.", name):
        return {}
    if FUSED.search(name):
        rows = len(tensor) // 3
        return {part: slice(third * rows, (third + 1) * rows) for part, third in QKV.items()}
    alone = ALONE.search(name)
    return {alone[1] or alone[2]: slice(None)} if alone else {}


def adapt_qv(visual: nn.Module) -> None:
    visual.requires_grad_(False)
    for block in transformer_blocks(visual):
        for found in projections(block):
            if {"q", "v"} & set(found.parts):
                train_parts(found, ("q", "v"))


def adapt_low_rank(visual: nn.Module, parts: tuple[str, ...]) -> None:
    visual.requires_grad_(False)
    for block in transformer_blocks(visual):
        for found in projections(block):
            if found.is_matrix and set(parts) & set(found.parts):
                train_low_rank(found, parts, RANK, ALPHA)


def features(visual: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """With gradients only in training: torch's attention has kernels of its own without them."""
    with torch.set_grad_enabled(visual.training):
        found = visual(pixels)
    return found[0] if isinstance(found, tuple) else found


@pytest.mark.parametrize("kind", KINDS)
def test_query_and_value_move_and_no_other_number(kind):
    visual, pixels = vision(kind)
    before = copy.deepcopy(visual.state_dict())
    adapt_qv(visual)
    assert has_adapters(visual) == any(FUSED.search(f".{name}") for name in before)
    optimizer = torch.optim.AdamW((p for p in visual.parameters() if p.requires_grad), lr=1e-2, weight_decay=0.5)
    for _ in range(2):
        optimizer.zero_grad()
        features(visual.train(), pixels).square().sum().backward()
        optimizer.step()
    adapted = features(visual.eval(), pixels)
    merge_adapters(visual)
    assert not has_adapters(visual)
    after = visual.state_dict()
    assert after.keys() == before.keys()
    moved = 0
    for name, tensor in before.items():
        changed = after[name] != tensor
        expected = torch.zeros_like(changed)
        for part, rows in attention_rows(f".{name}", tensor).items():
            expected[rows] = part in "qv"
        assert not changed[~expected].any(), name
        assert changed[expected].float().mean() > 0.9 if expected.any() else True, name
        moved += int(expected.any())
    assert moved >= 2 * LAYERS
    torch.testing.assert_close(features(visual, pixels), adapted, rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parts", [("q", "v"), ("q", "k", "v", "out", "mlp")])
def test_low_rank_changes_are_those_of_the_formula(kind, parts):
    """W + α/r·B·A, written into a plain tower by the names of its weights; what is merged is what was computed with."""
    visual, pixels = vision(kind)
    plain, before, original = copy.deepcopy(visual), copy.deepcopy(visual.state_dict()), features(visual, pixels)
    adapt_low_rank(visual, parts)
    torch.testing.assert_close(features(visual, pixels), original)  # B is 0
    weights = plain.state_dict()
    found = dict(visual.named_parameters())
    for name, up in found.items():
        if ".up." not in name:
            continue
        down = found[name.replace(".up.", ".down.")]
        assert (up.requires_grad, down.requires_grad) == (True, True)
        assert (up.shape[1], down.shape[0]) == (RANK, RANK)
        torch.nn.init.normal_(up)
        weight = weights[plain_name(name)]
        order = [part for part in "qkv" if part in parts] if len(weight) == 3 * len(up) else [None]
        part = order[int(name.rpartition(".")[2])]
        rows = slice(None) if part is None else attention_rows(f".{plain_name(name)}", weight)[part]
        weight[rows] += ALPHA / RANK * up.detach() @ down.detach()
    adapted = features(visual, pixels)
    torch.testing.assert_close(adapted, features(plain, pixels), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(adapted, original, atol=1e-3)
    merge_adapters(visual)
    torch.testing.assert_close(features(visual, pixels), adapted, rtol=0, atol=0)
    assert visual.state_dict().keys() == before.keys()
    assert not any(parameter.requires_grad for parameter in visual.parameters())
    expected = {name for name in before if attention_rows(f".{name}", before[name]).keys() & set(parts)}
    moved = {name for name in before if not before[name].equal(visual.state_dict()[name])}
    assert {name for name in moved if not re.search(r"\.(?:proj|out_proj|mlp\.\w+)\.weight$", name)} == {
        name for name in expected if before[name].ndim == 2
    }


def test_only_what_is_trained_of_a_low_rank_change_gets_gradients():
    visual, pixels = vision("class token")
    adapt_low_rank(visual, ("q", "v"))
    features(visual.train(), pixels).sum().backward()
    with_gradients = {name for name, parameter in visual.named_parameters() if parameter.grad is not None}
    assert with_gradients == {
        f"transformer.resblocks.{block}.attn.parametrizations.in_proj_weight.0.{side}.{part}"
        for block in range(LAYERS)
        for side in ("down", "up")
        for part in (0, 1)
    }


@pytest.mark.parametrize("kind", ["class token", "SigLIP", "EVA02", "PE-Core"])
def test_mask_prompts_and_checkpointing_go_with_adapters(kind):
    """The gradients of a masked pass are the same when its blocks are computed again for them."""
    gradients = []
    for checkpointing in (False, True):
        visual, pixels = vision(kind)
        torch.manual_seed(2)
        adapt_low_rank(visual, ("q", "v", "mlp"))
        prompted = MaskPromptedVision(visual, 2).train()
        visual.set_grad_checkpointing(checkpointing)
        masks = torch.zeros(2, 1, *pixels.shape[-2:], dtype=torch.bool)
        masks[..., :10] = True
        prompted(pixels, masks).square().sum().backward()
        gradients.append({name: p.grad for name, p in prompted.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    assert any("up" in name for name in gradients[0])
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


def test_the_change_is_computed_in_full_precision_under_autocast():
    visual, _ = vision("class token")
    adapt_low_rank(visual, ("q", "v"))
    attention = transformer_blocks(visual)[0].attn
    for up in attention.parametrizations.in_proj_weight[0].up:
        torch.nn.init.normal_(up)
    with torch.autocast("cpu", torch.bfloat16):
        weight = attention.in_proj_weight
    assert weight.dtype == torch.float32
    assert weight.equal(attention.in_proj_weight)


def test_other_libraries_text_towers():
    bert = BertModel(BertConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24))
    t5 = T5EncoderModel(T5Config(d_model=16, d_kv=8, num_layers=2, num_heads=2, d_ff=24))
    for model in (bert, t5):
        blocks = transformer_blocks(model)
        assert len(blocks) == 2
        matrices = [found.parts for found in projections(blocks[1]) if found.is_matrix]
        assert sorted(part for parts in matrices for part in parts) == ["k", "mlp", "mlp", "out", "q", "v"]


@pytest.mark.parametrize("name", ["RN50", "convnext_base"])
def test_towers_without_blocks_of_attention_have_none(name):
    model_cfg = open_clip.get_model_config(name)
    if name == "RN50":
        visual = open_clip.model._build_vision_tower(
            8, {**model_cfg["vision_cfg"], "width": 16, "layers": [1, 1, 1, 1]}
        )
    else:
        visual = TimmModel("convnext_atto", 8, pool="", proj="linear", pretrained=False)
    assert transformer_blocks(visual) == []


def test_stages_of_different_widths_are_no_sequence():
    assert transformer_blocks(timm.create_model("swin_tiny_patch4_window7_224", depths=(1, 1, 2, 1))) == []
