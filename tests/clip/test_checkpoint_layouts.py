"""OpenAI's layout and OVSeg's, against open_clip's own reader, Hugging Face's CLIP and themselves."""

import zipfile
from dataclasses import replace

import open_clip
import pytest
import torch
from open_clip.model import build_model_from_openai_state_dict
from open_clip.openai import load_openai_model
from safetensors.torch import save_file

from pipeline.clip import MaskPromptedVision, load_clip
from pipeline.clip.checkpoint_layouts import export_clip, to_openai_state_dict, to_ovseg_state_dict
from pipeline.errors import UserError
from tests.clip.openai_weights import (
    EMBED_DIM,
    GRID,
    PATCH,
    TEXT_LAYERS,
    TEXT_WIDTH,
    VISION_LAYERS,
    VISION_WIDTH,
    as_torchscript,
    mask_prompts,
    openai_weights,
)

PIXELS = torch.randn(2, 3, PATCH * GRID, PATCH * GRID, generator=torch.Generator().manual_seed(1))
TEXTS = ["a photo of a fire hydrant.", "dog"]


@pytest.fixture(scope="module")
def weights():
    return openai_weights()


@pytest.fixture(scope="module")
def expected(weights):
    """Image and text features by open_clip's reader of the layout."""
    model = build_model_from_openai_state_dict(dict(weights), cast_dtype=torch.float32).float()
    with torch.no_grad():
        return model.encode_image(PIXELS), model.encode_text(open_clip.tokenize(TEXTS))


def assert_gives(clip, expected):
    with torch.no_grad():
        torch.testing.assert_close(clip.vision(PIXELS), expected[0], atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(clip.text(clip.tokenizer(TEXTS)), expected[1], atol=1e-6, rtol=1e-6)


def save(weights, path, kind):
    match kind:
        case "state dict":
            torch.save(weights, path)
        case "half precision":
            torch.save({name: tensor.half() for name, tensor in weights.items()}, path)
        case "old file format":
            torch.save(weights, path, _use_new_zipfile_serialization=False)
        case "open_clip_train":
            wrapped = {f"module.{name}": tensor for name, tensor in weights.items()}
            torch.save({"epoch": 5, "name": "ft", "state_dict": wrapped, "optimizer": {"state": {}}}, path)
        case "TorchScript":
            as_torchscript(weights, path)
        case "safetensors":
            save_file(weights, path)


KINDS = ["state dict", "half precision", "old file format", "open_clip_train", "TorchScript", "safetensors"]


@pytest.mark.parametrize("kind", KINDS)
def test_openai_layout_says_all_sizes_itself(tmp_path, weights, expected, kind):
    path = tmp_path / ("weights.safetensors" if kind == "safetensors" else "weights.pt")
    save(weights, path, kind)
    clip = load_clip(None, str(path))
    assert_gives(clip, expected)
    assert clip.vision.depth == 0
    assert clip.input.size == PATCH * GRID
    assert clip.input.mean == open_clip.OPENAI_DATASET_MEAN
    assert clip.logit_scale.item() == 2.5
    assert {parameter.dtype for parameter in clip.model.parameters()} == {torch.float32}
    assert clip.model_cfg["vision_cfg"]["layers"] == VISION_LAYERS
    assert clip.model_cfg["text_cfg"]["layers"] == TEXT_LAYERS


def test_openai_layout_of_a_resnet(tmp_path):
    torch.manual_seed(0)
    config = {
        "embed_dim": 64, "quick_gelu": True,
        "vision_cfg": {"layers": [1, 2, 1, 1], "width": 16, "image_size": 64, "patch_size": None},
        "text_cfg": {"width": 64, "heads": 1, "layers": 1},
    }  # fmt: skip
    model = open_clip.CLIP(**config).eval()
    torch.save(model.state_dict(), tmp_path / "resnet.pt")
    clip = load_clip(None, str(tmp_path / "resnet.pt"))
    pixels = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(clip.vision(pixels), model.visual(pixels))
    again = to_openai_state_dict(clip)
    assert all(torch.equal(again[name], tensor) for name, tensor in model.state_dict().items())
    with pytest.raises(UserError, match="ModifiedResNet"):
        load_clip(None, str(tmp_path / "resnet.pt"), mask_prompt_depth=3)


def test_hugging_face_computes_the_same(tmp_path, weights, expected):
    transformers = pytest.importorskip("transformers")
    config = transformers.CLIPConfig(
        projection_dim=EMBED_DIM,
        text_config={
            "hidden_size": TEXT_WIDTH, "intermediate_size": 4 * TEXT_WIDTH, "num_hidden_layers": TEXT_LAYERS,
            "num_attention_heads": TEXT_WIDTH // 64, "projection_dim": EMBED_DIM, "eos_token_id": 49407,
        },
        vision_config={
            "hidden_size": VISION_WIDTH, "intermediate_size": 4 * VISION_WIDTH, "num_hidden_layers": VISION_LAYERS,
            "num_attention_heads": VISION_WIDTH // 64, "image_size": PATCH * GRID, "patch_size": PATCH,
            "projection_dim": EMBED_DIM,
        },
    )  # fmt: skip
    model = transformers.CLIPModel(config).eval()
    renamed = {
        "logit_scale": weights["logit_scale"],
        "text_projection.weight": weights["text_projection"].T,
        "visual_projection.weight": weights["visual.proj"].T,
        "text_model.embeddings.token_embedding.weight": weights["token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": weights["positional_embedding"],
        "vision_model.embeddings.class_embedding": weights["visual.class_embedding"],
        "vision_model.embeddings.patch_embedding.weight": weights["visual.conv1.weight"],
        "vision_model.embeddings.position_embedding.weight": weights["visual.positional_embedding"],
    }
    for ours, theirs in (
        ("ln_final", "text_model.final_layer_norm"),
        ("visual.ln_pre", "vision_model.pre_layrnorm"),  # their spelling
        ("visual.ln_post", "vision_model.post_layernorm"),
    ):
        for part in ("weight", "bias"):
            renamed[f"{theirs}.{part}"] = weights[f"{ours}.{part}"]
    for prefix, tower, layers in (("visual.", "vision_model", VISION_LAYERS), ("", "text_model", TEXT_LAYERS)):
        for index in range(layers):
            ours, theirs = f"{prefix}transformer.resblocks.{index}", f"{tower}.encoder.layers.{index}"
            for part in ("weight", "bias"):
                for name, rows in zip("qkv", weights[f"{ours}.attn.in_proj_{part}"].chunk(3), strict=True):
                    renamed[f"{theirs}.self_attn.{name}_proj.{part}"] = rows
                for own, other in (
                    ("attn.out_proj", "self_attn.out_proj"),
                    ("mlp.c_fc", "mlp.fc1"),
                    ("mlp.c_proj", "mlp.fc2"),
                    ("ln_1", "layer_norm1"),
                    ("ln_2", "layer_norm2"),
                ):
                    renamed[f"{theirs}.{other}.{part}"] = weights[f"{ours}.{own}.{part}"]
    unfit = model.load_state_dict(renamed, strict=False)
    assert not unfit.unexpected_keys
    assert all(name.endswith("position_ids") for name in unfit.missing_keys)

    save(weights, tmp_path / "weights.pt", "state dict")
    clip = load_clip(None, str(tmp_path / "weights.pt"))
    with torch.no_grad():
        image = model.visual_projection(model.vision_model(PIXELS).pooler_output)
        text = model.text_projection(model.text_model(input_ids=clip.tokenizer(TEXTS)).pooler_output)
    assert_gives(clip, (image, text))


# OVSeg's layout


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "half precision"])
def test_ovseg_layout_brings_its_mask_prompts(tmp_path, weights, expected, kind):
    path = tmp_path / ("weights.safetensors" if kind == "safetensors" else "weights.pt")
    prompts = mask_prompts(3).half().float()
    save(weights | {"visual.mask_embedding": prompts}, path, kind)
    for depth in (0, 3):
        clip = load_clip(None, str(path), mask_prompt_depth=depth)
        assert torch.equal(clip.vision.prompts, prompts)
    assert_gives(clip, expected)
    assert not any(parameter.requires_grad for parameter in clip.vision.parameters())


def test_a_prompt_for_all_patches_is_repeated(tmp_path, weights):
    shared = mask_prompts(2, patches=1)
    torch.save(weights | {"visual.mask_embedding": shared}, tmp_path / "weights.pt")
    clip = load_clip(None, str(tmp_path / "weights.pt"))
    assert clip.vision.prompts.shape == (2, GRID**2, VISION_WIDTH)
    assert torch.equal(clip.vision.prompts, shared.expand(-1, GRID**2, -1))


def test_new_prompts_where_the_checkpoint_has_none(tmp_path, weights):
    torch.save(weights, tmp_path / "weights.pt")
    clip = load_clip(None, str(tmp_path / "weights.pt"), mask_prompt_depth=2)
    assert clip.vision.prompts.shape == (2, GRID**2, VISION_WIDTH)
    assert clip.vision.prompts.std().item() == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize(
    ("prompts", "depth", "message"),
    [
        (mask_prompts(3), 6, r"mask_prompt_depth is 6, but the checkpoint has mask prompts of depth 3"),
        (mask_prompts(3, patches=9), 0, r"9 patches of width 128, but its vision tower has 16 of width 128"),
        (mask_prompts(3)[0], 0, r"must have 3 axes.*have 2"),
        (mask_prompts(4), 0, r"mask_prompt_depth is 4, but the vision tower has 3 blocks"),
    ],
)
def test_prompts_that_do_not_fit_are_refused(tmp_path, weights, prompts, depth, message):
    torch.save(weights | {"visual.mask_embedding": prompts}, tmp_path / "weights.pt")
    with pytest.raises(UserError, match=message):
        load_clip(None, str(tmp_path / "weights.pt"), mask_prompt_depth=depth)


@pytest.mark.parametrize("kind", ["open_clip_train", "TorchScript"])
def test_an_architecture_beside_such_a_file_must_be_the_same(tmp_path, kind):
    torch.manual_seed(0)
    config = open_clip.get_model_config("ViT-S-32-alt")
    prompts = torch.randn(1, 49, config["vision_cfg"]["width"]).half().float()
    model = open_clip.CLIP(**config, quick_gelu=True).half().float().eval()
    path = tmp_path / "weights.pt"
    save(model.state_dict() | {"visual.mask_embedding": prompts}, path, kind)
    clip = load_clip("ViT-S-32-alt", str(path))
    assert torch.equal(clip.vision.prompts, prompts)
    pixels = torch.rand(1, 3, 224, 224)
    torch.testing.assert_close(clip.vision(pixels), model.visual(pixels))  # QuickGELU, though the name says GELU
    with pytest.raises(UserError, match=r"'ViT-M-32-alt': embed_dim is 256, not 384"):
        load_clip("ViT-M-32-alt", str(path))


@pytest.mark.parametrize("weights", [None, "openai", "random", "nowhere.pt"])
def test_without_an_architecture_there_must_be_a_file(weights):
    with pytest.raises(UserError, match=rf"clip\.architecture is empty, so clip\.weights must be a file.* {weights!r}"):
        load_clip(None, weights)


def test_files_of_other_layouts_are_refused(tmp_path, weights):
    other = {name: tensor for name, tensor in weights.items() if name != "text_projection"}
    torch.save(other, tmp_path / "other.pt")
    with pytest.raises(UserError, match=r"other\.pt' cannot be loaded: it has no weight 'text_projection'"):
        load_clip(None, str(tmp_path / "other.pt"))
    torch.save(weights | {"visual.extra": torch.zeros(1)}, tmp_path / "more.pt")
    with pytest.raises(UserError, match=r"more\.pt' cannot be loaded: .*Unexpected key.*\"visual\.extra\""):
        load_clip(None, str(tmp_path / "more.pt"))
    torch.save({"lr": 1.0}, tmp_path / "numbers.pt")
    with pytest.raises(UserError, match=r"numbers\.pt holds no state dict"):
        load_clip(None, str(tmp_path / "numbers.pt"))


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "other zip"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_damaged_files_are_named(tmp_path, weights, damage, suffix):
    path = tmp_path / f"weights{suffix}"
    save(weights, path, "safetensors" if suffix == ".safetensors" else "state dict")
    match damage:
        case "cut":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        case "text":
            path.write_text("version https://git-lfs.github.com/spec/v1\n")
        case "empty":
            path.write_bytes(b"")
        case "other zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("readme.txt", "no weights")
    with pytest.raises(UserError, match=rf"checkpoint .*weights\{suffix} cannot be loaded: it is damaged"):
        load_clip(None, str(path))


# Writing


@pytest.fixture
def clip(tmp_path, weights):
    torch.save(weights, tmp_path / "source.pt")
    return load_clip(None, str(tmp_path / "source.pt"))


@pytest.fixture
def prompted(tmp_path, weights):
    torch.save(weights | {"visual.mask_embedding": mask_prompts(3)}, tmp_path / "prompted.pt")
    return load_clip(None, str(tmp_path / "prompted.pt"))


def test_openai_export_is_read_by_open_clip_and_equals_its_source(tmp_path, clip, weights, expected):
    export_clip(clip, "openai", tmp_path / "out.pt")
    written = torch.load(tmp_path / "out.pt", weights_only=True)
    assert written.keys() == weights.keys()
    for name, tensor in weights.items():
        assert written[name].dtype == torch.float32
        assert torch.equal(written[name], tensor), name
    model = load_openai_model(str(tmp_path / "out.pt"), precision="fp32", device="cpu")
    with torch.no_grad():
        torch.testing.assert_close(model.encode_image(PIXELS), expected[0], atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(model.encode_text(open_clip.tokenize(TEXTS)), expected[1], atol=1e-6, rtol=1e-6)


def test_ovseg_export_comes_back(tmp_path, prompted, weights):
    export_clip(prompted, "ovseg", tmp_path / "out.pt")
    written = torch.load(tmp_path / "out.pt", weights_only=True)["state_dict"]
    assert written.keys() == {f"module.{name}" for name in (*weights, "visual.mask_embedding")}
    assert torch.equal(written["module.visual.mask_embedding"], mask_prompts(3))
    again = load_clip(None, str(tmp_path / "out.pt"))
    assert again.weights_sha256() == prompted.weights_sha256()


def test_ovseg_export_without_prompts(clip, weights):
    assert to_ovseg_state_dict(clip).keys() == weights.keys()


def test_exports_do_not_share_memory_with_the_model(prompted):
    before = prompted.weights_sha256()
    for tensor in to_ovseg_state_dict(prompted).values():
        tensor.zero_()
    assert prompted.weights_sha256() == before


def test_openai_layout_has_no_place_for_prompts(prompted):
    with pytest.raises(UserError, match=r"3 mask prompts.*--layout ovseg"):
        to_openai_state_dict(prompted)


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        ("ViT-S-32-alt", "trained with GELU"),
        ("RN50", "trained with GELU"),
        ("ViT-B-16-SigLIP", "CustomTextCLIP"),
        ("convnext_base", "vision tower is a TimmModel"),
        ("ViT-H-14-CLIPA", r"vision_cfg\.pool_type is avg, and the layout means tok"),
        ("ViT-bigG-14", r"vision_cfg\.head_width is 104, and the layout means 64"),
        ("ViT-M-16-alt", r"vision_cfg\.ls_init_value is 0.0001"),
    ],
)
def test_models_of_another_kind_are_refused_with_the_reason(clip, architecture, reason):
    cfg = open_clip.get_model_config(architecture)
    with torch.device("meta"):
        other = as_clip(clip, cfg)
    for write in (to_openai_state_dict, to_ovseg_state_dict):
        with pytest.raises(UserError, match=f"cannot be written in OpenAI's layout: .*{reason}"):
            write(other)


def as_clip(clip, cfg):
    """A CLIP around a random model of another configuration."""
    kind = open_clip.CustomTextCLIP if cfg.get("custom_text") else open_clip.CLIP
    model = kind(**{key: value for key, value in cfg.items() if key != "custom_text"})
    return replace(clip, model=model, vision=MaskPromptedVision(model.visual, 0), model_cfg=cfg)


@pytest.mark.parametrize("architecture", ["ViT-B-32-quickgelu", "ViT-L-14-336-quickgelu", "RN50x4-quickgelu"])
def test_openais_architectures_come_back(tmp_path, clip, architecture):
    cfg = open_clip.get_model_config(architecture)
    cfg["vision_cfg"]["layers"] = [1, 1, 1, 1] if architecture.startswith("RN") else 1
    cfg["text_cfg"] |= {"layers": 1, "vocab_size": 100}
    source = as_clip(clip, cfg)
    export_clip(source, "openai", tmp_path / "out.pt")
    again = load_clip(None, str(tmp_path / "out.pt"))
    assert again.weights_sha256() == source.weights_sha256()
    assert again.input.size == cfg["vision_cfg"]["image_size"]
