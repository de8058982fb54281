"""A CLIP whose directory lies on remote storage."""

from dataclasses import replace

import pytest
import torch

from pipeline.clip import MaskPromptedVision, load_clip, save_clip
from pipeline.clip.loading import PROMPTS_FILE
from pipeline.errors import UserError
from pipeline.storage import join, upload


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
def test_a_directory_on_s3_is_loaded_with_its_mask_prompts(s3, s3_uri, small_clip, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder, remote = tmp_path / "model", f"{s3_uri}/run/model"
    for seed in (0, 1):  # the second CLIP replaces the first
        torch.manual_seed(seed)
        clip = load_clip(small_clip)
        clip = replace(clip, vision=MaskPromptedVision(clip.model.visual, 2))
        save_clip(clip, folder)
        for path in folder.iterdir():
            upload(path, join(remote, path.name))
        loaded, local = load_clip(f"local-dir:{remote}"), load_clip(f"local-dir:{folder}")
        assert loaded.vision.depth == 2
        assert loaded.vision.prompts.equal(clip.vision.prompts)
        assert loaded.weights_sha256() == local.weights_sha256()
        assert loaded.tokenizer(["a dog"]).equal(local.tokenizer(["a dog"]))
    assert (folder / PROMPTS_FILE).exists()
    with pytest.raises(UserError, match=r"clip\.architecture: cannot use s3://.*nothing"):
        load_clip(f"local-dir:{s3_uri}/nothing")
    assert not list((tmp_path / "cache").rglob("*.partial"))
