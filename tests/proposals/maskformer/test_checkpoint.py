"""Checkpoints in detectron2's layout, against the models of `transformers` whose weights they hold."""

import pickle
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from safetensors.torch import save_file

from pipeline.clip import load_clip
from pipeline.clip.checkpoint_layouts import CLIP_IN_OVSEG, build_openai_model, clip_in_ovseg
from pipeline.errors import UserError
from pipeline.proposals.maskformer import load_ovseg_checkpoint
from pipeline.proposals.maskformer.architecture import build_network
from pipeline.proposals.maskformer.weight_names import fill_network
from tests.clip.openai_weights import EMBED_DIM, mask_prompts, openai_weights
from tests.proposals.maskformer.checkpoints import class_embeddings, random_maskformer, resnet_config, to_detectron2
from tests.proposals.maskformer.released import r101c_vit_b, swin_base_vit_l

# Sides that are multiples of 32, and whose feature maps are multiples of the window in no stage.
PIXELS = torch.randn(2, 3, 96, 224, generator=torch.Generator().manual_seed(1))
UNUSED = ["clip_adapter.pixel_mean", "clip_adapter.pixel_std", "criterion.empty_weight"]


def save(weights, path):
    if path.suffix == ".safetensors":
        save_file({name: tensor.clone() for name, tensor in weights.items()}, path)
    elif path.suffix == ".pkl":
        arrays = {name: tensor.numpy() for name, tensor in weights.items()}
        path.write_bytes(pickle.dumps({"model": arrays, "__author__": "third_party"}))
    else:
        torch.save({"model": weights, "iteration": 119999}, path)


@pytest.fixture(scope="module")
def expected(maskformer):
    with torch.inference_mode():
        return maskformer(PIXELS)


@pytest.mark.parametrize("suffix", [".pth", ".pkl", ".safetensors"])
def test_ovseg_gives_the_masks_and_embeddings_of_its_weights(tmp_path, ovseg_weights, expected, suffix):
    path = tmp_path / f"ovseg{suffix}"
    save(ovseg_weights, path)
    checkpoint = load_ovseg_checkpoint(path)
    with torch.inference_mode():
        masks, embeddings = checkpoint.proposal_model(PIXELS)
    torch.testing.assert_close(masks, expected.masks_queries_logits, atol=1e-5, rtol=1e-5)
    queries = expected.transformer_decoder_last_hidden_state
    torch.testing.assert_close(embeddings, class_embeddings(ovseg_weights, queries), atol=1e-4, rtol=1e-5)
    assert checkpoint.unused == UNUSED
    assert not checkpoint.proposal_model.training
    assert not any(parameter.requires_grad for parameter in checkpoint.proposal_model.parameters())


def test_maskformer_gives_its_own_classes(maskformer_file, expected):
    checkpoint = load_ovseg_checkpoint(maskformer_file)
    with torch.inference_mode():
        masks, classes = checkpoint.proposal_model(PIXELS)
    torch.testing.assert_close(masks, expected.masks_queries_logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(classes, expected.class_queries_logits, atol=1e-5, rtol=1e-5)
    assert checkpoint.proposal_model.embedding_width is None
    with pytest.raises(UserError, match=r"maskformer\.pth' cannot be loaded"):
        _ = checkpoint.clip


def test_logits_of_the_open_vocabulary_head(ovseg_file, ovseg_weights):
    network = load_ovseg_checkpoint(ovseg_file).proposal_model
    generator = torch.Generator().manual_seed(2)
    embeddings = torch.randn(2, 10, EMBED_DIM, generator=generator)
    texts = F.normalize(torch.randn(4, EMBED_DIM, generator=generator), dim=-1)
    classes = [*texts, ovseg_weights["clip_adapter.non_object_embedding"][0]]
    cosines = [[[F.cosine_similarity(query, other, dim=0) for other in classes] for query in one] for one in embeddings]
    torch.testing.assert_close(network.class_logits(embeddings, texts), 100 * torch.tensor(cosines), atol=1e-4, rtol=0)


@pytest.fixture(scope="module")
def resnet():
    return random_maskformer(resnet_config())


def test_resnet_as_in_r50(tmp_path, resnet):
    save(to_detectron2(resnet), tmp_path / "r50.pth")
    checkpoint = load_ovseg_checkpoint(tmp_path / "r50.pth")
    with torch.inference_mode():
        masks, classes = checkpoint.proposal_model(PIXELS)
        expected = resnet(PIXELS)
    torch.testing.assert_close(masks, expected.masks_queries_logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(classes, expected.class_queries_logits, atol=1e-5, rtol=1e-5)
    assert set(checkpoint.unused) == {"criterion.empty_weight"} | {
        name for name in to_detectron2(resnet) if name.endswith("num_batches_tracked")
    }


def convolve(weights, name, maps, stride=1, dilation=1):
    """A convolution of detectron2 with its frozen batch norm."""
    kernel = weights[f"{name}.weight"]
    maps = F.conv2d(maps, kernel, stride=stride, padding=dilation * (kernel.shape[-1] // 2), dilation=dilation)
    mean, variance, scale, offset = (
        weights[f"{name}.norm.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (maps - mean) / (variance + 1e-5).sqrt() * scale + offset


def test_resnet_as_in_r101c(tmp_path, resnet):
    """The stem of three convolutions and the dilations 1, 2, 4 of DeepLab, convolution by convolution."""
    weights = to_detectron2(resnet)
    generator = torch.Generator().manual_seed(3)
    for place, (outputs, inputs) in enumerate(((32, 3), (32, 32), (64, 32)), start=1):
        name = f"backbone.stem.conv{place}"
        weights[f"{name}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=generator) / 10
        for part in ("weight", "bias", "running_mean", "running_var"):
            weights[f"{name}.norm.{part}"] = torch.rand(outputs, generator=generator) + 0.5
    save(weights, tmp_path / "r101c.pth")
    network = load_ovseg_checkpoint(tmp_path / "r101c.pth").proposal_model

    maps = PIXELS
    for place in (1, 2, 3):
        maps = convolve(weights, f"backbone.stem.conv{place}", maps, stride=2 if place == 1 else 1).relu()
    maps = F.max_pool2d(maps, 3, stride=2, padding=1)
    expected = []
    for stage, blocks in enumerate((2, 1, 1, 3), start=2):
        for block in range(blocks):
            name = f"backbone.res{stage}.{block}"
            stride = 2 if block == 0 and stage > 2 else 1
            inner = convolve(weights, f"{name}.conv1", maps).relu()
            dilation = (1, 2, 4)[block] if stage == 5 else 1
            inner = convolve(weights, f"{name}.conv2", inner, stride, dilation).relu()
            inner = convolve(weights, f"{name}.conv3", inner)
            shortcut = convolve(weights, f"{name}.shortcut", maps, stride) if block == 0 else maps
            maps = (inner + shortcut).relu()
        expected.append(maps)
    with torch.inference_mode():
        found = network.backbone(PIXELS).feature_maps
    for stage, (one, other) in enumerate(zip(found, expected, strict=True)):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4, msg=lambda text, stage=stage: f"{stage}: {text}")


# The released checkpoints


@pytest.mark.parametrize(("shapes", "swin"), [(swin_base_vit_l(), True), (r101c_vit_b(), False)])
def test_every_weight_of_the_released_layouts_has_a_place(shapes, swin):
    weights = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    prompts = f"{CLIP_IN_OVSEG}visual.mask_embedding"
    weights[prompts] = torch.ones(shapes[prompts])
    rest = {name: tensor for name, tensor in weights.items() if not name.startswith(CLIP_IN_OVSEG)}
    network = build_network(rest)
    assert fill_network(network, rest, Path("released.pth")) == UNUSED
    with torch.inference_mode():
        masks, embeddings = network(torch.empty(1, 3, 64, 96, device="meta"))
    assert masks.shape == (1, 100, 16, 24)
    assert embeddings.shape == (1, 100, 768 if swin else 512)
    # In evaluation these tensors are all there is: the network has no weight that the file does not give it.
    given = sum(tensor.numel() for name, tensor in rest.items() if name not in UNUSED)
    counters = sum(name.endswith("num_batches_tracked") for name in network.state_dict())
    assert sum(tensor.numel() for tensor in network.state_dict().values()) == given + counters
    with torch.device("meta"):
        model, cfg, found = build_openai_model(clip_in_ovseg(weights))
    assert len(model.state_dict()) == len(weights) - len(rest) - 1
    assert found is weights[prompts]
    assert cfg["vision_cfg"]["patch_size"] == (14 if swin else 16)


# The CLIP inside


def test_the_clip_inside_is_the_one_of_its_own_file(tmp_path, ovseg_file):
    torch.save(openai_weights() | {"visual.mask_embedding": mask_prompts(2)}, tmp_path / "clip.pt")
    alone = load_clip(None, str(tmp_path / "clip.pt"))
    for clip in (load_ovseg_checkpoint(ovseg_file).clip, load_clip(None, str(ovseg_file))):
        assert clip.weights_sha256() == alone.weights_sha256()
        assert clip.vision.depth == 2


def test_prompts_that_were_never_trained_are_not_used(tmp_path, ovseg_weights):
    prompts = f"{CLIP_IN_OVSEG}visual.mask_embedding"
    save(ovseg_weights | {prompts: torch.zeros_like(ovseg_weights[prompts])}, tmp_path / "ovseg.pth")
    checkpoint = load_ovseg_checkpoint(tmp_path / "ovseg.pth")
    assert checkpoint.clip.vision.depth == 0
    assert checkpoint.unused == sorted([*UNUSED, prompts])


# Other models


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"backbone.layers.1.blocks.0.mlp.fc1.bias": None}, r"it lacks backbone\.layers\.1\.blocks\.0\.mlp\.fc1\.bias"),
        ({"clip_adapter.non_object_embedding": None}, r"it lacks clip_adapter\.non_object_embedding"),
        (
            {"backbone.patch_embed.proj.weight": None},
            r"a Swin or ResNet backbone: it lacks backbone\.res2\.0\.conv2\.wei",
        ),
        ({"sem_seg_head.predictor.query_embed.weight": None}, r"it lacks sem_seg_head\.predictor\.query_embed\.weight"),
        ({"backbone.norm1.weight": (31,)}, r"of another shape: backbone\.norm1\.weight \(\[31\], expected \[32\]\)"),
        (
            {"backbone.layers.0.blocks.0.attn.qkv.weight": (40, 16)},
            r"attn\.qkv\.weight \(\[40, 16\], expected \[48, 16\]\)",
        ),
        ({"backbone.absolute_pos_embed": (1, 16, 8, 8)}, r"unknown: backbone\.absolute_pos_embed \(\[1, 16, 8, 8\]\)"),
        ({f"sem_seg_head.more.{place}": (1,) for place in range(5)}, r"unknown: sem_seg_head\.more\.0 .* and 2 more"),
        ({"sem_seg_head.pixel_decoder.mask_features.weight": (40, 40, 3, 3)}, r"of these sizes: .* divisible"),
        ({"backbone.layers.0.blocks.0.attn.relative_position_bias_table": (49,)}, r"of these sizes"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_other_models_are_refused_by_their_weights(tmp_path, ovseg_weights, change, says):
    weights = dict(ovseg_weights)
    for name, shape in change.items():
        if shape is None:
            del weights[name]
        else:
            weights[name] = torch.zeros(shape)
    save(weights, tmp_path / "other.pth")
    with pytest.raises(UserError, match=rf"checkpoint .*other\.pth.*{says}"):
        load_ovseg_checkpoint(tmp_path / "other.pth")


def test_a_clip_is_no_maskformer(tmp_path):
    torch.save(openai_weights(), tmp_path / "clip.pt")
    with pytest.raises(UserError, match=re.escape("begins with positional_embedding, text_projection, logit_scale")):
        load_ovseg_checkpoint(tmp_path / "clip.pt")
