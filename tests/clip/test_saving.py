"""Directories that open_clip loads without this package."""

import json

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pipeline.clip import load_clip
from pipeline.clip.saving import save_clip
from pipeline.errors import UserError
from pipeline.regions.clip_input import ClipInput
from tests.clip.openai_weights import mask_prompts, openai_weights
from tests.clip.towers import SIZE, VISION_CFGS, WIDTH

TEXTS = ["a photo of a fire hydrant.", "Dog"]
TEXT_CFG = {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}


def model_folder(folder, model_cfg, preprocess_cfg):
    """A `local-dir:` with random weights, as somebody else's tool might have written it."""
    folder.mkdir()
    config = {"model_cfg": model_cfg, "preprocess_cfg": preprocess_cfg}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{folder}", pretrained_text=False)
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    return f"local-dir:{folder}"


def assert_open_clip_gives_the_same(clip, folder):
    """Outputs, preprocessing and tokens of the directory, loaded by open_clip alone."""
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}", require_pretrained=True)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    model.eval().requires_grad_(False)  # as `load_clip` leaves it: attention rounds differently otherwise
    pixels = torch.randn(2, 3, clip.input.size, clip.input.size)
    tokens = tokenizer(TEXTS)
    assert torch.equal(tokens, clip.tokenizer(TEXTS))
    with torch.no_grad():
        assert torch.equal(model.encode_image(pixels), clip.model.encode_image(pixels))
        assert torch.equal(model.encode_image(pixels), clip.vision(pixels))
        assert torch.equal(model.encode_text(tokens), clip.text(tokens))
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 80, 3), dtype=np.uint8))
    assert torch.equal(preprocess(image), clip.preprocess(image))
    assert torch.equal(model.logit_scale, clip.logit_scale)


@pytest.mark.parametrize("quick_gelu", [False, True])
@pytest.mark.parametrize("kind", ["class token", "CLIPA", "SigLIP", "EVA02"])
def test_open_clip_loads_what_was_saved(tmp_path, kind, quick_gelu):
    model_cfg = {
        "embed_dim": WIDTH, "quick_gelu": quick_gelu, "vision_cfg": VISION_CFGS[kind], "text_cfg": TEXT_CFG,
        "custom_text": kind == "SigLIP", "init_logit_bias": -10 if kind == "SigLIP" else None,
    }  # fmt: skip
    preprocess_cfg = {
        "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3], "interpolation": "bilinear", "resize_mode": "squash",
    }  # fmt: skip
    clip = load_clip(model_folder(tmp_path / "source", model_cfg, preprocess_cfg))
    save_clip(clip, tmp_path / "new" / "result")
    assert_open_clip_gives_the_same(clip, tmp_path / "new" / "result")
    again = load_clip(f"local-dir:{tmp_path / 'new' / 'result'}")
    assert again.weights_sha256() == clip.weights_sha256()
    assert again.input == ClipInput(SIZE, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))


def test_what_a_tag_says_about_its_weights_is_kept(tmp_path, monkeypatch):
    torch.manual_seed(0)
    torch.save(open_clip.create_model("ViT-S-32-alt").state_dict(), tmp_path / "weights.pt")
    tag = {
        "file": str(tmp_path / "weights.pt"), "quick_gelu": True, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5),
        "interpolation": "bilinear", "resize_mode": "squash",
    }  # fmt: skip
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "ViT-S-32-alt", {"local": tag})
    clip = load_clip("ViT-S-32-alt", "local")
    assert clip.input.mean == (0.5, 0.5, 0.5)
    save_clip(clip, tmp_path / "result")
    assert_open_clip_gives_the_same(clip, tmp_path / "result")


@pytest.fixture
def ovseg(tmp_path):
    """A CLIP with QuickGELU and three mask prompts, which no open_clip configuration names."""
    torch.save(openai_weights() | {"visual.mask_embedding": mask_prompts(3)}, tmp_path / "ovseg.pt")
    return load_clip(None, str(tmp_path / "ovseg.pt"))


def test_mask_prompts_lie_beside_the_weights(tmp_path, ovseg):
    save_clip(ovseg, tmp_path / "result")
    assert_open_clip_gives_the_same(ovseg, tmp_path / "result")
    assert torch.equal(load_file(tmp_path / "result" / "mask_prompts.safetensors")["prompts"], mask_prompts(3))
    again = load_clip(f"local-dir:{tmp_path / 'result'}", mask_prompt_depth=3)
    pixels, masks = torch.randn(2, 3, 32, 32), torch.rand(2, 1, 32, 32) < 0.01
    assert torch.equal(again.vision(pixels, masks), ovseg.vision(pixels, masks))
    assert not torch.equal(again.vision(pixels, masks), again.vision(pixels))
    with pytest.raises(UserError, match="mask_prompt_depth is 2, but the checkpoint has mask prompts of depth 3"):
        load_clip(f"local-dir:{tmp_path / 'result'}", mask_prompt_depth=2)


def test_saving_twice_gives_the_same_bytes(tmp_path, ovseg):
    for name in ("first", "second"):
        save_clip(ovseg, tmp_path / name)
    save_clip(load_clip(f"local-dir:{tmp_path / 'first'}"), tmp_path / "third")
    first, second, third = (
        {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("first", "second", "third")
    )
    assert first == second == third
    assert first.keys() == {"open_clip_config.json", "open_clip_model.safetensors", "mask_prompts.safetensors"}


def test_prompts_of_an_earlier_clip_do_not_stay(tmp_path, ovseg):
    save_clip(ovseg, tmp_path)
    torch.save(openai_weights(), tmp_path / "plain.pt")
    save_clip(load_clip(None, str(tmp_path / "plain.pt")), tmp_path)
    assert load_clip(f"local-dir:{tmp_path}").vision.depth == 0


def test_a_directory_without_weights_is_refused(tmp_path, ovseg):
    save_clip(ovseg, tmp_path)
    (tmp_path / "open_clip_model.safetensors").unlink()
    (tmp_path / "mask_prompts.safetensors").unlink()
    with pytest.raises(UserError, match=r"local-dir:.* cannot be loaded: Required pretrained weights"):
        load_clip(f"local-dir:{tmp_path}")


def test_tokenizer_and_text_tower_of_hugging_face(tmp_path):
    transformers = pytest.importorskip("transformers")
    import tokenizers

    words = {word: index for index, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", "dog", "a", "photo", "of"])}
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    model.normalizer = tokenizers.normalizers.Lowercase()
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    text_tower = tmp_path / "text-tower"
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=model, pad_token="<pad>", unk_token="<unk>", eos_token="</s>"
    ).save_pretrained(text_tower)
    transformers.RobertaConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=24,
    ).save_pretrained(text_tower)  # fmt: skip
    text_cfg = {
        "hf_model_name": str(text_tower), "hf_tokenizer_name": str(text_tower), "hf_proj_type": "linear",
        "hf_pooler_type": "mean_pooler", "context_length": 12, "tokenizer_kwargs": {"clean": "canonicalize"},
    }  # fmt: skip
    model_cfg = {"embed_dim": WIDTH, "vision_cfg": VISION_CFGS["class token"], "text_cfg": text_cfg}
    source = tmp_path / "source"
    # open_clip reads the tokenizer of a directory from that directory.
    transformers.AutoTokenizer.from_pretrained(text_tower).save_pretrained(tmp_path / "tokenizer")
    architecture = model_folder(source, model_cfg, {})
    for file in (tmp_path / "tokenizer").iterdir():
        file.rename(source / file.name)
    clip = load_clip(architecture)
    assert clip.tokenizer(["A photo of, dog!"])[0, :5].tolist() == [5, 6, 7, 4, 1]
    save_clip(clip, tmp_path / "result")
    assert_open_clip_gives_the_same(clip, tmp_path / "result")
