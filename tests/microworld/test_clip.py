"""The CLIP that pretraining begins with."""

import numpy as np
import open_clip
import pytest
import torch

from pipeline.clip import load_clip
from pipeline.clip.templates import TEMPLATES
from pipeline.microworld.captions import write_caption
from pipeline.microworld.categories import NAMES
from pipeline.microworld.clip import write_untrained_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("untrained") / "clip"
    write_untrained_clip(folder, seed=1)
    return folder


def test_open_clip_loads_it(folder):
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    with torch.inference_mode():
        images, texts, scale = model.eval()(torch.zeros(2, 3, 48, 48), tokenizer(["a fish", "a boat"]))
    assert images.shape == texts.shape == (2, 96)
    assert scale.item() == pytest.approx(1 / 0.07)  # as CLIP began (Radford et al. 2021, Sec. 2.5)
    assert preprocess.transforms[0].size == 48


def test_a_seed_gives_one_model(folder, tmp_path):
    state = torch.get_rng_state()
    write_untrained_clip(tmp_path / "same", seed=1)
    write_untrained_clip(tmp_path / "other", seed=2)
    assert torch.equal(torch.get_rng_state(), state)
    for name in ("open_clip_model.safetensors", "open_clip_config.json"):
        assert (tmp_path / "same" / name).read_bytes() == (folder / name).read_bytes()
    weights = "open_clip_model.safetensors"
    assert (tmp_path / "other" / weights).read_bytes() != (folder / weights).read_bytes()


def test_patches_that_are_neighbours_begin_alike(folder):
    positions = load_clip(f"local-dir:{folder}").model.visual.positional_embedding[1:].reshape(6, 6, 96)
    similarity = torch.nn.functional.cosine_similarity
    beside, far = (
        similarity(positions[2, 2], positions[2, 3], dim=0),
        similarity(positions[0, 0], positions[5, 5], dim=0),
    )
    assert beside > 0.7 > far
    assert len(positions.reshape(36, 96).unique(dim=0)) == 36


def test_no_prompt_and_no_caption_is_cut(folder, scenes):
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    rng = np.random.default_rng(0)
    texts = [template.format(name) for template in TEMPLATES["vild"] for name in NAMES]
    texts += [write_caption(rng, scene.categories) for scene in scenes]
    tokens, whole = tokenizer(texts), open_clip.SimpleTokenizer(context_length=77)(texts)
    assert torch.equal(tokens, whole[:, : tokens.shape[1]])
    assert not whole[:, tokens.shape[1] :].any()
