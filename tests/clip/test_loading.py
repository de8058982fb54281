"""Loading by name, from a directory and from a file."""

import hashlib

import numpy as np
import open_clip
import pytest
import torch
from jsonargparse import ArgumentParser
from safetensors.torch import save_file

from pipeline.clip import ClipConfig, load_clip
from pipeline.clip.saving import save_clip
from pipeline.errors import UserError


def test_loads_a_local_directory_with_its_own_preprocessing(tiny):
    assert tiny.input.size == 32
    assert tiny.input.mean == (0.5, 0.4, 0.3)
    assert not tiny.model.training
    assert not any(parameter.requires_grad for parameter in tiny.model.parameters())
    assert tiny.logit_scale.exp().item() == pytest.approx(1 / 0.07, rel=1e-5)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_loads_a_checkpoint_file(tmp_path, suffix):
    torch.manual_seed(5)
    model = open_clip.create_model("ViT-S-32-alt")
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save({"state_dict": model.state_dict()}, path)
    else:
        save_file(model.state_dict(), path)
    clip = load_clip("ViT-S-32-alt", str(path))
    pixels = torch.rand(2, 3, 224, 224)
    torch.testing.assert_close(clip.vision(pixels), model.eval().visual(pixels))


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(5)
    return open_clip.create_model("ViT-S-32-alt")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: {"epoch": np.int64(3), "state_dict": weights, "optimizer": {"lr": np.float64(1e-3)}},
        lambda weights: {"state_dict": {f"module._orig_mod.{name}": tensor for name, tensor in weights.items()}},
        lambda weights: {name.replace("visual.", "visual._orig_mod."): tensor for name, tensor in weights.items()},
        lambda weights: {f"model.{name}": tensor for name, tensor in weights.items()} | {"loss.bias": torch.zeros(1)},
    ],
)
def test_checkpoints_of_others_that_trained_with_open_clip(tmp_path, small, wrap):
    torch.save(wrap(small.state_dict()), tmp_path / "epoch_3.pt")
    clip = load_clip("ViT-S-32-alt", str(tmp_path / "epoch_3.pt"))
    assert all(tensor.equal(small.state_dict()[name]) for name, tensor in clip.model.state_dict().items())


def test_a_checkpoint_with_a_bias_of_the_logits(tmp_path):
    """As `open_clip_train --siglip` makes of any architecture."""
    model = open_clip.create_model("ViT-S-32-alt", init_logit_bias=-10)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "siglip.pt")
    clip = load_clip("ViT-S-32-alt", str(tmp_path / "siglip.pt"))
    assert clip.model.logit_bias.item() == -10
    save_clip(clip, tmp_path / "saved")
    assert load_clip(f"local-dir:{tmp_path / 'saved'}").weights_sha256() == clip.weights_sha256()


def test_weights_are_fitted_as_open_clip_does(tmp_path, caplog):
    """Of another resolution, with the scale as a list: its own function says what comes out."""
    weights = open_clip.create_model("ViT-S-32-alt", force_image_size=128).state_dict()
    weights["logit_scale"] = weights["logit_scale"].reshape(1)
    torch.save(weights, tmp_path / "weights.pt")
    expected = open_clip.create_model("ViT-S-32-alt", pretrained=str(tmp_path / "weights.pt")).state_dict()
    caplog.clear()
    found = load_clip("ViT-S-32-alt", str(tmp_path / "weights.pt")).model.state_dict()
    assert found.keys() == expected.keys()
    assert all(tensor.equal(expected[name]) for name, tensor in found.items())
    assert "randomly" not in caplog.text


def test_hash_follows_the_weights_not_the_file(tiny_folder, tiny):
    again = load_clip(f"local-dir:{tiny_folder}")
    assert again.weights_sha256() == tiny.weights_sha256()
    with torch.no_grad():
        again.vision.visual.conv1.weight[0, 0, 0, 0] += 1e-3
    assert again.weights_sha256() != tiny.weights_sha256()


def test_hash_covers_the_prompts_where_there_are_some(tiny_folder, tiny):
    weights = hashlib.sha256()
    for name, tensor in sorted(tiny.model.state_dict().items()):
        weights.update(f"{name} {tuple(tensor.shape)} torch.float32\n".encode() + tensor.numpy().tobytes())
    assert tiny.weights_sha256() == weights.hexdigest()
    prompted = load_clip(f"local-dir:{tiny_folder}", mask_prompt_depth=2)
    weights.update(b"mask_prompts (2, 16, 32) torch.float32\n" + prompted.vision.prompts.numpy().tobytes())
    assert prompted.weights_sha256() == weights.hexdigest()


def test_random_weights_are_the_same_every_time():
    first, second = (load_clip("ViT-S-32-alt", "random") for _ in range(2))
    assert first.weights_sha256() == second.weights_sha256()


@pytest.mark.parametrize(
    ("architecture", "weights", "message"),
    [
        ("ViT-B-61", "openai", r"clip\.architecture 'ViT-B-61' is not.*ViT-B-16"),
        ("ViT-B-16", "opnai", r"clip\.weights 'opnai' is neither a file nor a tag.*openai"),
        ("ViT-B-16", None, r"clip\.weights is empty"),
        ("local-dir:/nowhere", None, r"clip\.architecture 'local-dir:/nowhere'.*not found"),
        ("local-dir:/nowhere", "openai", r"remove clip\.weights"),
    ],
)
def test_wrong_names_name_the_key(architecture, weights, message):
    with pytest.raises(UserError, match=message):
        load_clip(architecture, weights)


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path):
    weights = open_clip.create_model("ViT-S-32-alt").state_dict()
    torch.save(weights, tmp_path / "small.pt")
    with pytest.raises(UserError, match=r"clip\.weights .*small\.pt' cannot be loaded: text pos_embed width changed"):
        load_clip("ViT-M-32-alt", str(tmp_path / "small.pt"))
    weights["visual.proj"] = weights["visual.proj"][:, :128].clone()
    del weights["visual.ln_post.bias"]
    torch.save(weights, tmp_path / "small.pt")
    named = r"cannot be loaded: .*Missing.*visual\.ln_post\.bias.*visual\.proj: .*\[384, 128\].*\[384, 256\]"
    with pytest.raises(UserError, match=named):
        load_clip("ViT-S-32-alt", str(tmp_path / "small.pt"))


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    torch.save({"state_dict": Bomb()}, tmp_path / "bomb.pt")
    with pytest.raises(UserError, match="cannot be loaded"):
        load_clip("ViT-S-32-alt", str(tmp_path / "bomb.pt"))
    assert not (tmp_path / "ran").exists()


def test_the_configuration_may_leave_the_architecture_empty(tmp_path):
    (tmp_path / "clip.yaml").write_text("architecture: null\nweights: ovseg.pt\n")
    parser = ArgumentParser()
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(ClipConfig)
    parsed = parser.parse_args(["--config", str(tmp_path / "clip.yaml")])
    assert (parsed.architecture, parsed.weights) == (None, "ovseg.pt")
