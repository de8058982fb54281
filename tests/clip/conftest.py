"""A small CLIP for the tests of this folder."""

import json

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from pipeline.clip import load_clip

TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory):
    """A small CLIP as a `local-dir:` of open_clip, with its own mean and std."""
    folder = tmp_path_factory.mktemp("tiny-clip")
    torch.manual_seed(3)
    model = open_clip.CLIP(**TINY)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    preprocess = {"size": 32, "mean": [0.5, 0.4, 0.3], "std": [0.25, 0.25, 0.25]}
    config = {"model_cfg": TINY, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def tiny(tiny_folder):
    return load_clip(f"local-dir:{tiny_folder}")
