"""Mask prompts: the rules of OVSeg Sec. 3.3 over every kind of vision tower.

Shape suffixes: B images, S input side, N patches, L sequence length, W width, H heads.
"""

import copy
import math

import open_clip
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.model import _build_vision_tower

from pipeline.clip import MaskPromptedVision
from pipeline.clip.mask_prompts import patch_mask
from pipeline.errors import UserError
from tests.clip.towers import LAYERS, PATCH, PATCHES, VISION_CFGS, WIDTH, image_size, tower


def prompted(kind: str, depth: int, *, scale: float = 3.0) -> MaskPromptedVision:
    """A tower with prompts far larger than its tokens, so that a wrongly placed one shows."""
    vision = MaskPromptedVision(tower(kind), depth).eval()
    with torch.no_grad():
        vision.prompts.normal_(std=scale)
    return vision


def images(kind: str, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 3, *image_size(kind), generator=torch.Generator().manual_seed(1))


def random_masks(kind: str, batch: int = 2) -> torch.Tensor:
    """Random patches kept, as masks [B,1,S,S] of pixels."""
    cells = torch.rand(batch, 1, 4, 4, generator=torch.Generator().manual_seed(2)) < 0.5
    return F.interpolate(cells.float(), image_size(kind), mode="nearest").bool()


# Which patches are replaced


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_patch_is_kept_iff_the_average_of_its_mask_rounds_up_to_one(data):
    patch = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    height, width = (data.draw(st.integers(side, 20)) for side in patch)
    seed, share = data.draw(st.integers(0, 2**31)), data.draw(st.sampled_from([0.0, 0.02, 0.3, 1.0]))
    generator = torch.Generator().manual_seed(seed)
    masks = (torch.rand(2, 1, height, width, generator=generator) < share).double()
    if data.draw(st.booleans()):
        masks *= torch.rand(masks.shape, generator=generator, dtype=torch.double)
    expected = F.avg_pool2d(masks, patch).ceil().flatten(1).bool()
    assert torch.equal(patch_mask(masks, patch), expected)
    assert torch.equal(patch_mask(masks.bool(), patch), expected)


def test_one_pixel_keeps_a_patch():
    masks = torch.zeros(3, 1, 28, 28, dtype=torch.bool)
    masks[1, 0, 13, 27] = True
    masks[2, 0, 14, 13] = True
    expected = [[False] * 4, [False, True, False, False], [False, False, True, False]]
    assert patch_mask(masks, 14).tolist() == expected


# Equivalences with the plain tower


@pytest.mark.parametrize("depth", [1, 2, LAYERS])
@pytest.mark.parametrize("kind", VISION_CFGS)
@torch.no_grad()
def test_a_full_mask_is_the_plain_tower_and_an_empty_one_is_blind(kind, depth):
    vision, pixels = prompted(kind, depth), images(kind)
    plain = vision.visual(pixels)
    plain = plain[0] if kind == "CoCa" else plain
    full = torch.ones(2, 1, *image_size(kind), dtype=torch.bool)
    assert torch.equal(vision(pixels), plain)
    torch.testing.assert_close(vision(pixels, full), plain, atol=1e-6, rtol=0)
    blind = vision(pixels, ~full)
    torch.testing.assert_close(blind, vision(torch.randn_like(pixels), ~full), atol=0, rtol=0)
    assert not torch.allclose(blind, plain, atol=1e-4)
    assert not torch.allclose(blind, vision(pixels, random_masks(kind)), atol=1e-4)


@pytest.mark.parametrize("kind", ["class token", "average", "CLIPA", "CoCa"])
@torch.no_grad()
def test_zero_prompts_at_the_input_are_a_mean_fill_on_whole_patches(kind):
    vision, masks = prompted(kind, 1, scale=0.0), random_masks(kind)
    pixels = images(kind) * masks  # 0 is the mean after normalisation
    torch.testing.assert_close(vision(pixels, masks), vision(pixels), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", VISION_CFGS)
@torch.no_grad()
def test_pixels_of_replaced_patches_do_not_matter(kind):
    vision, masks, pixels = prompted(kind, LAYERS), random_masks(kind), images(kind)
    kept = patch_mask(masks, PATCH).view(2, 1, *vision.grid)
    kept = kept.repeat_interleave(PATCH, 2).repeat_interleave(PATCH, 3)
    kept = F.pad(kept, (0, pixels.shape[3] - kept.shape[3], 0, pixels.shape[2] - kept.shape[2]))
    elsewhere = torch.where(kept, pixels, torch.randn_like(pixels))
    assert torch.equal(vision(pixels, masks), vision(elsewhere, masks))


# The definition, written out


def by_hand(vision: MaskPromptedVision, pixels_B3SS: torch.Tensor, masks_B1SS: torch.Tensor) -> torch.Tensor:
    """CLIP's ViT with mask prompts in plain tensor operations over the state dict."""
    weights = vision.visual.state_dict()
    heads = vision.visual.transformer.resblocks[0].attn.num_heads
    patch = weights["conv1.weight"].shape[-1]

    def norm(x, name):
        centred = x - x.mean(-1, keepdim=True)
        return (
            centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weights[f"{name}.weight"]
            + weights[f"{name}.bias"]
        )

    def attend(x_BLW, name):
        qkv = x_BLW @ weights[f"{name}.in_proj_weight"].T + weights[f"{name}.in_proj_bias"]
        q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in qkv.chunk(3, dim=-1))
        probabilities_BHLL = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
        mixed_BLW = (probabilities_BHLL @ v).transpose(1, 2).flatten(2)
        return mixed_BLW @ weights[f"{name}.out_proj.weight"].T + weights[f"{name}.out_proj.bias"]

    def feed_forward(x, name):
        hidden = x @ weights[f"{name}.c_fc.weight"].T + weights[f"{name}.c_fc.bias"]
        hidden = hidden * torch.sigmoid(1.702 * hidden)
        return hidden @ weights[f"{name}.c_proj.weight"].T + weights[f"{name}.c_proj.bias"]

    def block(x, name):
        x = x + attend(norm(x, f"{name}.ln_1"), f"{name}.attn")
        return x + feed_forward(norm(x, f"{name}.ln_2"), f"{name}.mlp")

    embeddings = []
    for image_3SS, mask_SS in zip(pixels_B3SS, masks_B1SS[:, 0], strict=True):
        tokens, keep = [], []
        for top in range(0, image_3SS.shape[1], patch):
            for left in range(0, image_3SS.shape[2], patch):
                cell = (slice(top, top + patch), slice(left, left + patch))
                tokens.append((weights["conv1.weight"] * image_3SS[(slice(None), *cell)]).sum((1, 2, 3)))
                keep.append(float(mask_SS[cell].any()))
        x_NW, m_N1 = torch.stack(tokens), torch.tensor(keep, dtype=torch.double)[:, None]
        x_NW = x_NW * m_N1 + vision.prompts[0] * (1 - m_N1)
        x_LW = torch.cat([weights["class_embedding"][None], x_NW]) + weights["positional_embedding"]
        x_LW = norm(x_LW, "ln_pre")
        for index in range(LAYERS):
            x_LW = block(x_LW[None], f"transformer.resblocks.{index}")[0]
            if index + 1 < vision.depth:
                x_LW = torch.cat([x_LW[:1], x_LW[1:] * m_N1 + vision.prompts[index + 1] * (1 - m_N1)])
        embeddings.append(norm(x_LW[0], "ln_post") @ weights["proj"])
    return torch.stack(embeddings)


@pytest.mark.parametrize("depth", [1, 2, LAYERS])
@torch.no_grad()
def test_prompts_replace_patches_where_the_paper_says(depth):
    torch.manual_seed(0)
    visual = _build_vision_tower(16, dict(VISION_CFGS["class token"]), quick_gelu=True)
    vision = MaskPromptedVision(visual, depth).eval().double()
    vision.prompts.normal_()
    pixels, masks = images("class token").double(), random_masks("class token")
    torch.testing.assert_close(
        vision(pixels, masks), by_hand(vision, pixels, masks), atol=1e-10, rtol=1e-10, check_dtype=True
    )


# Parameters


@pytest.mark.parametrize(
    ("architecture", "depth", "count"),
    [
        ("ViT-L-14", 1, 262_144),
        ("ViT-L-14", 3, 786_432),
        ("ViT-L-14", 6, 1_572_864),
        ("ViT-L-14", 12, 3_145_728),
        ("ViT-B-16", 3, 451_584),
    ],
)
def test_prompts_have_the_published_number_of_parameters(architecture, depth, count):
    config = open_clip.get_model_config(architecture)
    with torch.device("meta"):
        vision = MaskPromptedVision(_build_vision_tower(config["embed_dim"], config["vision_cfg"]), depth)
    assert vision.prompts.numel() == count
    assert vision.prompts.shape[0] == depth
    assert vision.prompts.dtype == torch.float32


def test_prompts_start_as_small_noise():
    torch.manual_seed(0)
    vision = MaskPromptedVision(tower("oblong"), LAYERS)
    assert vision.grid == (4, 8)
    assert vision.prompts.std().item() == pytest.approx(0.02, rel=0.05)
    assert abs(vision.prompts.mean().item()) < 1e-3
    assert vision.prompts.requires_grad


@pytest.mark.parametrize("kind", ["class token", "SigLIP", "EVA02"])
def test_only_the_prompts_change_where_the_rest_is_frozen(kind):
    vision = prompted(kind, 2)
    vision.visual.requires_grad_(False)
    before = copy.deepcopy(vision.state_dict())
    optimizer = torch.optim.AdamW([p for p in vision.parameters() if p.requires_grad], lr=0.1)
    vision.train()(images(kind), random_masks(kind)).square().sum().backward()
    assert [name for name, parameter in vision.named_parameters() if parameter.grad is not None] == ["prompts"]
    optimizer.step()
    after = vision.state_dict()
    assert [name for name in before if not torch.equal(before[name], after[name])] == ["prompts"]


def test_a_prompt_is_trained_only_where_it_replaced_something():
    vision = prompted("class token", LAYERS)
    masks = torch.ones(2, 1, 32, 32, dtype=torch.bool)
    masks[1, :, 8:16, 16:24] = False  # row 1, column 2
    vision(images("class token"), masks).square().sum().backward()
    trained = vision.prompts.grad.abs().sum(-1) > 0
    assert trained.nonzero().tolist() == [[depth, 4 + 2] for depth in range(LAYERS)]


# How it runs


@pytest.mark.parametrize("kind", ["class token", "CoCa", "SigLIP", "EVA02", "EVA, mixed rope"])
def test_gradient_checkpointing_gives_the_same_gradients(kind):
    gradients = []
    for checkpointing in (False, True):
        vision = prompted(kind, 2)
        vision.visual.set_grad_checkpointing(checkpointing)
        recomputed = _count_calls(vision)
        vision.train()(images(kind), random_masks(kind)).square().sum().backward()
        assert recomputed == [2 if checkpointing else 1] * LAYERS
        gradients.append({name: p.grad for name, p in vision.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


def _count_calls(vision: MaskPromptedVision) -> list[int]:
    """How often each block has run: filled in by hooks while it does."""
    blocks = vision.visual.trunk.blocks if hasattr(vision.visual, "trunk") else vision.visual.transformer.resblocks
    counts = [0] * len(blocks)
    for index, block in enumerate(blocks):

        def count(*_, index=index):
            counts[index] += 1

        block.register_forward_pre_hook(count)
    return counts


@pytest.mark.parametrize("kind", ["class token", "SigLIP", "EVA02"])
def test_compiles_into_one_graph(kind):
    vision, pixels, masks = prompted(kind, 2), images(kind), random_masks(kind)
    compiled = torch.compile(vision, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(pixels, masks), vision(pixels, masks))


@pytest.mark.parametrize("kind", VISION_CFGS)
def test_runs_under_autocast(kind):
    vision, pixels, masks = prompted(kind, 2, scale=0.1), images(kind), random_masks(kind)
    exact = vision(pixels, masks)
    with torch.autocast("cpu", torch.bfloat16):
        rough, plain = vision(pixels, masks), vision(pixels)
    assert rough.dtype == plain.dtype
    assert F.cosine_similarity(rough.float(), exact).min() > 0.99
    rough.float().square().sum().backward()
    assert vision.prompts.grad.dtype == torch.float32


def test_a_copy_is_independent():
    vision = prompted("EVA02", 2)
    twin = copy.deepcopy(vision)
    pixels, masks = images("EVA02"), random_masks("EVA02")
    before = vision(pixels, masks)
    with torch.no_grad():
        for parameter in vision.parameters():
            parameter.zero_()
    assert torch.equal(twin(pixels, masks), before)
    assert twin.state_dict().keys() == {"prompts", *(f"visual.{name}" for name in twin.visual.state_dict())}


# What does not fit


@pytest.mark.parametrize(
    ("architecture", "name"),
    [
        ("RN50", "ModifiedResNet"),
        ("convnext_tiny", r"ConvNeXt \(convnext_tiny\)"),
        ("swin_base_patch4_window7_224", "SwinTransformer"),
        ("vit_relpos_medium_patch16_cls_224", "VisionTransformerRelPos"),
    ],
)
def test_towers_without_patch_tokens_take_no_prompts_but_work(architecture, name):
    config = open_clip.get_model_config(architecture)
    with torch.device("meta"):
        visual = _build_vision_tower(config["embed_dim"], config["vision_cfg"])
        pixels, masks = torch.empty(2, 3, 224, 224), torch.empty(2, 1, 224, 224)
    with pytest.raises(UserError, match=rf"{name}.*mask_prompt_depth to 0 \(full finetuning works\)"):
        MaskPromptedVision(visual, 1)
    vision = MaskPromptedVision(visual, 0)
    assert vision.prompts is None
    assert vision(pixels, masks).shape == (2, config["embed_dim"])
    assert vision.state_dict().keys() == {f"visual.{name}" for name in visual.state_dict()}


@pytest.mark.parametrize("kind", ["class token", "SigLIP", "EVA02"])
def test_depth_zero_ignores_masks(kind):
    vision, pixels = MaskPromptedVision(tower(kind), 0), images(kind)
    assert torch.equal(vision(pixels, random_masks(kind)), vision.visual(pixels))


@pytest.mark.parametrize(
    ("depth", "message"), [(-1, "must be 0 or more, is -1"), (LAYERS + 1, f"{LAYERS + 1}, but.* {LAYERS} blocks")]
)
def test_impossible_depths_are_refused(depth, message):
    with pytest.raises(UserError, match=f"mask_prompt_depth .*{message}"):
        MaskPromptedVision(tower("class token"), depth)


@pytest.mark.parametrize("kind", ["class token", "SigLIP", "EVA02"])
def test_towers_that_drop_patches_take_no_prompts(kind):
    visual = _build_vision_tower(WIDTH, VISION_CFGS[kind] | {"patch_dropout": 0.5})
    with pytest.raises(UserError, match=r"drops some in training.*vision_cfg\.patch_dropout"):
        MaskPromptedVision(visual, 1)


@pytest.mark.parametrize("shape", [(2, 32, 32), (1, 1, 32, 32), (2, 1, 16, 16), (2, 3, 32, 32)])
def test_masks_of_other_pixels_are_refused(shape):
    with pytest.raises(ValueError, match=r"masks must be \[2, 1, 32, 32\]"):
        prompted("class token", 1)(images("class token"), torch.ones(shape))
    assert prompted("class token", 1).prompts.shape == (1, PATCHES, WIDTH)
