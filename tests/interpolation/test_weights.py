"""Weights between two CLIPs, against the formula, and what does not belong together."""

import json
from dataclasses import replace

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from pipeline.clip import Clip, load_clip, save_clip
from pipeline.clip.mask_prompts import MaskPromptedVision
from pipeline.errors import UserError
from pipeline.interpolation.weights import check_same_architecture, differs, interpolated
from tests.clip.conftest import TINY


def small(folder, seed: int, **changes) -> Clip:
    config = json.loads(json.dumps(TINY))
    for key, value in changes.items():
        config["vision_cfg"][key] = value
    torch.manual_seed(seed)
    folder.mkdir()
    save_file(open_clip.CLIP(**config).state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {"size": 32}}))
    return load_clip(f"local-dir:{folder}")


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[Clip, Clip]:
    folder = tmp_path_factory.mktemp("pair")
    return small(folder / "original", 1), small(folder / "adapted", 2)


def prompted(clip: Clip, depth: int, seed: int) -> Clip:
    torch.manual_seed(seed)
    return replace(clip, vision=MaskPromptedVision(clip.vision.visual, depth).requires_grad_(False))


def test_every_weight_of_both_towers_is_averaged(pair):
    original, adapted = pair
    before = {name: tensor.clone() for clip in pair for name, tensor in clip.model.state_dict().items()}
    found = interpolated(original, adapted, 0.25).model.state_dict()
    source, target = original.model.state_dict(), adapted.model.state_dict()
    assert found.keys() == source.keys()
    for name, tensor in found.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, 0.75 * source[name] + 0.25 * target[name], msg=name)
    for name, tensor in target.items():  # nothing was changed in place
        assert torch.equal(tensor, before[name])


def test_the_ends_are_the_two_themselves(pair):
    original, adapted = pair
    assert interpolated(original, adapted, 0.0) is original
    assert interpolated(original, adapted, 1.0) is adapted


def test_the_tower_in_the_model_is_the_one_that_is_prompted(pair, tmp_path):
    """Saved and loaded, it is the same CLIP."""
    found = interpolated(pair[0], prompted(pair[1], 2, seed=3), 0.5)
    assert found.vision.visual is found.model.visual
    save_clip(found, tmp_path)
    loaded = load_clip(f"local-dir:{tmp_path}")
    assert loaded.weights_sha256() == found.weights_sha256()
    pixels_B3SS, masks_B1SS = torch.randn(2, 3, 32, 32), torch.zeros(2, 1, 32, 32, dtype=torch.bool)
    masks_B1SS[:, :, :9] = True
    with torch.inference_mode():
        for masks in (None, masks_B1SS):
            torch.testing.assert_close(loaded.vision(pixels_B3SS, masks), found.vision(pixels_B3SS, masks))


def test_mask_prompts(pair):
    """Averaged if both have some; else those of the adapted one, as they are."""
    original, adapted = pair
    with_prompts = prompted(adapted, 2, seed=3)
    assert torch.equal(interpolated(original, with_prompts, 0.3).vision.prompts, with_prompts.vision.prompts)
    assert interpolated(original, with_prompts, 0.0).vision.depth == 0
    earlier = prompted(original, 2, seed=4)
    found = interpolated(earlier, with_prompts, 0.3).vision.prompts
    torch.testing.assert_close(found, 0.7 * earlier.vision.prompts + 0.3 * with_prompts.vision.prompts)
    with pytest.raises(UserError, match="mask prompts of depth 1, the adapted one of 2"):
        interpolated(prompted(original, 1, seed=4), with_prompts, 0.3)


def test_another_architecture_is_refused(pair, tmp_path):
    with pytest.raises(UserError, match=r"different architectures: only one of them has visual\.transformer\.res"):
        check_same_architecture(pair[0], small(tmp_path / "deeper", 1, layers=3))
    with pytest.raises(UserError, match=r"different architectures: visual\..* is \[.*\] and \[.*\]"):
        interpolated(pair[0], small(tmp_path / "finer", 1, patch_size=16), 0.5)


def test_whether_anything_was_changed(pair):
    original, adapted = pair
    assert differs(original, adapted)
    assert not differs(original, prompted(original, 1, seed=0))
