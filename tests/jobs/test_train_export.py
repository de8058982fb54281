"""`python -m jobs.train export`: from a result directory to one file in another layout."""

from dataclasses import replace

import pytest
import torch

from jobs import train
from pipeline.clip import MaskPromptedVision, load_clip, save_clip
from tests.clip.openai_weights import openai_weights


@pytest.fixture
def folder(tmp_path):
    """A CLIP of OpenAI's shape with mask prompts, as a run leaves it."""
    torch.save(openai_weights(), tmp_path / "original.pt")
    clip = load_clip(None, str(tmp_path / "original.pt"))
    (tmp_path / "model").mkdir()
    save_clip(replace(clip, vision=MaskPromptedVision(clip.model.visual, 2)), tmp_path / "model")
    return tmp_path / "model"


def test_ovseg_layout_keeps_everything(folder, tmp_path):
    assert train.main(["export", str(folder), "--layout", "ovseg", "--output", str(tmp_path / "clip.pt")]) == 0
    weights = torch.load(tmp_path / "clip.pt", weights_only=True)["state_dict"]
    for name, tensor in openai_weights().items():
        torch.testing.assert_close(weights[f"module.{name}"], tensor, msg=name)
    exported, model = load_clip(None, str(tmp_path / "clip.pt")), load_clip(f"local-dir:{folder}")
    pixels, masks = torch.randn(2, 3, 32, 32), torch.rand(2, 1, 32, 32) > 0.9
    torch.testing.assert_close(exported.vision(pixels, masks), model.vision(pixels, masks))


def test_openai_layout_has_no_place_for_prompts(folder, tmp_path, capsys):
    assert train.main(["export", str(folder), "--layout", "openai", "--output", str(tmp_path / "clip.pt")]) == 2
    assert "--layout ovseg" in capsys.readouterr().err
    (folder / "mask_prompts.safetensors").unlink()
    assert train.main(["export", str(folder), "--layout", "openai", "--output", str(tmp_path / "clip.pt")]) == 0
    weights = torch.load(tmp_path / "clip.pt", weights_only=True)
    assert weights.keys() == openai_weights().keys()


def test_what_cannot_be_exported(small_clip, tmp_path, capsys):
    folder, output = small_clip.removeprefix("local-dir:"), str(tmp_path / "clip.pt")
    assert train.main(["export", folder, "--layout", "openai", "--output", output]) == 2
    assert "head" in capsys.readouterr().err  # OpenAI's heads are 64 wide
    assert train.main(["export", str(tmp_path / "nothing"), "--layout", "ovseg", "--output", output]) == 2
    assert "nothing" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        train.main(["export", folder, "--layout", "tensorflow", "--output", output])


def test_a_full_disk_is_a_storage_failure_and_leaves_nothing(folder, full_disk, capsys):
    """torch's own error for it is a RuntimeError that says nothing of a disk."""
    output = str(full_disk / "clip.pt")
    assert train.main(["export", str(folder), "--layout", "ovseg", "--output", output]) == 1
    said = capsys.readouterr().err
    assert said.startswith("incomplete: storage failed: [Errno 28] No space left on device")
    assert [path.name for path in full_disk.iterdir()] == ["filling"]
